"""What the operator's own services tell that a member used: charged once, and never too much."""

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apikeys import allowances, recorded
from audit.models import Event
from common.errors import BudgetExceeded, InsufficientCredits
from common.money import Micros, usd
from credits.books import freezes, holds
from credits.models import Account, Entry, Freeze, Hold
from credits.proofs.reconciliation import CHECKS, prove
from usage import reconciliation as usage
from usage.models import Call

SECRET = "s" * 40
CENT = 10_000


@pytest.fixture
def tell(client, settings):
    """Tell as the operator's program that somebody used something."""
    settings.ADMIN_SECRETS = [SECRET]

    def told(member, *, of=None, at=None, **params):
        body = {"transaction_id": str(of or uuid.uuid4()), "params": params}
        body |= {} if at is None else {"timestamp": at}
        return client.post(
            f"/customers/{getattr(member, 'user', member).pk}/usage",
            body,
            content_type="application/json",
            headers={"X-Comfy-Admin-Secret": SECRET},
        )

    return told


def used(cents=1):
    return recorded.Used(Micros(cents * CENT))


def take(member, use, of=None):
    return recorded.take(
        use,
        transaction_id=of or uuid.uuid4(),
        user_id=member.user.pk,
        workspace_id=member.workspace_id,
    )


def test_a_use_is_charged_and_stands_in_the_history(tell, client, alice):
    at = timezone.now() - timedelta(hours=3)
    answer = tell(
        alice, at=at.isoformat(), charge_micro_usd=25 * CENT, api_name="GPU", model="l40s",
        job_id="run-1", seconds=12.5,
    )  # fmt: skip

    assert (answer.status_code, answer.json()) == (200, {"message": "Recorded."})
    assert alice.now().balance_micros == usd("0.75")
    assert (alice.now().held_micros, alice.now().open_holds, alice.now().open_apart) == (0, 0, 0)
    call = Call.objects.get(workspace_id=alice.workspace_id)
    assert (call.vendor, call.outcome, call.charged_micros) == ("operator", "delivered", 25 * CENT)
    assert call.facts["inputs"] == {"seconds": 12.5, "timestamp": at.isoformat()}
    seen = client.get("/customers/events", headers={"X-API-KEY": alice.key}).json()["events"][0]
    assert seen["event_type"] == "api_usage_completed"
    assert seen["params"]["api_name"] == "GPU"
    assert seen["params"]["model"] == "l40s"
    assert seen["params"]["charge_micro_usd"] == 25 * CENT
    assert seen["params"]["job_id"] == "run-1"
    note = Event.objects.get(action="usage.recorded")
    assert (note.subject_id, note.after) == (alice.user.pk, {"charged_micros": 25 * CENT})


def test_the_books_hold_with_it(tell, alice):
    tell(alice, charge_micro_usd=25 * CENT)

    proofs = prove((*CHECKS, *usage.CHECKS))
    assert [proof for proof in proofs if proof.differences] == []


def test_told_again_it_is_charged_once(tell, alice):
    of = uuid.uuid4()
    said = [tell(alice, of=of, charge_micro_usd=CENT, seconds=2).json() for _ in range(3)]

    assert said == [{"message": "Recorded."}] + [{"message": "This was recorded before."}] * 2
    assert alice.now().balance_micros == usd("0.99")
    assert Call.objects.filter(workspace_id=alice.workspace_id).count() == 1


@pytest.mark.parametrize("other", [{"charge_micro_usd": 2 * CENT}, {"seconds": 3}, {"model": "x"}])
def test_another_use_under_the_same_id_is_refused(tell, alice, other):
    of, first = uuid.uuid4(), {"charge_micro_usd": CENT, "seconds": 2}
    tell(alice, of=of, **first)

    answer = tell(alice, of=of, **first | other)

    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_mismatch")
    assert alice.now().balance_micros == usd("0.99")


def test_the_same_id_of_two_members_is_two_uses(tell, alice, bob):
    of = uuid.uuid4()

    for who in (alice, bob):
        assert tell(who, of=of, charge_micro_usd=CENT).status_code == 200
    assert alice.now().balance_micros == bob.now().balance_micros == usd("0.99")


def test_what_cannot_be_paid_is_refused_and_not_written(tell, alice):
    answer = tell(alice, charge_micro_usd=101 * CENT)

    assert (answer.status_code, answer.json()["error"]) == (402, "insufficient_credits")
    assert alice.now().balance_micros == usd("1")
    assert not Call.objects.filter(workspace_id=alice.workspace_id).exists()
    assert not Hold.objects.filter(account_id=alice.workspace_id).exists()


def test_what_a_call_holds_cannot_be_taken(tell, alice):
    holds.place(alice.workspace_id, amount=usd("0.60"), ttl_seconds=60)

    assert tell(alice, charge_micro_usd=50 * CENT).status_code == 402
    assert tell(alice, charge_micro_usd=40 * CENT).status_code == 200


def test_nothing_is_taken_from_a_paused_workspace(tell, alice):
    cause = Freeze.Cause.STAFF
    freezes.freeze(alice.workspace_id, cause, "It is contested.", by=alice.user.pk)

    answer = tell(alice, charge_micro_usd=CENT)

    assert (answer.status_code, answer.json()["message"]) == (403, "It is contested.")


