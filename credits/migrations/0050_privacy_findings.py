"""Somebody who asked to be deleted, and waits for too long, is a finding, too."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0040_free_holds'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='finding',
            name='finding_kind_known',
        ),
        migrations.AlterField(
            model_name='finding',
            name='kind',
            field=models.CharField(choices=[('processor', 'Processor'), ('fraud', 'Fraud'), ('payment', 'Payment'), ('vendor', 'Vendor'), ('privacy', 'Privacy')], max_length=16),
        ),
        migrations.AddConstraint(
            model_name='finding',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['processor', 'fraud', 'payment', 'vendor', 'privacy'])), name='finding_kind_known'),
        ),
    ]
