"""Who disabled, enabled or revoked a key, when, and why."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_status'),
        ('apikeys', '0002_billing_scope'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='status_changed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='status_changed_by',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='status_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=300),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('status_changed_at__isnull', True), models.Q(models.Q(('status_changed_by__isnull', False)), models.Q(('status_reason', ''), _negated=True)), _connector='OR'), name='api_key_status_changed_by_somebody_with_a_reason'),
        ),
    ]
