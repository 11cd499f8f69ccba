"""Refunds add up to the micro: the rule before let a part of a cent be taken for nothing."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("credits", "0004_house_and_lots")]

    operations = [
        migrations.RemoveConstraint(model_name="refund", name="refund_adds_up"),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                name="refund_adds_up",
                condition=Q(
                    taken_micros__gte=0,
                    owed_micros__gte=0,
                    tax_cents__gte=0,
                    taken_micros=(F("cents") - F("tax_cents")) * 10_000 - F("owed_micros"),
                ),
            ),
        ),
    ]
