"""What a vendor delivers or names that cannot be measured or believed is a finding, too."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0010_disputes_partly_won'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='finding',
            name='finding_kind_known',
        ),
        migrations.AlterField(
            model_name='finding',
            name='kind',
            field=models.CharField(choices=[('processor', 'Processor'), ('fraud', 'Fraud'), ('payment', 'Payment'), ('vendor', 'Vendor')], max_length=16),
        ),
        migrations.AddConstraint(
            model_name='finding',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['processor', 'fraud', 'payment', 'vendor'])), name='finding_kind_known'),
        ),
    ]
