"""A key's project, its pace, and the budgets that it is under now; and who asks for more.

A table is UNLOGGED, which the ORM cannot say.
"""

import uuid
from datetime import UTC, datetime

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

PERIODS = ("day", "week", "month", "total")


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0004_whole_life"), ("accounts", "0031_budgets")]

    operations = [
        migrations.AddField(
            "apikey",
            "project",
            models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            "apikey", "requests_per_minute", models.IntegerField(blank=True, null=True)
        ),
        migrations.AddField(
            "apikey",
            "budgets",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), blank=True, null=True, size=None
            ),
        ),
        migrations.AddField(
            "apikey",
            "budgets_until",
            models.DateTimeField(db_default=datetime(1970, 1, 1, tzinfo=UTC)),
        ),
        migrations.AddConstraint(
            "apikey",
            models.CheckConstraint(
                name="api_key_pace_positive",
                condition=Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gt=0),
            ),
        ),
        migrations.CreateModel(
            name="Pace",
            fields=[
                ("family", models.UUIDField(primary_key=True, serialize=False)),
                ("minute", models.DateTimeField()),
                ("taken", models.IntegerField()),
                ("given", models.IntegerField()),
            ],
        ),
        migrations.RunSQL(
            "ALTER TABLE apikeys_pace SET UNLOGGED", "ALTER TABLE apikeys_pace SET LOGGED"
        ),
        migrations.CreateModel(
            name="Ask",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("period", models.CharField(max_length=8)),
                ("limit_micros", models.BigIntegerField()),
                ("note", models.CharField(blank=True, db_default="", default="", max_length=300)),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("answered_at", models.DateTimeField(null=True)),
                ("answered_by", models.UUIDField(null=True)),
                ("granted", models.BooleanField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="asks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="asks",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        name="ask_open_once_per_period",
                        fields=["workspace", "user", "period"],
                        condition=Q(answered_at__isnull=True),
                    ),
                    models.CheckConstraint(
                        name="ask_period_known", condition=Q(period__in=PERIODS)
                    ),
                    models.CheckConstraint(
                        name="ask_for_something", condition=Q(limit_micros__gt=0)
                    ),
                    models.CheckConstraint(
                        name="ask_answered_whole",
                        condition=Q(answered_at=None, answered_by=None, granted=None)
                        | Q(
                            answered_at__isnull=False,
                            answered_by__isnull=False,
                            granted__isnull=False,
                        ),
                    ),
                ],
            },
        ),
    ]
