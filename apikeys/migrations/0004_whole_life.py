"""From where a key may be used, what it replaces, and with which other key it was made.

Each key that there is becomes the first of its family. That is SQL: a column is copied.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

import apikeys.models


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0003_status")]

    operations = [
        migrations.AlterField(
            model_name="apikey", name="prefix", field=models.CharField(max_length=32)
        ),
        migrations.AddField(
            model_name="apikey",
            name="allowed_networks",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=apikeys.models.NetworkField(), blank=True, null=True, size=None
            ),
        ),
        migrations.AddField(
            model_name="apikey", name="family", field=models.UUIDField(null=True)
        ),
        migrations.RunSQL("UPDATE apikeys_apikey SET family = id", migrations.RunSQL.noop),
        migrations.AlterField(model_name="apikey", name="family", field=models.UUIDField()),
        migrations.AddField(
            model_name="apikey",
            name="replaces",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="successor",
                to="apikeys.apikey",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="made_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="made",
                to="apikeys.apikey",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                name="api_key_first_of_its_family_or_a_successor",
                condition=Q(family=F("id")) | Q(replaces__isnull=False),
            ),
        ),
    ]
