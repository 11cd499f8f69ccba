"""What staff do by command: each is somebody's, has a reason, and may be done twice."""

import io
import json
import uuid
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import User
from accounts.signup import sign_up
from apikeys import keys
from audit.models import Event
from common.errors import InvalidRequest, Unauthorized
from common.money import usd
from credits.books import findings, holds, limits
from credits.gifts import vouchers
from credits.models import Adjustment, Entry, Finding, Freeze, Voucher
from desk import roles


@pytest.fixture
def grace(db):
    return _of_staff()


@pytest.fixture
def hopper(db):
    return _of_staff()


def _of_staff(*names):
    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    roles.assign(user, names or roles.ROLES, by=None)
    return user


def do(*words, by=None, reason=None):
    """Run a command; return what it printed."""
    more = (("--by", by.email) if by else ()) + (("--reason", reason) if reason else ())
    out = io.StringIO()
    call_command(*(str(word) for word in words), *more, stdout=out)
    return out.getvalue()


def told(*words, **who):
    return json.loads(do(*words, "--json", **who))


def acts(member):
    try:
        keys.authenticate(member.key)
    except Unauthorized:
        return False
    return True


def test_staff_say_how_many_calls_run_at_once(alice, grace):
    """For a member by their address, for a team by its id; each is noted with what it was."""
    who = {"by": grace, "reason": "a class of twenty"}
    set_to = lambda count, whose=alice.user.email: told("member", "limit", whose, count, **who)  # noqa: E731

    assert set_to("20") == {
        "workspace_id": str(alice.workspace_id), "calls_at_once": 20, "of_them_large": 5
    }  # fmt: skip
    assert set_to("any", str(alice.workspace_id))["calls_at_once"] is None
    assert set_to("0")["calls_at_once"] == 0
    assert set_to("paid")["calls_at_once"] == limits.slots_of(alice.workspace_id)[0].most
    assert alice.now().concurrency is None
    noted = Event.objects.filter(action="concurrency.set", workspace_id=alice.workspace_id)
    assert [(each.before["most"], each.after["most"]) for each in noted.order_by("id")] == [
        (None, 20), (20, -1), (-1, 0), (0, None)
    ]  # fmt: skip
    assert noted.first().actor_id == grace.pk
    assert "20 calls may run at once, and 5 large ones" in do(
        "member", "limit", alice.user.email, 20, **who
    )


@pytest.mark.parametrize("count", ["-1", "many", "100001", "1.5", ""])
def test_what_is_no_number_of_calls_is_a_sentence(alice, grace, count):
    with pytest.raises(CommandError, match="not a number of calls"):
        call_command(
            "member", "limit", alice.user.email, "--by", grace.email, "--reason", "x", "--", count
        )


@pytest.mark.parametrize("whose", ["no id", str(uuid.UUID(int=7)), "nobody@example.org"])
def test_a_workspace_that_is_not_there_is_a_sentence(grace, whose):
    with pytest.raises(CommandError, match="There is no"):
        do("member", "limit", whose, 5, by=grace, reason="x")


# --- Members --------------------------------------------------------------------------------


def test_a_million_dollars_are_somebodys_and_wait_for_another(alice, grace, hopper):
    made = told("member", "add", alice.user.email, "--credits", "1000000", by=grace, reason="oops")

    assert made["credits"] == "waiting"
    assert alice.now().balance_micros == usd("1.00")
    (waits,) = [each for each in told("money", "pending") if each["id"] == made["adjustment_id"]]
    assert (waits["for"], waits["by"], waits["reason"]) == (alice.user.email, grace.email, "oops")
    assert waits["amount_micros"] == usd("1000000")

    with pytest.raises(CommandError, match="a second person must decide"):
        do("money", "approve", made["adjustment_id"], by=grace)
    do("money", "approve", made["adjustment_id"], by=hopper)
    do("money", "approve", made["adjustment_id"], by=hopper)

    assert alice.now().balance_micros == usd("1000001.00")
    assert Entry.objects.filter(key=f"adjustment:{made['adjustment_id']}").count() == 1
    assert made["adjustment_id"] not in do("money", "pending")


def test_what_is_refused_says_why(alice, grace, hopper):
    made = told("money", "give", alice.user.email, "500", by=grace, reason="asked nicely")

    assert "refused" in do("money", "refuse", made["id"], by=hopper, reason="not by us")

    kept = Adjustment.objects.get(pk=made["id"])
    assert (kept.state, kept.decided_by, kept.decision) == ("refused", hopper.pk, "not by us")
    assert alice.now().balance_micros == usd("1.00")


