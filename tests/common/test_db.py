"""A statement that another transaction undid is run again; and what an error means to who asked."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connections

from common import db
from local.processes import free_port

pytestmark = pytest.mark.usefixtures("committed")
# A sequence counts tries, because nothing takes its numbers back.
FAILS = """
    CREATE TEMPORARY SEQUENCE tries;
    CREATE FUNCTION pg_temp.fails(state text, times int) RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE n bigint := nextval('tries');
    BEGIN
        IF n <= times THEN RAISE 'not yet' USING ERRCODE = state; END IF;
        RETURN n;
    END $$
"""


@pytest.fixture
async def connection():
    made = await db.connect()
    await made.execute(FAILS, prepare=False)
    yield made
    await made.close()


@pytest.mark.parametrize("state", ["40P01", "40001", "23505"])
async def test_what_another_transaction_undid_is_run_again(connection, state):
    assert await db.rows(connection, "SELECT pg_temp.fails(%s, %s)", state, 2) == [(3,)]


async def test_not_for_ever(connection):
    with pytest.raises(psycopg.errors.DeadlockDetected):
        await db.rows(connection, "SELECT pg_temp.fails(%s, %s)", "40P01", 99)

    assert await db.rows(connection, "SELECT nextval('tries')") == [(db.TRIES + 1,)]


@pytest.mark.parametrize("state", ["23514", "22P02", "53100", "57014"])
async def test_any_other_error_is_raised_at_once(connection, state):
    with pytest.raises(psycopg.Error):
        await db.rows(connection, "SELECT pg_temp.fails(%s, %s)", state, 1)

    assert await db.rows(connection, "SELECT nextval('tries')") == [(2,)]


async def test_a_server_that_stands_still_is_a_lost_connection(connection, monkeypatch):
    """Keepalives are answered by its machine: nobody would ever hear of it."""
    monkeypatch.setattr(db, "HEARD_SECONDS", 0.3)
    server = connection.info.backend_pid
    os.kill(server, signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(psycopg.OperationalError):
                await db.rows(connection, "SELECT 1")
    finally:
        os.kill(server, signal.SIGCONT)

    assert connection.closed


async def test_who_was_slow_to_listen_loses_nothing(connection, monkeypatch):
    """As after this process itself stood still: the answer is there by then."""
    monkeypatch.setattr(db, "HEARD_SECONDS", 0.3)
    asked = asyncio.create_task(db.rows(connection, "SELECT 7"))
    await asyncio.sleep(0)

    time.sleep(0.6)

    assert await asked == [(7,)]
    assert not connection.closed


async def test_a_statement_may_take_its_time(connection, monkeypatch):
    monkeypatch.setattr(db, "HEARD_SECONDS", 5)

    assert await db.rows(connection, "SELECT pg_sleep(0.2)") != []
    assert not connection.closed


@pytest.mark.parametrize(
    ("state", "passes"),
    [("40P01", True), ("55P03", True), ("53300", True), ("23505", False), ("42601", False)],
)
async def test_djangos_errors_mean_the_same(connection, state, passes):
    with pytest.raises(psycopg.Error) as raised:
        await db.rows(connection, "SELECT pg_temp.fails(%s, %s)", state, 99)
    wrapped = (IntegrityError if state == "23505" else OperationalError)(str(raised.value))
    wrapped.__cause__ = raised.value

    assert db.is_passing(raised.value) is passes
    assert db.is_passing(wrapped) is passes


def test_no_connection_is_a_bad_moment_and_a_mistake_is_none():
    assert db.is_passing(OperationalError("the pool gave none"))
    assert db.is_passing(psycopg.OperationalError("connection refused"))
    assert not db.is_passing(TypeError("a mistake"))
    assert not db.is_passing(psycopg.ProgrammingError("no result"))


SAYS = """
import asyncio, django
django.setup()
from common import db
from django.db import connection

NAMES = "application_name", "geqo", "jit"
WANTED = "SELECT " + ", ".join(f"current_setting('{name}')" for name in NAMES)

async def lane():
    one = await db.connect()
    rows = await db.rows(one, WANTED)
    await one.close()
    return rows[0]

with connection.cursor() as cursor:
    cursor.execute(WANTED)
    print(cursor.fetchone()[:2], asyncio.run(lane()))
"""


@pytest.mark.slow
def test_what_the_database_url_says_of_connections_holds_for_lanes_and_for_django():
    """Also where it says what the lanes set, too; the first of its servers is away."""
    known = connections["default"].get_connection_params()
    host, port = known.get("host", ""), str(known.get("port") or 5432)
    asked = {
        "host": f"127.0.0.1,{host}",
        "port": f"{free_port()},{port}",
        "user": known["user"],
        "connect_timeout": "3",
        "target_session_attrs": "read-write",
        "application_name": "of the operator",
        "options": "-c geqo=off -c jit=on",
    }
    url = f"postgresql:///{known['dbname']}?{urlencode(asked, quote_via=quote)}"
    done = subprocess.run(
        [sys.executable, "-c", SAYS],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )

    own = "('of the operator', 'off')"
    assert done.stdout.strip() == f"{own} ('of the operator', 'off', 'off')", done.stderr
