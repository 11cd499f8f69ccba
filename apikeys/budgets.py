"""Which budgets a call is under: allowances as a tree (allowances.py sets them).

    workspace ---> project (a name on keys) ---> member ---> key

A call takes its hold from the budget of each of them that has a rule, of each of its periods: the
tree is a set, in which the smallest wins. A key that was made with another key is under that one's
budgets and project, too: nothing is gained by making keys. All rotations of a key are one.

Which budgets run is written on the member's seat and on the key, so that a call finds them in the
rows that it reads anyway. They are looked up anew (`renew`) by the first call after a period ended
or a rule changed. That is right because:

- who changes rules has the workspace's row locked, and declares all of its seats and keys out of
  date in the same transaction (`outdate`); nobody joins or makes a key meanwhile (their rows refer
  to it, and so wait);
- who renews has it locked, too, shared with others who renew, before they read a rule.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from django.db import connection, transaction

from accounts.models import LONG_AGO, Membership
from apikeys import callers
from apikeys.models import ApiKey
from common import db as databases
from credits.books import allowances
from credits.books.allowances import Owner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from common.db import Db

STALE = "least(caller.seat_until, caller.budgets_until) <= now()"
"""Whether what is written of a caller's budgets is out of date."""

_ASKED = f"""
    FROM json_to_recordset(%s::json) AS asked ({callers.COLUMNS}) {callers.FIND}
"""
_LOCK = f"""
    SELECT id FROM accounts_workspace
     WHERE id = ANY (ARRAY(SELECT caller.workspace_id {_ASKED})) ORDER BY id FOR SHARE
"""  # noqa: S608 - constants of our own
_SHARE = "SELECT id FROM accounts_workspace WHERE id = %s FOR SHARE"
_WHO = f"""
    WITH RECURSIVE called AS (
        SELECT DISTINCT caller.id, caller.seat_id, caller.workspace_id, caller.user_id {_ASKED}
         WHERE caller.seat_id IS NOT NULL
    ), line AS (
        SELECT called.id, key.family, key.project, key.made_by_id, key.run_id
          FROM called JOIN apikeys_apikey key ON key.id = called.id
         UNION
        SELECT line.id, key.family, key.project, key.made_by_id, key.run_id
          FROM line JOIN apikeys_apikey key ON key.id = line.made_by_id
    )
    SELECT called.id, called.seat_id, called.workspace_id, called.user_id,
           array_agg(DISTINCT line.family) FILTER (WHERE line.family IS NOT NULL),
           array_agg(DISTINCT line.project) FILTER (WHERE line.project <> ''),
           array_agg(DISTINCT line.run_id) FILTER (WHERE line.run_id IS NOT NULL)
      FROM called LEFT JOIN line ON line.id = called.id
     GROUP BY called.id, called.seat_id, called.workspace_id, called.user_id
"""  # noqa: S608 - constants of our own
"""Who calls, and the keys by which theirs was made, as one line."""

_NOTE = """
    WITH found AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS found (id {type}, budgets bigint[], until text)
    ), mine AS MATERIALIZED (
        SELECT id FROM {table} WHERE id = ANY (ARRAY(SELECT id FROM found))
         ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE {table} one
       SET budgets = found.budgets,
           budgets_until = coalesce(found.until, '9999-01-01Z')::timestamptz
      FROM found
     WHERE one.id = found.id AND one.id = ANY (ARRAY(SELECT id FROM mine))
"""
_NOTE_SEATS = _NOTE.format(table="accounts_membership", type="bigint")
_NOTE_KEYS = _NOTE.format(table="apikeys_apikey", type="uuid")


async def renew(db: Db, asked: Sequence[Any]) -> None:
    """Look up the budgets of these callers (`callers.Asked`) that run now, and write them down."""
    given = orjson.dumps(asked).decode()
    for left in reversed(range(databases.TRIES)):
        try:
            async with db.transaction():
                await _renew(db, given)
        except psycopg.Error as exc:
            if not left or exc.sqlstate not in databases.RACED:
                raise
        else:
            return
        await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - not both at once again