def test_only_the_first_of_staff_is_appointed_by_nobody(db):
    User.objects.update(is_staff=False)
    do("member", "add", "first@example.org", "--staff")
    do("member", "add", "first@example.org", "--staff")  # It is so already.

    with pytest.raises(CommandError, match="needs --by"):
        do("member", "add", "second@example.org", "--staff")
    assert not User.objects.filter(email="second@example.org").exists()

    do("member", "add", "second@example.org", "--staff", by=User.objects.get(is_staff=True))
    assert User.objects.get(email="second@example.org").is_staff


def test_whoever_is_deactivated_does_nothing_with_any_key_until_reactivated(alice, bob, grace):
    first = told("member", "deactivate", alice.user.email, by=grace, reason="sent spam")
    again = told("member", "deactivate", alice.user.email, by=grace, reason="sent more")

    assert (first["changed"], again["changed"]) == (True, False)
    assert (acts(alice), acts(bob)) == (False, True)
    shown = told("member", "show", alice.user.email)
    assert (shown["is_active"], shown["status_changed_by"]) == (False, grace.email)
    assert shown["status_reason"] == "sent spam"

    said = do("member", "reactivate", alice.user.email, by=grace, reason="was not them")

    assert said == f"{alice.user.email} may act.\n"
    assert acts(alice)
    assert "as before" in do("member", "reactivate", alice.user.email, by=grace, reason="x")


def test_who_is_of_staff_is_listed(alice, grace):
    listed = {row["email"] for row in told("member", "list", "--staff")}

    assert grace.email in listed
    assert alice.user.email not in listed


def test_a_member_is_found_and_shown(alice, place_hold):
    place_hold(alice, "0.25")

    (row,) = told("member", "list", alice.user.email[:20])
    shown = told("member", "show", alice.user.email.upper())
    lines = do("member", "show", alice.user.email)

    assert (row["user_id"], row["balance_micros"]) == (str(alice.user.pk), usd("1.00"))
    assert (shown["held_micros"], shown["keys_not_revoked"]) == (usd("0.25"), 1)
    assert shown["workspace_id"] == str(alice.workspace_id)
    assert f"email: {alice.user.email}\n" in lines
    assert do("member", "list", alice.user.email).startswith(f"{alice.user.email}  $1.00  ")


# --- Keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["id", "prefix", "whole", "member"])
def test_a_key_is_ended_by_whatever_one_has_of_it(alice, bob, grace, monkeypatch, named):
    record = alice.api_key_record
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{alice.key}\n"))
    words = {
        "id": [record.pk],
        "prefix": [record.prefix],
        "whole": ["-"],
        "member": ["--member", alice.user.email],
    }[named]

    (row,) = told("keys", "disable", *words, by=grace, reason="leaked")

    assert (row["id"], row["state"], row["changed"]) == (str(record.pk), "disabled", True)
    assert (acts(alice), acts(bob)) == (False, True)
    record.refresh_from_db()
    assert (record.status_changed_by, record.status_reason) == (grace.pk, "leaked")


def test_a_key_is_disabled_enabled_and_revoked_and_each_may_be_said_twice(alice, grace):
    key = alice.api_key_record.pk

    def say(action):
        return do("keys", action, key, by=grace, reason="tried")

    assert "was disabled before" not in say("disable")
    assert "was disabled before" in say("disable")
    say("enable")
    assert acts(alice)
    say("revoke")
    assert "(was revoked before)" in say("revoke")
    assert not acts(alice)


@pytest.mark.parametrize(("words", "left"), [((), True), (("--with-made",), False)])
def test_a_key_is_revoked_alone_or_with_what_was_made_with_it(alice, grace, words, left):
    own = {"workspace_id": alice.workspace_id, "user_id": alice.user.pk}
    thiefs, _ = keys.issue(**own, name="mine now", made_by=alice.api_key_record)

    said = do("keys", "revoke", alice.api_key_record.pk, *words, by=grace, reason="leaked")

    assert not acts(alice)
    assert acts(replace(alice, key=thiefs)) == left
    assert ("2 keys, with what it made" in said) != left


