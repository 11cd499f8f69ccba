"""Each membership knows the budgets that it is under now."""

from datetime import UTC, datetime

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0030_teams")]

    operations = [
        migrations.AddField(
            "membership",
            "budgets",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), null=True, size=None
            ),
        ),
        migrations.AddField(
            "membership",
            "budgets_until",
            models.DateTimeField(db_default=datetime(1970, 1, 1, tzinfo=UTC)),
        ),
    ]
