"""Each membership knows the budgets that it is under now, and is found by its unique pair alone."""

from datetime import UTC, datetime

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0030_teams")]

    operations = [
        migrations.AlterField(
            "membership",
            "workspace",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="memberships",
                to="accounts.workspace",
            ),
        ),
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
