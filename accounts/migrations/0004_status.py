"""Who deactivated or reactivated a person, when, and why."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_billing_of_members'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='status_changed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='status_changed_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='status_reason',
            field=models.CharField(db_default='', default='', max_length=300),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('status_changed_at__isnull', True), models.Q(models.Q(('status_changed_by__isnull', False)), models.Q(('status_reason', ''), _negated=True)), _connector='OR'), name='user_status_changed_by_somebody_with_a_reason'),
        ),
    ]
