"""Who of staff paused, released, resolved, stopped or refused something, and why."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0011_vendor_findings'),
    ]

    operations = [
        migrations.AddField(
            model_name='adjustment',
            name='decision',
            field=models.CharField(db_default='', default='', max_length=300),
        ),
        migrations.AddField(
            model_name='finding',
            name='resolution',
            field=models.CharField(db_default='', default='', max_length=300),
        ),
        migrations.AddField(
            model_name='finding',
            name='resolved_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='freeze',
            name='set_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='freeze',
            name='lifted_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='freeze',
            name='lifted_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='freeze',
            name='lift_reason',
            field=models.CharField(db_default='', default='', max_length=300),
        ),
        migrations.AddField(
            model_name='voucher',
            name='approved_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='voucher',
            name='disabled_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='voucher',
            name='disabled_reason',
            field=models.CharField(db_default='', default='', max_length=300),
        ),
        migrations.AddField(
            model_name='voucher',
            name='needs_second',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='voucher',
            name='reason',
            field=models.CharField(db_default='', default='', max_length=300),
        ),
        migrations.AddConstraint(
            model_name='finding',
            constraint=models.CheckConstraint(condition=models.Q(('resolved_by__isnull', True), models.Q(('resolution', ''), _negated=True), _connector='OR'), name='finding_resolved_by_somebody_with_a_reason'),
        ),
        migrations.RemoveConstraint(
            model_name='freeze',
            name='freeze_once_per_cause',
        ),
        migrations.AddConstraint(
            model_name='freeze',
            constraint=models.UniqueConstraint(condition=models.Q(('lifted_at__isnull', True)), fields=('wallet', 'cause'), name='freeze_once_per_cause'),
        ),
        migrations.AddConstraint(
            model_name='freeze',
            constraint=models.CheckConstraint(condition=models.Q(('lifted_by__isnull', True), models.Q(models.Q(('lift_reason', ''), _negated=True), ('lifted_at__isnull', False)), _connector='OR'), name='freeze_lifted_by_somebody_with_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('used', 0), ('needs_second', False), models.Q(models.Q(('approved_by', models.F('made_by')), _negated=True), ('approved_by__isnull', False)), _connector='OR'), name='voucher_second_person'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('disabled_by__isnull', True), models.Q(('disabled_reason', ''), _negated=True), _connector='OR'), name='voucher_stopped_by_somebody_with_a_reason'),
        ),
    ]
