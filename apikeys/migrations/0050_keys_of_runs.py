"""Keys of single runs, and the scope of handing workflows over."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0031_budgets'),
        ('apikeys', '0040_pairings'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='apikey',
            name='api_key_scopes_known',
        ),
        # Back: the constraint that comes again knows no such scope.
        migrations.RunSQL(
            migrations.RunSQL.noop,
            "UPDATE apikeys_apikey SET scopes = array_remove(scopes, 'runs')",
        ),
        migrations.AddField(
            model_name='apikey',
            name='run_id',
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.UniqueConstraint(condition=models.Q(('revoked_at__isnull', True), ('run_id__isnull', False)), fields=('run_id',), name='api_key_of_a_run_living_once'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('run_id__isnull', True), models.Q(('expires_at__isnull', False), ('scopes', ['proxy'])), _connector='OR'), name='api_key_of_a_run_only_calls_and_ends'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['proxy', 'usage:read', 'keys:manage', 'billing:manage', 'runs'])), name='api_key_scopes_known'),
        ),
    ]
