"""The rules from which budgets are made, period by period."""

from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

PERIODS = ("day", "week", "month", "total")


class Migration(migrations.Migration):
    dependencies = [("credits", "0014_room_for_limits")]

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("owner_kind", models.CharField(max_length=16)),
                ("owner", models.CharField(max_length=128)),
                ("period", models.CharField(max_length=8)),
                ("limit_micros", models.BigIntegerField()),
                ("set_by", models.UUIDField()),
                ("set_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        name="allowance_once_per_period", fields=["owner_kind", "owner", "period"]
                    ),
                    models.CheckConstraint(
                        name="allowance_period_known", condition=Q(period__in=PERIODS)
                    ),
                    models.CheckConstraint(
                        name="allowance_limit_not_negative", condition=Q(limit_micros__gte=0)
                    ),
                ],
            },
        ),
        migrations.AlterField("budget", "owner", models.CharField(max_length=128)),
        migrations.AddField(
            "budget",
            "period",
            models.CharField(max_length=8, default="total", db_default="total"),
        ),
        migrations.RemoveConstraint("budget", "budget_once_per_period"),
        migrations.AddConstraint(
            "budget",
            models.UniqueConstraint(
                name="budget_once_per_period",
                fields=["owner_kind", "owner", "period", "starts_at"],
            ),
        ),
        migrations.AddConstraint(
            "budget",
            models.CheckConstraint(name="budget_period_known", condition=Q(period__in=PERIODS)),
        ),
    ]
