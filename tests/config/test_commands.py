import io
import json
import uuid

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from accounts.models import User
from apikeys import keys
from apikeys.models import ApiKey
from credits.books import holds
from credits.models import Account, Adjustment
from desk import roles
from tests.empty_books import empty_books
from usage.models import Call


def add(*arguments):
    """Add a member; Grace of staff gives the credits, if any are given."""
    grace, _ = User.objects.get_or_create(email="grace@example.org", defaults={"is_staff": True})
    roles.assign(grace, ["finance"], by=None)
    out, given = io.StringIO(), any(each.startswith("--credits") for each in arguments)
    by = ("--by", "grace@example.org", "--reason", "asked for") if given else ()
    call_command("member", "add", *arguments, *by, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_member_is_added_with_credits_and_a_key_as_json():
    made = json.loads(add("Carol@example.org", "--credits", "5", "--key", "laptop", "--json"))

    assert {"user_id", "email", "workspace_id", "api_key", "key_id"} <= set(made)
    given = Adjustment.objects.get(pk=made["adjustment_id"])
    assert (given.state, given.is_gift, given.reason) == ("posted", True, "asked for")
    assert made["email"] == "carol@example.org"
    found = keys.authenticate(made["api_key"])
    assert (str(found.user_id), str(found.workspace_id)) == (made["user_id"], made["workspace_id"])
    assert Account.objects.get(pk=made["workspace_id"]).balance_micros == 5_000_000


@pytest.mark.django_db
def test_adding_again_finds_the_member_and_adds_credits():
    first = json.loads(add("carol@example.org", "--credits", "0.06", "--json"))
    second = json.loads(add("CAROL@example.org", "--credits", "1", "--key", "b", "--json"))

    assert first["user_id"] == second["user_id"]
    assert "api_key" not in first
    assert Account.objects.get(pk=first["workspace_id"]).balance_micros == 1_060_000
    assert User.objects.filter(email="carol@example.org").count() == 1


@pytest.mark.django_db
def test_without_json_it_is_lines_for_a_person():
    assert "email: carol@example.org\n" in add("carol@example.org", "--password", "long enough")
    assert User.objects.get(email="carol@example.org").check_password("long enough")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "amount", ["-1", "five", "NaN", "Infinity", "0.0000001", "1000001", "", "1e999999", "sNaN"]
)
def test_an_amount_that_is_none_is_refused_and_nothing_is_made(amount):
    with pytest.raises(CommandError, match="dollars"):
        add("carol@example.org", f"--credits={amount}")
    assert not User.objects.filter(email="carol@example.org").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [("no-address",), ("carol@example.org", "--key", " ")])
def test_a_refusal_is_a_sentence_and_leaves_nothing(arguments):
    with pytest.raises(CommandError, match=r"is not an e-mail address|needs a name"):
        add(*arguments)
    assert not User.objects.filter(email="carol@example.org").exists()


@pytest.fixture
def clean_books(db):
    """Take away what other tests committed, in a transaction that ends with the test."""
    empty_books()


@pytest.fixture
def carol(clean_books, make_member):
    """Carol has spent ten cents of two dollars, and 30 are held."""
    member = make_member("2.00")
    spent = holds.place(member.workspace_id, amount=100_000, ttl_seconds=60)
    holds.capture(spent, 100_000)
    holds.place(member.workspace_id, amount=300_000, ttl_seconds=60)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_call (id, workspace_id, number, vendor, operation, run_id, outcome,"
            " reason, status, quoted_micros, held_micros, charged_micros, price_version, attempts,"
            " vendor_job_id, vendor_request_id, facts, started_at, settled_at)"
            " VALUES (%s, %s, 2, 'bfl', 'ultra', '', 'delivered', '', 200, 100000, 100000, 100000,"
            " '1', 1, '', '', '{}', now(), now())",
            [spent.id, member.workspace_id],
        )
    return member


def reconcile():
    out = io.StringIO()
    status = 0
    try:
        call_command("reconcile", stdout=out)
    except SystemExit as exc:
        status = exc.code
    return status, out.getvalue()


def test_books_that_agree_are_proved(carol):
    status, text = reconcile()

    assert "DIFFERS" not in text
    assert status == 0
    assert "$2.10" in text, "two dollars came, and ten cents went"
    assert "$0.30" in text


TAMPERED = {
    "a balance": "UPDATE credits_account SET balance_micros = balance_micros + 1 WHERE id = %(w)s",
    "what is held": "UPDATE credits_account SET held_micros = held_micros - 1 WHERE id = %(w)s",
    "a hold": "UPDATE credits_hold SET amount_micros = amount_micros + 1 WHERE account_id = %(w)s",
    "a hold that vanished": "DELETE FROM credits_hold WHERE account_id = %(w)s",
    "a number": "UPDATE credits_account SET events = events + 1 WHERE id = %(w)s",
    "a call's number": "UPDATE usage_call SET number = 3 WHERE workspace_id = %(w)s",
    "a call that vanished": "DELETE FROM usage_call WHERE workspace_id = %(w)s",
    "an entry": "UPDATE credits_entry SET amount_micros = 5 WHERE event_wallet_id = %(w)s",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_changed_by_hand_is_named(carol, what):
    with connection.cursor() as cursor:
        cursor.execute(TAMPERED[what], {"w": carol.workspace_id})

    status, text = reconcile()

    assert status == 1
    assert "DIFFERS" in text
    assert f"wallet {carol.workspace_id}" in text


@pytest.mark.parametrize(
    "change", ["charged_micros = charged_micros - 1", f"workspace_id = '{uuid.UUID(int=7)}'"]
)
def test_a_call_that_was_changed_by_hand_is_named(carol, change):
    call = Call.objects.get(workspace_id=carol.workspace_id)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE usage_call SET {change} WHERE id = %s", [call.pk])

    status, text = reconcile()

    assert status == 1
    assert f"call {call.pk}" in text


def test_a_hold_that_nobody_sweeps_is_named(carol):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_hold SET placed_at = now() - interval '1 hour',"
            " expires_at = now() - interval '11 minutes' RETURNING id"
        )
        (hold,) = cursor.fetchone()

    status, text = reconcile()

    assert status == 1
    assert f"hold {hold} expired" in text


def test_outside_a_transaction_it_reads_one_snapshot(committed):
    status, text = reconcile()

    assert status in (0, 1)
    assert "each wallet's balance is the sum of its entries" in text


def test_a_key_is_made_for_what_was_asked(db):
    out = io.StringIO()

    call_command(
        *("member", "add", "grace@example.org", "--key", "billing", "--json"),
        *("--scope", "usage:read", "--scope", "keys:manage"),
        stdout=out,
    )

    made = json.loads(out.getvalue())
    assert ApiKey.objects.get(pk=made["key_id"]).scopes == ["usage:read", "keys:manage"]


def test_a_member_of_staff_with_a_proven_address_gets_the_welcome(db, settings):
    settings.WELCOME_GRANT_MICROS = 2_000_000
    User.objects.update(is_staff=False)

    for _ in range(2):
        call_command("member", "add", "hopper@example.org", "--staff", "--verified")

    user = User.objects.get(email="hopper@example.org")
    assert user.is_staff
    assert user.personal_workspace.wallet.balance_micros == 2_000_000
