"""The house's further accounts; a lot for each amount that wallets received so far.

By hand: rows, and a query over the books. What was spent of these lots is worked out when somebody
asks (lots.py), so each is made whole.
"""

import uuid

from django.db import migrations

HOUSE = {"disputed": 6, "receivable": 7, "tax": 8, "expired": 9}

LOTS = """
INSERT INTO credits_lot (entry_id, wallet_id, kind, amount_micros, left_micros)
SELECT entry.id, entry.credit_id, CASE entry.kind WHEN 'top_up' THEN 'paid' ELSE 'granted' END,
       entry.amount_micros, entry.amount_micros
  FROM credits_entry entry JOIN credits_account wallet ON wallet.id = entry.credit_id
 WHERE wallet.kind = 'wallet'
"""


def open_house(apps, schema_editor):
    Account = apps.get_model("credits", "Account")
    for kind, number in HOUSE.items():
        Account.objects.create(id=uuid.UUID(int=number), kind=kind)


def close_house(apps, schema_editor):
    apps.get_model("credits", "Account").objects.filter(kind__in=HOUSE).delete()


class Migration(migrations.Migration):
    dependencies = [("credits", "0003_money_in_and_out")]

    operations = [
        migrations.RunPython(open_house, close_house),
        migrations.RunSQL(LOTS, "DELETE FROM credits_lot"),
    ]
