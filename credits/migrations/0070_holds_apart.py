"""Holds that take no slot, counted on their wallet, as runs have them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0061_budgets_count_what_was_taken'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='open_apart',
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='hold',
            name='apart',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('open_apart__gte', 0)), name='account_open_apart_not_negative'),
        ),
    ]
