"""Accounts with vendors beside the environment's, and which one a job or an id is of."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('proxy', '0003_answered_meanwhile'),
    ]

    operations = [
        migrations.AddField(
            model_name='asset',
            name='account',
            field=models.CharField(db_default='default', default='default', max_length=32),
        ),
        migrations.AddField(
            model_name='job',
            name='account',
            field=models.CharField(db_default='default', default='default', max_length=32),
        ),
        migrations.CreateModel(
            name='VendorAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('vendor', models.CharField(max_length=32)),
                ('workspace_id', models.UUIDField(null=True)),
                ('name', models.CharField(max_length=32)),
                ('weight', models.SmallIntegerField(db_default=100, default=100)),
                ('sealed', models.TextField(db_default='', default='')),
                ('off_reason', models.CharField(db_default='', default='', max_length=300)),
                ('changed_by', models.UUIDField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('removed_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('workspace_id__isnull', True)), fields=('vendor', 'name'), name='vendor_account_once'), models.UniqueConstraint(condition=models.Q(('workspace_id__isnull', False)), fields=('vendor', 'workspace_id'), name='vendor_account_own_once'), models.CheckConstraint(condition=models.Q(models.Q(('name', 'own'), ('workspace_id__isnull', False)), models.Q(models.Q(('name', 'own'), _negated=True), models.Q(('name', ''), _negated=True), ('workspace_id__isnull', True)), _connector='OR'), name='vendor_account_own_is_a_workspaces'), models.CheckConstraint(condition=models.Q(models.Q(('name', 'default'), ('sealed', '')), models.Q(('removed_at__isnull', False), ('sealed', '')), models.Q(models.Q(('sealed', ''), _negated=True), models.Q(('name', 'default'), _negated=True), ('removed_at__isnull', True)), _connector='OR'), name='vendor_account_has_settings_unless_removed'), models.CheckConstraint(condition=models.Q(('weight__gte', 1), ('weight__lte', 1000)), name='vendor_account_weight')],
            },
        ),
        migrations.CreateModel(
            name='VendorHealth',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('vendor', models.CharField(max_length=32)),
                ('account', models.CharField(max_length=32)),
                ('since', models.DateTimeField()),
                ('counts', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('last_error', models.CharField(db_default='', default='', max_length=100)),
                ('last_error_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('vendor', 'account', 'since'), name='vendor_health_once')],
            },
        ),
        migrations.CreateModel(
            name='VendorRevision',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('number', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='vendor_revision_is_one_row')],
            },
        ),
        migrations.CreateModel(
            name='VendorSwitch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('vendor', models.CharField(max_length=32)),
                ('operation', models.CharField(db_default='', default='', max_length=200)),
                ('sentence', models.CharField(max_length=300)),
                ('changed_by', models.UUIDField()),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('vendor', 'operation'), name='vendor_switch_once'), models.CheckConstraint(condition=models.Q(('sentence', ''), _negated=True), name='vendor_switch_says_why')],
            },
        ),
    ]
