"""A budget has one sum: what open holds took from it, and what ended ones left there.

Before, a hold that ended at its full amount moved it from one sum to another, and what was left
stayed the same: now such an end writes nothing. How much of it is held follows from the open holds.
And its rows get room on their pages, as wallets have: a row that stays on its page leaves its
indexes alone. A web process of the version before must have ended before this is run.
"""

from django.db import migrations, models
from django.db.models import F, Q

SUM = "UPDATE credits_budget SET taken_micros = held_micros + spent_micros"
PARTS = """
UPDATE credits_budget budget
   SET held_micros = open.micros, spent_micros = taken_micros - open.micros
  FROM (SELECT one.id, (SELECT coalesce(sum(amount_micros), 0) FROM credits_hold
                         WHERE one.id = ANY (budgets)) AS micros
          FROM credits_budget one) open
 WHERE open.id = budget.id
"""
ROOM = """
ALTER TABLE credits_budget SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
"""
NO_ROOM = "ALTER TABLE credits_budget RESET (fillfactor, autovacuum_vacuum_scale_factor);"


class Migration(migrations.Migration):
    dependencies = [("credits", "0060_accounts_looked_up_one_by_one")]

    operations = [
        migrations.AddField(
            "budget", "taken_micros", models.BigIntegerField(default=0, db_default=0)
        ),
        migrations.RunSQL(SUM, PARTS),
        migrations.RemoveConstraint("budget", "budget_taken_not_negative"),
        migrations.RemoveConstraint("budget", "budget_never_exceeded"),
        migrations.RemoveField("budget", "held_micros"),
        migrations.RemoveField("budget", "spent_micros"),
        migrations.AddConstraint(
            "budget",
            models.CheckConstraint(
                name="budget_taken_not_negative",
                condition=Q(taken_micros__gte=0, over_micros__gte=0),
            ),
        ),
        migrations.AddConstraint(
            "budget",
            models.CheckConstraint(
                name="budget_never_exceeded",
                condition=Q(limit_micros=None)
                | Q(limit_micros__gte=F("taken_micros") - F("over_micros")),
            ),
        ),
        migrations.RunSQL(ROOM, NO_ROOM),
    ]