async def _renew(db: Db, given: str) -> None:
    await db.execute(_LOCK, [given])
    callers_found = await (await db.execute(_WHO, [given])).fetchall()
    seats: dict[int, list[Owner]] = {}
    keys: dict[str, list[Owner]] = {}
    for key, seat, workspace, user, families, projects, runs in callers_found:
        seats[seat] = [workspaces(workspace), members(workspace, user)]
        if key is not None:
            keys[str(key)] = [
                *(Owner("key", str(each)) for each in families or ()),
                *(project(workspace, each) for each in projects or ()),
                *(of_run(each) for each in runs or ()),
            ]
    owners = sorted({owner for some in (*seats.values(), *keys.values()) for owner in some})
    parameters = allowances.asked(owners)
    await db.execute(allowances.MAKE, parameters)
    await db.execute(allowances.FOLLOW, parameters)
    running: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for kind, owner, budget, end in await (
        await db.execute(allowances.CURRENT, parameters)
    ).fetchall():
        assert budget is not None, "each rule has its budget: both were made at one time"
        running.setdefault((kind, owner), []).append((budget, end))
    for statement, places in ((_NOTE_SEATS, seats), (_NOTE_KEYS, keys)):
        await db.execute(statement, [orjson.dumps(_notes(places, running)).decode()])


def _notes(
    places: dict[Any, list[Owner]], running: dict[tuple[str, str], list[tuple[int, Any]]]
) -> list[dict[str, Any]]:
    """Return what is to be written on each row: its budgets, and until when these run."""
    notes = []
    for place, owners in sorted(places.items()):
        found = [each for owner in owners for each in running.get((owner.kind, owner.id), ())]
        ends = [end for _, end in found if end is not None]
        notes.append(
            {
                "id": place,
                "budgets": sorted(budget for budget, _ in found) or None,
                "until": min(ends).isoformat() if ends else None,
            }
        )
    return notes


def workspaces(workspace_id: UUID) -> Owner:
    """Return whose the budgets of a workspace are."""
    return Owner("workspace", str(workspace_id))


def members(workspace_id: UUID, user_id: UUID) -> Owner:
    """Return whose the budgets of a member are: theirs in this workspace."""
    return Owner("member", f"{workspace_id}/{user_id}", str(workspace_id))


def project(workspace_id: UUID, name: str) -> Owner:
    """Return whose the budgets of a project are."""
    return Owner("project", f"{workspace_id}/{name}")


def of_run(run_id: UUID) -> Owner:
    """Return whose the budget of a run is: what it may cost, with all that its nodes call."""
    return Owner("run", str(run_id))


def brought_up(workspace_id: UUID, owners: Sequence[Owner]) -> None:
    """Have the budgets of these owners that run now be there, and follow their rules."""
    parameters = allowances.asked(sorted(owners))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SHARE, [workspace_id])
        cursor.execute(allowances.MAKE, parameters)
        cursor.execute(allowances.FOLLOW, parameters)


def running(workspace_id: UUID, owners: Sequence[Owner]) -> list[int] | None:
    """Return the ids of their budgets that run now, until the transaction ends that asks.

    None: one is not there yet (`brought_up`).
    """
    with connection.cursor() as cursor:
        cursor.execute(_SHARE, [workspace_id])
        cursor.execute(allowances.CURRENT, allowances.asked(sorted(owners)))
        found = [budget for _, _, budget, _ in cursor.fetchall()]
    return None if None in found else sorted(found)


def of_key(key: ApiKey) -> list[Owner]:
    """Return all whose budgets a key's calls are under."""
    found, line = [workspaces(key.workspace_id), members(key.workspace_id, key.user_id)], key
    while True:
        found += [Owner("key", str(line.family))]
        found += [project(key.workspace_id, line.project)] if line.project else []
        if line.made_by is None:
            return list(dict.fromkeys(found))
        line = line.made_by


def outdate(workspace_id: UUID) -> None:
    """Have every caller of a workspace look its budgets up anew; its row is locked."""
    Membership.objects.filter(workspace_id=workspace_id).update(budgets_until=LONG_AGO)
    ApiKey.objects.filter(workspace_id=workspace_id).update(budgets_until=LONG_AGO)
