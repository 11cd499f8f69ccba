"""Cells: what this one is called, wallets on their way, and the house's account for what they take.

What an account may be is checked of new rows alone: the old ones kept a stricter rule, and to look
at each would lock the table that every call reads. The house's account is a row, so by hand.
"""

import django.db.models.functions.datetime
import uuid
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

OPEN = """
INSERT INTO credits_account (id, kind) VALUES ('00000000-0000-0000-0000-00000000000a', 'moved')
"""
CLOSE = """
ALTER TABLE credits_account DISABLE TRIGGER account_never_deleted;
DELETE FROM credits_account WHERE kind = 'moved';
ALTER TABLE credits_account ENABLE ALWAYS TRIGGER account_never_deleted
"""


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0072_proofs_carried_forward'),
    ]

    operations = [
        migrations.CreateModel(
            name='Cell',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('number', models.SmallIntegerField()),
                ('address', models.CharField(max_length=300)),
                ('secrets', models.CharField(max_length=64)),
                ('named_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Move',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('wallet_id', models.UUIDField()),
                ('direction', models.CharField(choices=[('out', 'Out'), ('in', 'In')], max_length=3)),
                ('state', models.CharField(choices=[('freezing', 'Freezing'), ('closed', 'Closed'), ('gone', 'Gone'), ('aborted', 'Aborted'), ('arrived', 'Arrived'), ('refused', 'Refused')], max_length=16)),
                ('other_cell', models.SmallIntegerField()),
                ('other_address', models.CharField(max_length=300)),
                ('by', models.UUIDField()),
                ('reason', models.CharField(max_length=300)),
                ('balance_micros', models.BigIntegerField(null=True)),
                ('lots', models.JSONField(db_default=[], default=list)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('closed_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='account',
            name='account_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='freeze',
            name='freeze_cause_known',
        ),
        migrations.SeparateDatabaseAndState(  # Choices are nothing to the database.
            state_operations=[
                migrations.AlterField(
                    model_name='account',
                    name='kind',
                    field=models.CharField(choices=[('wallet', 'Wallet'), ('sales', 'Sales'), ('stripe', 'Stripe'), ('promotion', 'Promotion'), ('shortfall', 'Shortfall'), ('adjustment', 'Adjustment'), ('disputed', 'Disputed'), ('receivable', 'Receivable'), ('tax', 'Tax'), ('expired', 'Expired'), ('moved', 'Moved')], max_length=16),
                ),
            ],
        ),
        migrations.AlterField(
            model_name='freeze',
            name='cause',
            field=models.CharField(choices=[('receivable', 'Receivable'), ('staff', 'Staff'), ('moved', 'Moved')], max_length=16),
        ),
        AddConstraintNotValid(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['wallet', 'sales', 'stripe', 'promotion', 'shortfall', 'adjustment', 'disputed', 'receivable', 'tax', 'expired', 'moved'])), name='account_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='freeze',
            constraint=models.CheckConstraint(condition=models.Q(('cause__in', ['receivable', 'staff', 'moved'])), name='freeze_cause_known'),
        ),
        migrations.AddConstraint(
            model_name='cell',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='cell_is_one'),
        ),
        migrations.AddConstraint(
            model_name='cell',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 0), ('number__lte', 510)), name='cell_number_leaves_ids_that_json_can_hold'),
        ),
        migrations.AddConstraint(
            model_name='cell',
            constraint=models.CheckConstraint(condition=models.Q(('address__regex', '^(https://|http://(localhost|127\\.0\\.0\\.1)(:|/|$))')), name='cell_has_a_secure_address'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['freezing', 'closed', 'gone'])), fields=('wallet_id',), name='move_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('direction', 'out'), ('state__in', ['freezing', 'closed', 'gone', 'aborted'])), models.Q(('direction', 'in'), ('state__in', ['arrived', 'refused'])), _connector='OR'), name='move_state_of_its_direction'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['freezing', 'aborted', 'refused']), ('balance_micros__gte', 0), _connector='OR'), name='move_knows_what_it_took'),
        ),
        migrations.AddConstraint(
            model_name='move',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='move_has_a_reason'),
        ),
        migrations.RunSQL(OPEN, CLOSE),
    ]