@pytest.mark.parametrize("whose", ["workspace", "member"])
def test_a_budget_is_not_passed_by_it(tell, alice, whose):
    of = str(alice.user.pk) if whose == "member" else ""
    allowances.set_rule(alice.workspace_id, whose, of, "day", usd("0.02"), by=alice.user.pk)

    told = [tell(alice, charge_micro_usd=CENT).status_code for _ in range(3)]

    assert told == [200, 200, 403]
    assert alice.now().balance_micros == usd("0.98")


@pytest.mark.parametrize(
    "params",
    [
        {}, {"charge_micro_usd": 0}, {"charge_micro_usd": -1}, {"charge_micro_usd": 1.5},
        {"charge_micro_usd": True}, {"charge_micro_usd": "1e3"}, {"charge_micro_usd": None},
        {"charge_micro_usd": "²"}, {"charge_micro_usd": 10**30}, {"charge_micro_usd": "9" * 400},
        {"charge_micro_usd": 1, "model": 7}, {"charge_micro_usd": 1, "api_name": "x" * 101},
        {"charge_micro_usd": 1, "model": "a\0b"}, {"charge_micro_usd": 1, "job_id": "x" * 65},
        {"charge_micro_usd": 1, "deep": {"a": 1}}, {"charge_micro_usd": 1, "list": [1]},
        {"charge_micro_usd": 1, "long": "x" * 201}, {"charge_micro_usd": 1, "x" * 65: 1},
        {"charge_micro_usd": 1, "a\0": 1}, {"charge_micro_usd": 1, "nul": "\0"},
        {"charge_micro_usd": 1, "lone": "\ud800"}, {"charge_micro_usd": 1, "big": 10**40},
        {"charge_micro_usd": 1, "none": None}, {"charge_micro_usd": 1, "": 1},
        {"charge_micro_usd": 1, **{f"n{n}": n for n in range(21)}},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_with_its_name(tell, alice, params):
    answer = tell(alice, **params)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "params" in answer.json()["message"] or "JSON" in answer.json()["message"]
    assert alice.now().balance_micros == usd("1")


def test_one_record_costs_no_more_than_one_of_staff_may_take_alone(tell, make_member, settings):
    settings.ADJUSTMENT_LIMIT_MICROS = usd("2")
    rich = make_member("10")

    assert tell(rich, charge_micro_usd=usd("2") + 1).status_code == 400
    assert tell(rich, charge_micro_usd=str(usd("2"))).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"of": "7"}, {"at": "yesterday"}, {"at": "2999-01-01T00:00:00Z"}]
)
def test_a_record_has_an_id_and_a_time_that_was(tell, alice, wrong):
    assert tell(alice, charge_micro_usd=CENT, **wrong).status_code == 400


def test_only_the_operators_programs_record(tell, client, settings, alice):
    path = f"/customers/{alice.user.pk}/usage"
    body = {"transaction_id": str(uuid.uuid4()), "params": {"charge_micro_usd": CENT}}

    def asked(**headers):
        return client.post(path, body, content_type="application/json", headers=headers).status_code

    assert asked() == 401
    assert asked(**{"X-API-KEY": alice.key}) == 401
    assert asked(**{"X-Comfy-Admin-Secret": "guess"}) == 401
    settings.ADMIN_SECRETS = []
    assert asked(**{"X-Comfy-Admin-Secret": SECRET}) == 401
    assert alice.now().balance_micros == usd("1")


def test_nobody_is_charged_who_is_not_there(tell, alice):
    class Nobody:
        pk = uuid.uuid4()

    assert tell(Nobody, charge_micro_usd=CENT).status_code == 404


# --- at once ------------------------------------------------------------------------------------


def test_the_same_use_told_many_times_at_once_is_charged_once(alice, committed, at_once):
    of = uuid.uuid4()

    came = at_once(lambda _: take(alice, used(), of), range(12))

    assert sorted(came) == [False] * 11 + [True]
    assert alice.now().balance_micros == usd("0.99")
    assert Call.objects.filter(workspace_id=alice.workspace_id).count() == 1


@pytest.mark.parametrize("bound", ["wallet", "budget"])
def test_of_many_uses_at_once_as_many_are_taken_as_there_is_room_for(
    alice, committed, at_once, bound
):
    if bound == "budget":
        allowances.set_rule(alice.workspace_id, "member", str(alice.user.pk), "day", usd("0.50"),
                            by=alice.user.pk)  # fmt: skip
    room = 4 if bound == "wallet" else 2

    def work(_):
        try:
            return take(alice, used(25))
        except (InsufficientCredits, BudgetExceeded):
            return False

    assert sum(at_once(work, range(16))) == room
    left = Account.objects.get(pk=alice.workspace_id)
    assert (left.balance_micros, left.held_micros) == ((4 - room) * 25 * CENT, 0)


def test_the_database_itself_takes_no_second_charge_under_one_id(alice):
    name = uuid.uuid4()
    assert holds.capture(
        holds.place(alice.workspace_id, amount=usd("0.10"), ttl_seconds=60, hold_id=name),
        usd("0.10"),
    )
    again = holds.place(alice.workspace_id, amount=usd("0.10"), ttl_seconds=60, hold_id=name)

    with pytest.raises(IntegrityError, match="key"), transaction.atomic():
        holds.capture(again, usd("0.10"))
    assert Entry.objects.filter(key=f"call:{name}").count() == 1
