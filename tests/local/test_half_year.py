"""The played clock, and whom the half year is not played for."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import databases
import psycopg
import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, generate_totp_secret, hotp_value

from local import code
from local.halfyear import __main__ as halfyear
from local.halfyear import clock, filling, told
from local.supervisor import Failed

MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFAULT = """
    SELECT count(*) FROM pg_attrdef WHERE pg_get_expr(adbin, adrelid) LIKE '%played.%'
"""
AS_IT_IS = """
    SELECT adrelid::regclass || ' ' || adnum || ' ' || pg_get_expr(adbin, adrelid) FROM pg_attrdef
     UNION ALL SELECT oid::regprocedure || ' ' || coalesce(proconfig::text, '') FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace
     UNION ALL SELECT nspname FROM pg_namespace
     UNION ALL SELECT setconfig::text FROM pg_db_role_setting
"""


@pytest.fixture
def fresh(migrated, django_db_blocker):
    """A migrated database of its own, by its address."""
    name = "played"
    with django_db_blocker.unblock():
        databases.sql(
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {migrated}",
        )
    yield urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    with django_db_blocker.unblock():
        databases.sql(f"DROP DATABASE {name} WITH (FORCE)")


def ask(url, query, **more):
    with psycopg.connect(url, **more) as connection:
        return connection.execute(query).fetchall()


def as_it_is(url):
    """What there is of defaults, functions, schemas and settings; months of calls stay."""
    return sorted(each for (each,) in ask(url, AS_IT_IS) if not each.startswith("usage_call_2"))


def test_a_database_goes_by_the_played_time(fresh, tmp_path):
    ticking = clock.Clock(tmp_path / "clock", fresh)
    ticking.begin(MARCH)

    for name in clock.NAMES:
        ((at,),) = ask(fresh, f"SELECT {name}()")
        assert timedelta() <= at - MARCH < timedelta(minutes=1), name
    # With another search path a name is told with its schema.
    assert ask(fresh, DEFAULT, options="-c search_path=public")[0][0] > 50
    ((at,),) = ask(
        fresh,
        "INSERT INTO desk_note (workspace_id, words, by)"
        " VALUES (gen_random_uuid(), 'x', gen_random_uuid()) RETURNING created_at",
    )
    assert at.month == 3
    assert ask(fresh, "SELECT to_regclass('usage_call_2026_04')") != [(None,)]
    ticking.set(MARCH + timedelta(days=9))
    ticking.set(MARCH + timedelta(days=3))  # It never goes back.
    ((at,),) = ask(fresh, "SELECT now()")
    assert at.day == 10
    ticking.end()


def test_nothing_of_it_stays_in_the_database(fresh, tmp_path):
    before = as_it_is(fresh)
    ticking = clock.Clock(tmp_path / "clock", fresh)
    ticking.begin(MARCH)
    assert as_it_is(fresh) != before

    ticking.end()

    assert as_it_is(fresh) == before
    ((late,),) = ask(fresh, "SELECT clock_timestamp()")
    assert abs(late - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_program_goes_by_the_same_time(tmp_path):
    file = tmp_path / "clock"
    shift = round((MARCH - datetime.now(UTC)).total_seconds() * 1_000_000)
    file.write_bytes(clock.FORMAT.pack(shift))
    words = "import time; from django.utils import timezone as z; from common import ids;"
    words += "print(time.time(), time.time_ns() // 10**9, z.now().timestamp());"
    words += "print(int(ids.uuid7()[:8] + ids.uuid7()[9:13], 16) // 1000)"
    (tmp_path / "asks.py").write_text(words)
    path = os.pathsep.join([str(tmp_path), *sys.path])

    done = subprocess.run(
        [sys.executable, "-m", "local.halfyear.shifted", str(file), "asks"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    for each in done.stdout.split():
        assert 0 <= float(each) - MARCH.timestamp() + 1 < 60


def test_only_a_database_without_members_is_filled(fresh):
    halfyear.require_fresh(fresh)
    with psycopg.connect(fresh) as connection:
        connection.execute(
            "INSERT INTO credits_account (id, kind) VALUES (gen_random_uuid(), 'wallet')"
        )
        connection.execute(
            "INSERT INTO accounts_user (id, password, is_superuser, email, name, is_active,"
            " is_staff, updated_at)"
            " VALUES (gen_random_uuid(), '', false, 'a@example.org', 'A', true, false, now())"
        )

    with pytest.raises(Failed, match="only a fresh one"):
        halfyear.require_fresh(fresh)


def test_what_somebody_has_of_their_own_is_never_filled():
    filling.require_own({"PATH": "/bin"})
    for name in filling.STANDS_IN:
        with pytest.raises(Failed, match=name):
            filling.require_own({name: "x"})


def test_a_folder_that_was_used_is_not_filled(fresh, tmp_path):
    class Server:
        def dsn(self, name):
            return urlunsplit(urlsplit(fresh)._replace(path=f"/{name}"))

    with pytest.raises(Failed, match="a fresh folder"):
        filling.make(Server(), "played", tmp_path)


def test_a_code_is_the_one_that_an_app_shows(tmp_path, capsys):
    secret = generate_totp_secret()

    for step in (1, 59, 55_555_555):
        assert told.code(secret, step * 30 + 7) == format_hotp_value(hotp_value(secret, step))
    assert code.main(["nobody@example.org", "--data", str(tmp_path)]) == 1
    assert "no half year" in capsys.readouterr().err
