"""Open holds are counted on their wallet, and a hold may take from budgets, too.

The counts are made by SQL, in one statement. A web process of the version before does not count: it
must have ended before this is run.
"""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import F, Q

COUNT = """
UPDATE credits_account account SET open_holds = open.n
  FROM (SELECT account_id, count(*) AS n FROM credits_hold GROUP BY account_id) AS open
 WHERE open.account_id = account.id
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0013_holds_name_their_program")]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("owner_kind", models.CharField(max_length=16)),
                ("owner", models.CharField(max_length=64)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(null=True)),
                ("limit_micros", models.BigIntegerField(null=True)),
                ("held_micros", models.BigIntegerField(db_default=0, default=0)),
                ("spent_micros", models.BigIntegerField(db_default=0, default=0)),
                ("over_micros", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("owner_kind", "owner", "starts_at"), name="budget_once_per_period"
                    ),
                    models.CheckConstraint(
                        condition=Q(("ends_at", None), ("ends_at__gt", F("starts_at")), _connector="OR"),
                        name="budget_ends_after_its_start",
                    ),
                    models.CheckConstraint(
                        condition=Q(("limit_micros", None), ("limit_micros__gte", 0), _connector="OR"),
                        name="budget_limit_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            ("held_micros__gte", 0), ("over_micros__gte", 0), ("spent_micros__gte", 0)
                        ),
                        name="budget_taken_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=Q(
                            ("limit_micros", None),
                            ("limit_micros__gte", F("held_micros") + F("spent_micros") - F("over_micros")),
                            _connector="OR",
                        ),
                        name="budget_never_exceeded",
                    ),
                ],
            },
        ),
        migrations.AddField(
            "hold",
            "budgets",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), null=True, size=None
            ),
        ),
        migrations.AddField("account", "open_holds", models.IntegerField(db_default=0, default=0)),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
        migrations.RemoveConstraint("account", "account_house_is_summed"),
        migrations.AddConstraint(
            "account",
            models.CheckConstraint(
                condition=Q(
                    ("kind", "wallet"),
                    Q(("balance_micros", 0), ("events", 0), ("held_micros", 0), ("open_holds", 0)),
                    _connector="OR",
                ),
                name="account_house_is_summed",
            ),
        ),
        migrations.AddConstraint(
            "account",
            models.CheckConstraint(
                condition=Q(
                    Q(("held_micros", 0), ("open_holds", 0)),
                    Q(("held_micros__gt", 0), ("open_holds__gt", 0)),
                    _connector="OR",
                ),
                name="account_open_holds_counted",
            ),
        ),
    ]
