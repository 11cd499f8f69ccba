"""`reconcile` knows runs: each equality holds for runs as they are, and sees what breaks it."""

import contextlib
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from runs_by_hand import begun, call, calling, end, settled, submitted, worker

from apikeys import keys
from apikeys.models import ApiKey
from credits.books import holds
from credits.models import HOUSE, Account, Budget, Entry, Hold
from credits.proofs import reconciliation as books
from runs import core, reconciliation
from runs.models import Run
from usage.models import Call

WRONG_MICROS = 77


def differences(run):
    """What the checks say of one run, by their names."""
    found = {}
    for proof in books.prove(reconciliation.CHECKS):
        names = (str(run.pk), str(run.hold_id))
        if any(name in line for line in proof.differences for name in names):
            found[proof.name] = proof.differences
    return found


@contextlib.contextmanager
def undone():
    """Nothing of what happens within is left."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def machine(committed, member):
    return worker(member, per_second=10_000, per_output=500)


@pytest.fixture
def member(committed, make_member):
    return make_member("5.00")


@pytest.fixture
def over(machine, member):
    """A run that ended, with a call inside."""
    submitted(member, calling())
    run, key = begun(machine)
    assert call(key, 20_000)[2] == "placed"
    settled(Hold.objects.get(account_id=member.workspace_id, apart=False), 15_000)
    assert end(run, 1500, files=1)
    return Run.objects.get(pk=run.pk)


@pytest.fixture
def at_work(machine, member):
    submitted(member, calling())
    return begun(machine)[0]


def test_runs_as_they_are_differ_in_nothing(machine, member, over):
    waiting = submitted(member, calling())
    assert differences(waiting) == {}
    failed, _ = begun(machine)
    assert differences(failed) == {}
    assert end(failed, 3_000, state="failed")
    assert differences(Run.objects.get(pk=failed.pk)) == {}

    assert differences(over) == {}
    receipt = core.receipt(over)
    assert (receipt.charged, receipt.inside_total, receipt.total) == (15_500, 15_000, 30_500)
    assert [each.run_id for each in receipt.inside] == [str(over.pk)], "whatever its machine says"


CHARGED = "each ended run is charged what its entry and its call say, and no other is"
CLOCK = "each ended run is charged by its machine's clock and its price"
HELD = "each open hold of a run is of one that has not ended, and as large as it says"
KEYS = "each key of a run is of one that is at work"
MOST = "each run and the calls inside it together cost at most its maximum"
BUDGET = "each run's budget has taken what is held and what was called inside"


def change(run, **values):
    Run.objects.filter(pk=run.pk).update(**values)


def _another_charge(run):
    change(run, charged_micros=run.charged_micros - 1)


def _another_call(run):
    call_of = Call.objects.filter(workspace_id=run.workspace_id, pk=run.hold_id)
    call_of.update(run_id=str(uuid.uuid4()))


def _entry_of_one_at_work(run):
    Entry.objects.create(
        kind="call", debit_id=run.workspace_id, credit_id=HOUSE[Account.Kind.SALES],
        amount_micros=5, key=f"call:{run.hold_id}",
    )  # fmt: skip


def _hold_left_open(run):
    hold = holds.place(
        run.workspace_id, amount=WRONG_MICROS, ttl_seconds=60, apart=True,
        memo={"vendor": "runs", "run": str(run.pk)},
    )  # fmt: skip
    Hold.objects.filter(pk=hold.id).update(id=run.hold_id)


def _living_key(run):
    keys.issue(
        workspace_id=run.workspace_id, user_id=run.user_id, name="left", run_id=run.pk,
        scopes=["proxy"], expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


ENDED = {
    "another charge than its entry": (_another_charge, CHARGED),
    "a call of another run": (_another_call, CHARGED),
    "another clock": (lambda run: change(run, gpu_ms=1400), CLOCK),
    "another price": (lambda run: change(run, micros_per_second=9_999), CLOCK),
    "time that nobody was forgiven": (lambda run: change(run, forgiven_ms=300), CLOCK),
    "files that it did not count": (lambda run: change(run, paid_outputs=0), CLOCK),
    "a hold that is open still": (_hold_left_open, HELD),
    "a key that lives": (_living_key, KEYS),
    "a maximum that was passed": (lambda run: change(run, max_micros=30_499, held_micros=30_000),
                                  MOST),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(ENDED))
def test_what_breaks_an_ended_run_is_seen(over, what):
    breaks, name = ENDED[what]

    with undone():
        breaks(over)
        found = differences(over)

    assert name in found, found


WORKING = {
    "an entry before its end": (_entry_of_one_at_work, CHARGED),
    "a hold of another size": (lambda run: change(run, held_micros=WRONG_MICROS), HELD),
    "a hold of nobody": (lambda run: change(run, hold_id=uuid.uuid4()), HELD),
    "a key while it waits": (
        lambda run: change(run, state="queued", worker=None, prompt_id=None), KEYS,
    ),
    "another key": (lambda run: change(run, run_key_id=uuid.uuid4()), KEYS),
    "a budget that forgot": (
        lambda run: Budget.objects.filter(pk=run.budget_id).update(taken_micros=WRONG_MICROS),
        BUDGET,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(WORKING))
def test_what_breaks_one_at_work_is_seen(at_work, what):
    run = at_work
    breaks, name = WORKING[what]
    assert differences(run) == {}

    with undone():
        breaks(run)
        found = differences(run)

    assert name in found, found


def test_a_key_of_no_run_is_seen(machine, member):
    with undone():
        keys.issue(
            workspace_id=member.workspace_id, user_id=member.user.pk, name="left",
            run_id=uuid.uuid4(), scopes=["proxy"], expires_at=timezone.now() + timedelta(hours=1),
        )  # fmt: skip
        key = ApiKey.objects.get(workspace_id=member.workspace_id, name="left")
        (proof,) = (each for each in books.prove(reconciliation.CHECKS) if each.name == KEYS)

    assert any(str(key.pk) in line and "is none" in line for line in proof.differences)
