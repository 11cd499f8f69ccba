"""Workers, workflows, runs and their files. Events are only added: a trigger refuses changes."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models


ONLY_ADDED = """
CREATE FUNCTION runs_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'run_event_is_final: what happened to a run is not changed'
          USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER run_event_is_final BEFORE UPDATE ON runs_runevent
   FOR EACH STATEMENT EXECUTE FUNCTION runs_event_is_final();
"""
OPEN_TO_CHANGES = """
DROP TRIGGER run_event_is_final ON runs_runevent;
DROP FUNCTION runs_event_is_final();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('user_id', models.UUIDField()),
                ('key_id', models.UUIDField(null=True)),
                ('project', models.CharField(blank=True, default='', max_length=64)),
                ('face', models.CharField(blank=True, default='', max_length=16)),
                ('idempotency_key', models.CharField(blank=True, default='', max_length=255)),
                ('fingerprint', models.CharField(max_length=64)),
                ('graph', models.JSONField(null=True)),
                ('classes', models.JSONField(default=list)),
                ('output_nodes', models.IntegerField(default=0)),
                ('uses_api_nodes', models.BooleanField(default=False)),
                ('files', models.JSONField(default=dict)),
                ('accelerator', models.CharField(blank=True, default='', max_length=32)),
                ('webhook_url', models.CharField(blank=True, default='', max_length=2000)),
                ('metadata', models.JSONField(default=dict)),
                ('extra', models.JSONField(default=dict)),
                ('hold_id', models.UUIDField(unique=True)),
                ('budget_id', models.BigIntegerField(null=True)),
                ('run_key_id', models.UUIDField(null=True)),
                ('max_micros', models.BigIntegerField()),
                ('held_micros', models.BigIntegerField()),
                ('micros_per_second', models.BigIntegerField()),
                ('minimum_micros', models.BigIntegerField(default=0)),
                ('micros_per_output', models.BigIntegerField(default=0)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('staging', 'Staging'), ('running', 'Running'), ('canceling', 'Canceling'), ('collecting', 'Collecting'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('canceled', 'Canceled'), ('expired', 'Expired')], default='queued', max_length=16)),
                ('attempts', models.SmallIntegerField(default=0)),
                ('prompt_id', models.UUIDField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('cancel_reason', models.CharField(blank=True, default='', max_length=32)),
                ('canceled_by', models.UUIDField(null=True)),
                ('progress', models.JSONField(null=True)),
                ('error_code', models.CharField(blank=True, default='', max_length=32)),
                ('error_message', models.CharField(blank=True, default='', max_length=2000)),
                ('error_node', models.CharField(blank=True, default='', max_length=100)),
                ('error_class', models.CharField(blank=True, default='', max_length=200)),
                ('messages', models.JSONField(default=list)),
                ('gpu_ms', models.BigIntegerField(null=True)),
                ('paid_outputs', models.IntegerField(default=0)),
                ('charged_micros', models.BigIntegerField(default=0)),
                ('forgiven_ms', models.BigIntegerField(default=0)),
                ('outputs_reused', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('queued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('claimed_at', models.DateTimeField(null=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField(null=True)),
                ('hidden_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('base_url', models.CharField(max_length=300)),
                ('sealed', models.CharField(blank=True, db_default='', default='', max_length=500)),
                ('dialect', models.CharField(choices=[('native', 'Native')], default='native', max_length=16)),
                ('accelerator', models.CharField(max_length=32)),
                ('slots', models.SmallIntegerField(default=1)),
                ('micros_per_second', models.BigIntegerField()),
                ('minimum_micros', models.BigIntegerField(default=0)),
                ('micros_per_output', models.BigIntegerField(default=0)),
                ('reserved_for', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None)),
                ('denied_classes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('shared_inputs', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('state', models.CharField(choices=[('active', 'Active'), ('draining', 'Draining'), ('removed', 'Removed')], default='active', max_length=16)),
                ('health', models.CharField(choices=[('unknown', 'Unknown'), ('up', 'Up'), ('down', 'Down')], default='unknown', max_length=16)),
                ('misses', models.SmallIntegerField(default=0)),
                ('error', models.CharField(blank=True, default='', max_length=300)),
                ('client_id', models.UUIDField(default=uuid.uuid4)),
                ('version', models.CharField(blank=True, default='', max_length=50)),
                ('seen_at', models.DateTimeField(null=True)),
                ('down_since', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Workflow',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('made_by', models.UUIDField()),
                ('name', models.CharField(max_length=100)),
                ('accelerator', models.CharField(blank=True, default='', max_length=32)),
                ('max_micros', models.BigIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('removed_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='WorkflowVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField()),
                ('graph', models.JSONField()),
                ('form', models.JSONField(default=list)),
                ('made_by', models.UUIDField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Asset',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('user_id', models.UUIDField()),
                ('file_path', models.CharField(max_length=300)),
                ('content_type', models.CharField(max_length=100)),
                ('size_bytes', models.BigIntegerField()),
                ('sha256', models.CharField(max_length=64)),
                ('tags', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['workspace_id', 'file_path'], name='asset_of_workspace'), models.Index(fields=['expires_at'], name='asset_expires')],
                'constraints': [models.CheckConstraint(condition=models.Q(('file_path', ''), _negated=True), name='asset_has_a_path'), models.CheckConstraint(condition=models.Q(('size_bytes__gte', 0)), name='asset_size_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Preview',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='preview', serialize=False, to='runs.run')),
                ('node_id', models.CharField(max_length=100)),
                ('content_type', models.CharField(max_length=50)),
                ('data', models.BinaryField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Output',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('position', models.IntegerField()),
                ('node_id', models.CharField(max_length=100)),
                ('section', models.CharField(max_length=50)),
                ('name', models.CharField(max_length=300)),
                ('subfolder', models.CharField(blank=True, default='', max_length=300)),
                ('kind', models.CharField(choices=[('output', 'Output'), ('temp', 'Temp'), ('text', 'Text')], max_length=16)),
                ('is_paid', models.BooleanField(default=False)),
                ('content_type', models.CharField(max_length=100)),
                ('size_bytes', models.BigIntegerField()),
                ('sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField()),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='outputs', to='runs.run')),
            ],
        ),
        migrations.CreateModel(
            name='RunEvent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=16)),
                ('data', models.JSONField(default=dict)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='runs.run')),
            ],
        ),
        migrations.CreateModel(
            name='WorkerNodes',
            fields=[
                ('worker', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='nodes', serialize=False, to='runs.worker')),
                ('classes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), size=None)),
                ('object_info', models.JSONField()),
                ('digest', models.CharField(max_length=64)),
                ('read_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'removed'), _negated=True), fields=('name',), name='worker_name_once'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'removed'), _negated=True), fields=('base_url',), name='worker_address_once'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='worker_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(('slots__gte', 1)), name='worker_has_a_slot'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(('micros_per_output__gte', 0), ('micros_per_second__gte', 0), ('minimum_micros__gte', 0)), name='worker_price_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['active', 'draining', 'removed'])), name='worker_state_known'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(('health__in', ['unknown', 'up', 'down'])), name='worker_health_known'),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(('dialect', 'native')), name='worker_dialect_known'),
        ),
        migrations.AddField(
            model_name='run',
            name='worker',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='runs.worker'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='workflow_has_a_name'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at__isnull', True)), fields=('workspace_id', 'name'), name='workflow_name_once'),
        ),
        migrations.AddConstraint(
            model_name='workflow',
            constraint=models.CheckConstraint(condition=models.Q(('max_micros__isnull', True), ('max_micros__gt', 0), _connector='OR'), name='workflow_maximum_positive'),
        ),
        migrations.AddField(
            model_name='workflowversion',
            name='workflow',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='runs.workflow'),
        ),
        migrations.AddField(
            model_name='run',
            name='workflow_version',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='runs.workflowversion'),
        ),
        migrations.AddIndex(
            model_name='output',
            index=models.Index(fields=['workspace_id', 'name'], name='output_of_workspace'),
        ),
        migrations.AddIndex(
            model_name='output',
            index=models.Index(fields=['expires_at'], name='output_expires'),
        ),
        migrations.AddConstraint(
            model_name='output',
            constraint=models.UniqueConstraint(fields=('run', 'position'), name='output_placed_once'),
        ),
        migrations.AddConstraint(
            model_name='output',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['output', 'temp', 'text'])), name='output_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='output',
            constraint=models.CheckConstraint(condition=models.Q(('size_bytes__gte', 0)), name='output_size_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='output',
            constraint=models.CheckConstraint(condition=models.Q(('is_paid', False), ('kind', 'output'), _connector='OR'), name='output_paid_is_of_type_output'),
        ),
        migrations.AddIndex(
            model_name='runevent',
            index=models.Index(fields=['run', 'id'], name='run_event_of_run'),
        ),
        migrations.AddConstraint(
            model_name='runevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['status', 'progress', 'output', 'message'])), name='run_event_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='workflowversion',
            constraint=models.UniqueConstraint(fields=('workflow', 'number'), name='workflow_version_numbered_once'),
        ),
        migrations.AddConstraint(
            model_name='workflowversion',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='workflow_version_number_positive'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['queued_at', 'id'], name='run_waiting'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('state__in', ['staging', 'running', 'canceling', 'collecting'])), fields=['worker'], name='run_on_worker'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['workspace_id', '-created_at', '-id'], name='run_of_workspace'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='run_kept'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at'], name='run_ended_lately'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), fields=('workspace_id', 'idempotency_key'), name='run_intention_once'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('prompt_id__isnull', False)), fields=('prompt_id',), name='run_prompt_once'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'staging', 'running', 'canceling', 'collecting', 'succeeded', 'failed', 'canceled', 'expired'])), name='run_state_known'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['staging', 'running', 'canceling', 'collecting']), _negated=True), models.Q(('claimed_at__isnull', False), ('prompt_id__isnull', False), ('worker__isnull', False)), _connector='OR'), name='run_on_a_worker_has_one'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'queued'), _negated=True), models.Q(('prompt_id__isnull', True), ('worker__isnull', True)), _connector='OR'), name='run_queued_is_nobodys'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('gpu_ms__isnull', False), ('state__in', ['succeeded', 'failed', 'canceled', 'expired'])), models.Q(models.Q(('state__in', ['succeeded', 'failed', 'canceled', 'expired']), _negated=True), ('ended_at__isnull', True)), _connector='OR'), name='run_ended_has_a_time'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['failed', 'canceled', 'expired']), _negated=True), models.Q(('error_code', ''), _negated=True), _connector='OR'), name='run_failed_says_why'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('attempts__lte', 2)), name='run_tried_twice_at_most'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('charged_micros__gte', 0), ('charged_micros__lte', models.F('held_micros'))), name='run_charged_within_its_hold'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('held_micros__gte', 0), ('held_micros__lte', models.F('max_micros'))), name='run_held_within_its_maximum'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('charged_micros', 0), ('state__in', ['succeeded', 'failed', 'canceled', 'expired']), _connector='OR'), name='run_charged_when_ended'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('gpu_ms__isnull', True), ('gpu_ms__gte', 0), _connector='OR'), ('forgiven_ms__gte', 0), ('paid_outputs__gte', 0)), name='run_measures_not_negative'),
        ),
        migrations.RunSQL(ONLY_ADDED, OPEN_TO_CHANGES),
    ]