def test_keys_are_listed_without_what_makes_them_keys(alice, bob, grace):
    (row,) = told("keys", "list", alice.user.email)
    said = do("keys", "list")

    assert (row["state"], row["prefix"], row["name"]) == ("living", alice.key[:16], "laptop")
    assert alice.key[:16] in said
    assert alice.key[:20] not in said + json.dumps(row)
    do("member", "deactivate", bob.user.email, by=grace, reason="x")
    assert told("keys", "list", bob.user.email)[0]["state"] == "of nobody active"


# --- Money ----------------------------------------------------------------------------------


def test_who_paused_and_who_released_is_known(alice, grace, hopper):
    do("money", "freeze", alice.user.email, by=grace, reason="Write to us.")

    assert alice.now().frozen_reason == "Write to us."
    assert Freeze.objects.get(wallet=alice.wallet).set_by == grace.pk

    first = do("money", "release", alice.user.email, by=hopper, reason="they wrote")
    again = do("money", "release", alice.user.email, by=grace, reason="once more")

    assert (first, again) == (
        "Staff no longer keeps calls from it.\n",
        "Staff kept no calls from it.\n",
    )
    assert alice.now().frozen_reason == ""
    (kept,) = Freeze.objects.filter(wallet=alice.wallet)
    assert (kept.set_by, kept.sentence) == (grace.pk, "Write to us.")
    assert (kept.lifted_by, kept.lift_reason) == (hopper.pk, "they wrote")
    assert holds.place(alice.workspace_id, amount=1, ttl_seconds=60)


def test_who_resolved_a_finding_is_known_until_it_is_found_again(alice, grace):
    key = f"fraud:{uuid.uuid4()}"
    findings.report(key, kind=Finding.Kind.FRAUD, sentence="Look.", wallet_id=alice.workspace_id)

    said = do("money", "findings", "--resolve", key, by=grace, reason="looked")

    kept = Finding.objects.get(key=key)
    assert key not in said
    assert (kept.resolved_by, kept.resolution) == (grace.pk, "looked")
    findings.report(key, kind=Finding.Kind.FRAUD, sentence="Again.", wallet_id=alice.workspace_id)
    assert key in do("money", "findings")
    kept.refresh_from_db()
    assert (kept.resolved_at, kept.resolved_by, kept.resolution) == (None, None, "")


def test_a_voucher_that_gives_much_waits_for_a_second_person(alice, grace, hopper):
    """A hundred uses of five dollars are as much as five hundred at once."""
    made = told("money", "voucher", "make", "course", "5", "--uses", "100", by=grace, reason="May")

    assert made["waits"]
    with pytest.raises(InvalidRequest):
        vouchers.redeem(alice.workspace_id, made["code"])
    with pytest.raises(CommandError, match="second person"):
        do("money", "approve", made["id"], by=grace)
    assert (made["id"], "voucher") in [(row["id"], row["kind"]) for row in told("money", "pending")]

    first = told("money", "approve", made["id"], by=hopper)
    again = told("money", "approve", made["id"], by=hopper)

    assert (first["changed"], again["changed"], again["state"]) == (True, False, "running")
    vouchers.redeem(alice.workspace_id, made["code"])
    assert alice.now().balance_micros == usd("6.00")


def test_a_voucher_that_is_stopped_gives_nothing_more(alice, bob, grace):
    name = uuid.uuid4().hex
    made = told("money", "voucher", "make", name, "5", "--uses", "9", by=grace, reason="June")
    vouchers.redeem(alice.workspace_id, made["code"])

    said = do("money", "voucher", "stop", name, by=grace, reason="was published")

    assert "is redeemed no more." in said
    with pytest.raises(InvalidRequest):
        vouchers.redeem(bob.workspace_id, made["code"])
    assert alice.now().balance_micros == usd("6.00")
    kept = Voucher.objects.get(pk=made["id"])
    assert (kept.disabled_by, kept.disabled_reason) == (grace.pk, "was published")
    assert "as before" in do("money", "voucher", "stop", made["id"], by=grace, reason="x")
    (row,) = [row for row in told("money", "voucher", "list") if row["id"] == made["id"]]
    assert (row["state"], row["used"], row["made_by"]) == ("stopped", 1, grace.email)


def test_a_voucher_that_waits_is_refused(alice, grace, hopper):
    made = told("money", "voucher", "make", "x", "5", "--uses", "100", by=grace, reason="July")

    do("money", "refuse", made["id"], by=hopper, reason="too many")

    assert made["id"] not in do("money", "pending")
    with pytest.raises(InvalidRequest):
        vouchers.redeem(alice.workspace_id, made["code"])
