"""Members under limits: what these cost, beside members without any.

    free       keys without a rule, any number at once, each in a workspace of its own
    limited    the same with a budget of the member, of a project and of the key, and slots
    team       as limited, 200 keys of one workspace, which has a budget, too

Nobody meets a limit; all of them are judged for each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

EACH = 500
TEAM = 200
MEMBERS = 2 * EACH + TEAM

RULES = """
    INSERT INTO credits_allowance (owner_kind, owner, period, limit_micros, set_by)
    SELECT rule.kind, rule.owner, 'month', 1000000000000000, key.user_id
      FROM apikeys_apikey key CROSS JOIN LATERAL (VALUES
               ('key', key.family::text),
               ('project', key.workspace_id || '/film'),
               ('member', key.workspace_id || '/' || key.user_id)) AS rule (kind, owner)
     WHERE key.name::int BETWEEN %s AND %s ON CONFLICT DO NOTHING
"""
OF_TEAM = """
    INSERT INTO credits_allowance (owner_kind, owner, period, limit_micros, set_by)
    SELECT 'workspace', workspace_id, 'month', 1000000000000000, user_id
      FROM apikeys_apikey WHERE name = %s
"""
TEAMED = """
    WITH team AS (SELECT workspace_id AS id FROM apikeys_apikey WHERE name = %(first)s::text),
    joined AS (
        INSERT INTO accounts_membership (workspace_id, user_id, role)
        SELECT team.id, key.user_id, 'member' FROM apikeys_apikey key, team
         WHERE key.name::int BETWEEN %(first)s + 1 AND %(last)s
    )
    UPDATE apikeys_apikey key SET workspace_id = team.id, created_at = now()
      FROM team WHERE key.name::int BETWEEN %(first)s AND %(last)s
"""
"""Who has joined a workspace has keys there that were made after that."""
IN_PROJECT = "UPDATE apikeys_apikey SET project = 'film' WHERE name::int BETWEEN %s AND %s"
OUTDATED = (
    "UPDATE apikeys_apikey SET budgets_until = 'epoch' WHERE name::int BETWEEN %s AND %s",
    "UPDATE accounts_membership SET budgets_until = 'epoch' WHERE user_id IN"
    " (SELECT user_id FROM apikeys_apikey WHERE name::int BETWEEN %s AND %s)",
)
"""Rules that change are looked up by each key's next call."""
SLOTS = """
    UPDATE credits_account SET concurrency = %s
     WHERE id IN (SELECT workspace_id FROM apikeys_apikey WHERE name::int BETWEEN %s AND %s)
"""


def groups(after: int) -> dict[str, tuple[int, int]]:
    """Return the first and the last number of each group, where `after` members come before."""
    free, limited = after + 1, after + EACH + 1
    team = limited + EACH
    return {
        "free": (free, limited - 1),
        "limited": (limited, team - 1),
        "team": (team, team + TEAM - 1),
    }


def rule(cursor: CursorWrapper, *, after: int) -> None:
    """Have the members after that number be under limits as their group is."""
    numbers = groups(after)
    first, last = numbers["team"]
    cursor.execute(TEAMED, {"first": first, "last": last})
    cursor.execute(OF_TEAM, [str(first)])
    for name in ("limited", "team"):
        cursor.execute(IN_PROJECT, numbers[name])
        cursor.execute(RULES, numbers[name])
        for table in OUTDATED:
            cursor.execute(table, numbers[name])
        cursor.execute(SLOTS, [1000, *numbers[name]])
    cursor.execute(SLOTS, [-1, *numbers["free"]])
