"""How many calls may run at once follows from what was paid, and large ones are counted apart.

Both counts are made by SQL, in one statement each. A web process of the version before does not
count large ones: it must have ended before this is run.
"""

from django.db import migrations, models
from django.db.models import F, Q

PAID = """
UPDATE credits_account account SET paid_micros = paid.micros
  FROM (SELECT wallet, sum(micros) AS micros
          FROM (SELECT credit_id AS wallet, amount_micros AS micros FROM credits_entry
                 WHERE kind IN ('top_up', 'refund', 'dispute')
                 UNION ALL
                SELECT debit_id, -amount_micros FROM credits_entry
                 WHERE kind IN ('top_up', 'refund', 'dispute')) AS moved
         GROUP BY wallet) AS paid
 WHERE paid.wallet = account.id AND account.kind = 'wallet'
"""
LARGE = """
UPDATE credits_account account SET open_large = open.n
  FROM (SELECT account_id, count(*) AS n FROM credits_hold
         WHERE amount_micros >= 5000000 GROUP BY account_id) AS open
 WHERE open.account_id = account.id
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0030_allowances")]

    operations = [
        migrations.AddField("account", "open_large", models.IntegerField(db_default=0, default=0)),
        migrations.AddField(
            "account", "paid_micros", models.BigIntegerField(db_default=0, default=0)
        ),
        migrations.AddField("account", "concurrency", models.IntegerField(blank=True, null=True)),
        migrations.RunSQL(PAID, migrations.RunSQL.noop),
        migrations.RunSQL(LARGE, migrations.RunSQL.noop),
        migrations.RemoveConstraint("account", "account_house_is_summed"),
        migrations.AddConstraint(
            "account",
            models.CheckConstraint(
                condition=Q(
                    ("kind", "wallet"),
                    Q(
                        ("balance_micros", 0),
                        ("events", 0),
                        ("held_micros", 0),
                        ("open_holds", 0),
                        ("paid_micros", 0),
                    ),
                    _connector="OR",
                ),
                name="account_house_is_summed",
            ),
        ),
        migrations.AddConstraint(
            "account",
            models.CheckConstraint(
                condition=Q(open_large__gte=0, open_large__lte=F("open_holds")),
                name="account_open_large_among_the_open",
            ),
        ),
        migrations.AddConstraint(
            "account",
            models.CheckConstraint(
                condition=Q(concurrency=None) | Q(concurrency__gte=-1),
                name="account_concurrency_known",
            ),
        ),
    ]
