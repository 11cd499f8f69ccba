"""The role of the programs: what it may not do is refused by grant, and all that they do works.

Purchases and refunds as that role: tests/credits/payments/test_money_as_program.py; real processes:
tests/system/test_programs_role.py.
"""

import uuid
from importlib import import_module

import psycopg
import pytest
from config import grants
from config.doctor import database
from config.doctor.verdicts import State
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from accounts import signup
from common.money import usd
from credits.books import holds
from credits.gifts import grants as gifts
from credits.models import Account, Entry
from usage import partitions

FORBIDDEN = {
    "an entry's amount": "UPDATE credits_entry SET amount_micros = 1",
    "an entry": "DELETE FROM credits_entry",
    "all entries": "TRUNCATE credits_entry CASCADE",
    "the trigger of entries": "ALTER TABLE credits_entry DISABLE TRIGGER entry_insert_only",
    "triggers for this session": "SET session_replication_role = replica",
    "a seal": "UPDATE credits_seal SET position = position",
    "seals": "DELETE FROM credits_seal",
    "a published price": "UPDATE prices_version SET number = number",
    "a wallet": "DELETE FROM credits_account",
    "a purchase": "DELETE FROM credits_topup",
    "a refund": "DELETE FROM credits_refund",
    "a call's charge": "UPDATE usage_call SET charged_micros = 0",
    "a call": "DELETE FROM usage_call",
    "a month of calls": "DROP TABLE usage_call",
    "what somebody did": "UPDATE audit_event SET action = 'x'",
    "the log of what was done": "TRUNCATE audit_event",
    "a table": "CREATE TABLE of_mine (id int)",
    "a function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "which migrations ran": "DELETE FROM django_migrations",
    "a column": "ALTER TABLE accounts_user ADD COLUMN more text",
    "a file of the server's": "COPY credits_entry TO '/tmp/entries'",
    "a role": "CREATE ROLE more",
}


def raw():
    connection.ensure_connection()
    return connection.connection


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_a_program_may_not_change(as_program, what):
    with pytest.raises(ProgrammingError) as refused, transaction.atomic():
        connection.cursor().execute(FORBIDDEN[what])

    assert isinstance(refused.value.__cause__, psycopg.errors.InsufficientPrivilege)


def test_a_month_or_a_day_cannot_be_reached_past_its_parent(as_program):
    parts = [row[0] for row in raw().execute(grants.PARTITIONS)]
    assert {each.rstrip("0123456789_") for each in parts} >= {"proxy_kept", "usage_call"}

    for part in set(parts) - set(grants.STILL_NAMED):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            connection.cursor().execute(f"DELETE FROM {part}")


def test_a_program_makes_members_and_moves_money(as_program):
    user = signup.sign_up(email=f"{uuid.uuid4().hex}@example.org")
    wallet = user.personal_workspace.wallet
    gifts.grant(wallet=wallet, amount=usd("2"), key=uuid.uuid4().hex, reason="test")
    hold = holds.place(wallet.pk, amount=usd("1"), ttl_seconds=60)
    holds.void(hold)

    now = Account.objects.get(pk=wallet.pk)
    assert (now.balance_micros, now.held_micros) == (usd("2"), 0)
    assert Entry.objects.filter(credit=wallet.pk).count() == 1


def test_a_program_makes_the_months_of_calls(as_program):
    partitions.make()


def test_months_are_made_for_a_year_at_most(db):
    with pytest.raises(Exception, match="partitions_ahead"), transaction.atomic():
        connection.cursor().execute("SELECT usage_make_partitions(13)")


@pytest.mark.parametrize("name", sorted(settings.CELERY_BEAT_SCHEDULE))
def test_what_beat_begins_works_for_a_program(as_program, name, alice):
    """With nothing to do, or little: each table that a round looks at may be looked at."""
    module, _, task = settings.CELERY_BEAT_SCHEDULE[name]["task"].rpartition(".")
    arguments = settings.CELERY_BEAT_SCHEDULE[name].get("args", [])

    getattr(import_module(module), task).run(*arguments)


def test_rights_that_are_as_they_must_be_differ_in_nothing(role):
    assert list(grants.differences(raw(), role)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("GRANT UPDATE ON credits_entry TO {}", "has UPDATE on credits_entry"),
        ("GRANT UPDATE (kind) ON credits_entry TO {}", "has UPDATE of credits_entry.kind"),
        ("GRANT TRUNCATE ON audit_event TO {}", "has TRUNCATE on audit_event"),
        ("GRANT CREATE ON SCHEMA public TO {}", "has CREATE on the schema"),
        ("REVOKE INSERT ON credits_hold FROM {}", "lacks INSERT on credits_hold"),
        ("REVOKE UPDATE (attempts) ON usage_call FROM {}", "lacks UPDATE of usage_call.attempts"),
        (
            "REVOKE EXECUTE ON FUNCTION usage_make_partitions(integer) FROM {}",
            "lacks EXECUTE on usage_make_partitions(integer)",
        ),
    ],
)
def test_a_right_too_many_or_too_few_is_named(role, change, told):
    raw().execute(change.format(role))

    assert list(grants.differences(raw(), role)) == [told]

    for statement in list(grants.statements(raw(), role)):
        raw().execute(statement)
    assert list(grants.differences(raw(), role)) == []


def test_every_table_that_is_named_is_there(db):
    tables = {row[0] for row in raw().execute(grants.TABLES)}

    assert tables >= grants.RIGHTS.keys() | grants.COLUMNS.keys()


@pytest.mark.parametrize(
    ("name", "words"), [("nobody_at_all", "There is no role"), ("postgres", "superuser")]
)
def test_a_role_that_cannot_be_one_of_programs_is_refused(db, name, words):
    with pytest.raises(CommandError, match=words):
        call_command("grants", name)


def test_the_owner_of_the_tables_is_refused(role):
    (owner,) = (
        raw()
        .execute("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'credits_entry'")
        .fetchone()
    )
    raw().execute(f"GRANT {owner} TO {role}")

    with pytest.raises(grants.Unfit, match="owner"):
        grants.require_fit(raw(), role)


def test_the_doctor_tells_of_programs_that_own_the_books(db):
    (said,) = [each for each in database.look() if each.check == "role"]

    assert said.state is State.WARNING
    assert "superuser" in said.sentence
