"""Files are known by their BLAKE3, too; addresses of keys are rows; workflows stay in files."""

import django.db.models.functions.datetime
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0003_preferences_and_names'),
    ]

    operations = [
        migrations.AddField(
            model_name='asset',
            name='blake3',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='output',
            name='blake3',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='preferences',
            name='leaves_in_files',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='run',
            name='address_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Address',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('workspace_id', models.UUIDField()),
                ('user_id', models.UUIDField()),
                ('key_id', models.UUIDField()),
                ('max_micros', models.BigIntegerField(blank=True, null=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.UUIDField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['key_id', '-created_at'], name='address_of_key')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True), ('expires_at__isnull', True), ('max_micros__isnull', True)), fields=('key_id',), name='address_plain_once'), models.CheckConstraint(condition=models.Q(('max_micros__isnull', True), ('max_micros__gt', 0), _connector='OR'), name='address_maximum_positive')],
            },
        ),
    ]
