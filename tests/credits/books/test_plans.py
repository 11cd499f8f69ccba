"""What the planner makes of the two statements that every call runs: never a whole table."""

import psycopg
import pytest

from common import db
from proxy import sql

TABLES = (
    "credits_account",
    "credits_hold",
    "credits_budget",
    "credits_process",
    "credits_entry",
    "accounts_membership",
    "accounts_workspace",
    "apikeys_apikey",
    "proxy_answer",
    "proxy_job",
    "usage_call",
)
CROWD = """
INSERT INTO credits_account (id, kind, balance_micros, held_micros, open_holds)
SELECT md5('w' || n)::uuid, 'wallet', 1000000, 10, 1 FROM generate_series(1, 2000) n;
INSERT INTO accounts_workspace (id, kind, name)
SELECT md5('w' || n)::uuid, 'team', 'T' FROM generate_series(1, 2000) n;
INSERT INTO accounts_user (id, email, password, name, is_superuser, is_active, is_staff, updated_at)
VALUES (md5('u')::uuid, 'crowd@example.org', '', '', false, true, false, now());
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
TRUNCATE credits_account, credits_hold, credits_entry, proxy_answer, proxy_job, usage_call CASCADE;
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
    whole = [
        node["Relation Name"]
        for node in found
        if node["Node Type"] == "Seq Scan" and node["Relation Name"].startswith(TABLES)
    ]
    assert whole == []


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
