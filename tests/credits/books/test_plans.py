"""What the planner makes of the two statements that every call runs: never a whole table."""

import psycopg
import pytest

from apikeys import budgets
from common import db
from credits.books import allowances
from proxy import sql

TABLES = (
    "credits_account",
    "credits_hold",
    "credits_budget",
    "credits_process",
    "credits_entry",
    "accounts_membership",
    "credits_allowance",
    "accounts_workspace",
    "apikeys_apikey",
    "proxy_kept",
    "proxy_job",
    "usage_call",
)
OFTEN_EMPTY = ("credits_hold", "credits_budget", "credits_allowance", "proxy_")
"""What may grow while a plan stands that was made when there was nothing."""
CROWD = """
INSERT INTO credits_account (id, kind, balance_micros, held_micros, open_holds)
SELECT md5('w' || n)::uuid, 'wallet', 1000000, 10, 1 FROM generate_series(1, 2000) n;
INSERT INTO accounts_workspace (id, kind, name)
SELECT md5('w' || n)::uuid, 'team', 'T' FROM generate_series(1, 2000) n;
INSERT INTO accounts_user (id, email, password, name, is_superuser, is_active, is_staff, updated_at)
VALUES (md5('u')::uuid, 'crowd@example.org', '', '', false, true, false, now());
INSERT INTO accounts_membership (workspace_id, user_id, role)
SELECT md5('w' || n)::uuid, md5('u')::uuid, 'owner' FROM generate_series(1, 2000) n;
INSERT INTO apikeys_apikey (id, workspace_id, user_id, name, description, prefix, digest,
                            pepper_version, scopes, family)
SELECT md5('k' || n)::uuid, md5('w' || n)::uuid, md5('u')::uuid, 'k', '', 'comfyui-0',
       sha256(n::text::bytea), 1, '{proxy}', md5('k' || n)::uuid
  FROM generate_series(1, 2000) n;
"""
NOBODY = r"""
DO $$ DECLARE found text; BEGIN
    FOR found IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'credits\_%' LOOP
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', found);
    END LOOP;
END $$;
TRUNCATE credits_account, credits_hold, credits_entry, proxy_kept, proxy_job, usage_call CASCADE;
"""


def nodes(plan):
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


async def plan_of(connection, statement):
    name = "looked_at"
    await connection.execute(
        f"PREPARE {name} (text) AS {statement.replace('%s', '$1')}", prepare=False
    )
    cursor = await connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ('[]')", prepare=False)
    plan = (await cursor.fetchone())[0][0]["Plan"]
    await connection.execute(f"DEALLOCATE {name}", prepare=False)
    return list(nodes(plan))


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("statement", ["PLACE", "SETTLE", "ACCEPT", "FIND_JOBS"])
@pytest.mark.parametrize("people", [CROWD, NOBODY], ids=["a crowd", "nobody"])
async def test_no_call_reads_a_table_whole(people, statement):
    connection = await db.connect()
    try:
        async with connection.transaction():
            await connection.execute(people, prepare=False)
            await connection.execute("ANALYZE " + ", ".join(TABLES), prepare=False)
            found = await plan_of(connection, getattr(sql, statement))
            raise psycopg.Rollback
    finally:
        await connection.close()

    assert any(node.get("Index Name") for node in found)
    assert read_whole(found, TABLES if people is CROWD else OFTEN_EMPTY) == []


def read_whole(found, tables):
    """Also by an index, in which nothing is looked up."""
    return [
        node["Relation Name"]
        for node in found
        if node["Node Type"].startswith(("Seq Scan", "Index"))
        and node.get("Relation Name", "").startswith(tables)
        and "Index Cond" not in node
    ]


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("people", [CROWD, NOBODY], ids=["a crowd", "nobody"])
@pytest.mark.parametrize(
    "name", ["MAKE", "FOLLOW", "CURRENT", "_LOCK", "_NOTE_SEATS", "_NOTE_KEYS"]
)
async def test_looking_budgets_up_reads_no_table_whole(people, name):
    statement = getattr(allowances, name, None) or getattr(budgets, name)
    names = ["kinds", "owners", "groups", "zone"]
    statement = statement.replace("%s", "$1")
    for n, parameter in enumerate(names, 1):
        statement = statement.replace(f"%({parameter})s", f"${n}")
    is_lists = name in ("MAKE", "FOLLOW", "CURRENT")
    types, given = ("text[], text[], text[], text", "'{}', '{}', '{}', 'UTC'")
    if not is_lists:
        types, given = "text", "'[]'"
    connection = await db.connect()
    try:
        async with connection.transaction():
            await connection.execute(people, prepare=False)
            await connection.execute("ANALYZE " + ", ".join(TABLES), prepare=False)
            await connection.execute(f"PREPARE looked ({types}) AS {statement}", prepare=False)
            cursor = await connection.execute(
                f"EXPLAIN (FORMAT JSON) EXECUTE looked ({given})", prepare=False
            )
            found = list(nodes((await cursor.fetchone())[0][0]["Plan"]))
            await connection.execute("DEALLOCATE looked", prepare=False)
            raise psycopg.Rollback
    finally:
        await connection.close()

    assert any(node.get("Index Name") for node in found)
    assert read_whole(found, TABLES if people is CROWD else OFTEN_EMPTY) == []


PLACED_AND_ENTERED = """
INSERT INTO credits_hold (id, account_id, amount_micros, expires_at)
SELECT md5('h' || n || clock_timestamp())::uuid, md5('w' || n)::uuid, 1, now() + interval '1 hour'
  FROM generate_series(1, 400) n;
INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key)
SELECT 'call', md5('w' || n)::uuid, '00000000-0000-0000-0000-000000000001', 1,
       md5('e' || n || clock_timestamp())
  FROM generate_series(1, 400) n;
"""
READ = """
SELECT pg_stat_get_xact_tuples_returned('credits_account'::regclass)
       + pg_stat_get_xact_tuples_returned('credits_account_pkey'::regclass)
"""


@pytest.mark.usefixtures("committed")
async def test_accounts_are_checked_without_reading_them_all():
    """The triggers' plans are made from the first batch, which is a large one here."""
    connection = await db.connect()
    try:
        async with connection.transaction():
            await connection.execute(CROWD, prepare=False)
            await connection.execute("ANALYZE credits_account", prepare=False)
            (before,) = await (await connection.execute(READ, prepare=False)).fetchone()
            await connection.execute(PLACED_AND_ENTERED, prepare=False)
            (after,) = await (await connection.execute(READ, prepare=False)).fetchone()
            raise psycopg.Rollback
    finally:
        await connection.close()

    assert 3 * 400 <= after - before < 4 * 400


@pytest.mark.usefixtures("committed")
async def test_a_lanes_connection_is_pinned_and_limited():
    connection = await db.connect()
    try:
        found = {}
        for name in ("plan_cache_mode", "statement_timeout", "lock_timeout", "jit"):
            cursor = await connection.execute(f"SHOW {name}", prepare=False)
            found[name] = (await cursor.fetchone())[0]
    finally:
        await connection.close()

    assert found == {
        "plan_cache_mode": "force_generic_plan",
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "jit": "off",
    }
