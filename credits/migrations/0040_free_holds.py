"""A hold may be of nothing: a call under a workspace's own account may cost nothing here."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0031_slots'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='account',
            name='account_open_holds_counted',
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('held_micros', 0), ('open_holds', 0)), models.Q(('held_micros__gte', 0), ('open_holds__gt', 0)), _connector='OR'), name='account_open_holds_counted'),
        ),
        migrations.RemoveConstraint(
            model_name='hold',
            name='hold_amount_positive',
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('amount_micros__gte', 0)), name='hold_amount_not_negative'),
        ),
    ]
