"""Runs that meet: of each step one wins, and the wallet is right to the micro."""

import json
import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models import F
from django.utils import timezone
from runs_by_hand import begun, call, calling, end, settled, submitted, worker
from runs_stage import by, picture

from apikeys import allowances, states
from common.errors import (
    BudgetExceeded,
    IdempotencyKeyReuse,
    InsufficientCredits,
    QueueFull,
    Unauthorized,
)
from common.money import usd
from credits.books import holds
from credits.models import Budget, Entry, Hold
from runs import books, core, ending, scheduler, spending
from runs.models import Run, State, Worker
from webhooks import endpoints
from webhooks.models import Delivery


def now(run):
    return Run.objects.get(pk=run.pk)


def outcome(work, *args, **more):
    """What came of it: its answer, or the class of what it raised."""
    try:
        return work(*args, **more)
    except Exception as exc:
        return type(exc)


def nothing_is_held(member):
    wallet = member.now()
    assert (wallet.held_micros, wallet.open_holds, wallet.open_apart) == (0, 0, 0)
    assert not Hold.objects.filter(account_id=member.workspace_id).exists()


# --- Handed over ------------------------------------------------------------------------------


def test_of_many_at_once_as_many_are_taken_as_can_be_paid(ada, at_once):
    worker(ada, per_second=20_000)  # A minute holds 1.20 of the five dollars.

    found = at_once(lambda _: outcome(submitted, ada), range(8))

    assert found.count(InsufficientCredits) == 4
    assert (
        ada.now().held_micros
        == 4 * 1_200_000
        == sum(
            Run.objects.filter(workspace_id=ada.workspace_id).values_list("held_micros", flat=True)
        )
    )


def test_one_intention_is_one_run(ada, at_once):
    worker(ada)

    found = at_once(lambda _: outcome(submitted, ada, idempotency_key="mine"), range(6))

    assert found.count(IdempotencyKeyReuse) == 5
    assert Run.objects.filter(workspace_id=ada.workspace_id).count() == 1
    assert ada.now().open_apart == 1


def test_one_id_is_one_run_of_each_workspace_that_chose_it(ada, bob, at_once):
    worker(ada, bob)
    wanted = uuid.uuid4()

    found = at_once(lambda who: outcome(submitted, who, id=wanted), [ada, bob, ada, bob])

    assert found.count(IdempotencyKeyReuse) == 2
    for member in (ada, bob):
        assert Run.objects.get(workspace_id=member.workspace_id).name == str(wanted)
        assert member.now().open_apart == 1


def test_a_twin_that_comes_between_two_looks_is_no_second_run(ada, monkeypatch):
    worker(ada)
    wanted, real = uuid.uuid4(), core._refuse_repeats

    def late(run):
        real(run)
        monkeypatch.setattr(core, "_refuse_repeats", real)
        submitted(ada, id=wanted)

    monkeypatch.setattr(core, "_refuse_repeats", late)

    assert outcome(submitted, ada, id=wanted) is IdempotencyKeyReuse
    assert ada.now().open_apart == 1


def test_no_more_wait_than_may(ada, at_once, monkeypatch):
    worker(ada, per_second=1)
    monkeypatch.setattr(core, "MOST_QUEUED", 3)

    found = at_once(lambda _: outcome(submitted, ada), range(8))

    assert found.count(QueueFull) == 5
    assert ada.now().open_apart == 3


# --- Given to a machine -----------------------------------------------------------------------


def test_one_slot_and_twenty_runs(ada, at_once):
    machine = worker(ada, per_second=100)
    runs = [submitted(ada) for _ in range(20)]

    order = []
    while claimed := [
        run for run in at_once(lambda _: scheduler.claim(machine.pk), range(4)) if run
    ]:
        (run,) = claimed
        order.append(run.pk)
        assert end(run, gpu_ms=10)

    assert order == [run.pk for run in runs], "first come, first served, and each once"
    nothing_is_held(ada)
    assert ada.now().balance_micros == 5_000_000 - 20


def test_two_schedulers_give_no_run_twice_and_no_machine_too_many(ada, bob, at_once):
    machines = [worker(ada, bob, slots=2), worker(ada, bob, slots=1)]
    for _ in range(4):
        submitted(ada)
        submitted(bob)

    found = at_once(lambda n: scheduler.claim(machines[n % 2].pk), range(10))

    given = [run for run in found if run]
    assert len({run.pk for run in given}) == len(given) == 3
    assert sorted(run.worker_id for run in given) == sorted(
        [machines[0].pk, machines[0].pk, machines[1].pk]
    )
    assert {run.workspace_id for run in given} == {ada.workspace_id, bob.workspace_id}


def test_what_begins_while_it_is_called_off_is_one_or_the_other(ada, at_once):
    machine = worker(ada, slots=8)
    for _ in range(6):
        run = submitted(ada)
        works = [
            lambda: scheduler.claim(machine.pk),
            lambda run=run: core.cancel(ada.workspace_id, run.pk, by=ada.user.pk),
        ]

        claimed, _ = at_once(lambda work: work(), works)

        run = now(run)
        if claimed is None:
            assert (run.state, run.charged_micros) == (State.CANCELED, 0)
        else:
            assert (run.state, run.cancel_reason) == (State.STAGING, ending.CANCELED)
            assert books.sending(claimed) is None, "it does not go to its machine"
            assert end(claimed, gpu_ms=0, state="canceled", code=ending.CANCELED, ours=True)
    nothing_is_held(ada)


def test_what_expires_while_it_begins_is_one_or_the_other(ada, at_once):
    machine = worker(ada, slots=8)
    for _ in range(4):
        run = submitted(ada)
        Run.objects.filter(pk=run.pk).update(queued_at=timezone.now() - timedelta(hours=2))

        claimed, _ = at_once(
            lambda work: work(), [lambda: scheduler.claim(machine.pk), scheduler.expire_waiting]
        )

        assert now(run).state == (State.STAGING if claimed else State.EXPIRED)
        if claimed:
            assert end(claimed, gpu_ms=10)
    nothing_is_held(ada)


def test_what_waited_too_long_is_over_costs_nothing_and_says_so(ada):
    worker(ada)
    late, fresh = submitted(ada), submitted(ada)
    Run.objects.filter(pk=late.pk).update(queued_at=F("queued_at") - timedelta(minutes=61))

    assert scheduler.expire_waiting() >= 1

    late = now(late)
    assert (late.state, late.error_code, late.charged_micros) == ("expired", "queue_expired", 0)
    assert "Nothing was charged" in late.error_message
    assert now(fresh).state == State.QUEUED
    assert Hold.objects.filter(account_id=ada.workspace_id).count() == 1


# --- Ended ------------------------------------------------------------------------------------


def test_whoever_ends_it_first_ends_it(ada, at_once):
    machine = worker(ada)
    submitted(ada)
    run, _ = begun(machine)
    works = [
        lambda: end(run, gpu_ms=2000, files=1),
        lambda: end(run, gpu_ms=3000, state="failed"),
        lambda: end(run, gpu_ms=1000, state="canceled", code=ending.CANCELED),
        lambda: scheduler.lost(run, "lost"),
    ]

    at_once(lambda work: work(), works)

    tried, run = run, now(run)
    if run.state == State.QUEUED:  # It was lost first, and waits: nobody of before ends it.
        assert not end(tried, gpu_ms=1, state="failed")
        assert core.cancel(ada.workspace_id, run.pk, by=ada.user.pk).state == "canceled"
    run = now(run)
    due = {"succeeded": 20_000, "canceled": run.gpu_ms * 10, "failed": 0}[run.state]
    assert run.charged_micros == due == 5_000_000 - ada.now().balance_micros
    assert Entry.objects.filter(key=f"call:{run.hold_id}").count() == bool(due)
    nothing_is_held(ada)


def test_a_runner_of_before_changes_nothing_of_a_second_try(ada):
    machine = worker(ada)
    submitted(ada)
    first, _ = begun(machine)
    assert scheduler.lost(first, "lost")
    second, _ = begun(machine)

    assert not end(first, gpu_ms=9000)
    assert not books.is_running(first)
    assert not books.is_collecting(first)
    assert books.asked_to_end(first.pk, first.prompt_id) is None
    assert books.kept_paid(first.pk, first.prompt_id, 10**9, 0) == ""
    assert not scheduler.lost(first, "lost")

    assert now(second).state == State.RUNNING
    assert end(second, gpu_ms=1000)
    assert now(second).charged_micros == 10_000


def test_a_run_is_lost_twice_at_most(ada):
    machine = worker(ada)
    submitted(ada)
    first, _ = begun(machine)
    assert scheduler.lost(first, "lost")
    waits = Hold.objects.get(pk=first.hold_id).expires_at - timezone.now()
    assert waits > timedelta(minutes=70), "as long as it may wait"
    second, _ = begun(machine)

    assert not scheduler.lost(second, "The machine lost this run.")

    run = now(second)
    assert (run.state, run.error_code, run.charged_micros) == ("failed", "worker_lost", 0)
    nothing_is_held(ada)


def test_one_that_paid_inside_is_not_tried_again(ada):
    machine = worker(ada)
    submitted(ada, calling())
    run, key = begun(machine)
    assert call(key, 1000)[2] == "placed"

    assert not scheduler.lost(run, "lost")

    assert (now(run).state, now(run).charged_micros) == ("failed", 0)
    (left,) = Hold.objects.filter(account_id=ada.workspace_id)
    assert settled(left, 900)[1] == 900, "the call inside is paid for itself"
    assert core.receipt(now(run)).total == 900
    nothing_is_held(ada)


COSTS = {
    "succeeded: seconds and files": ({"files": 2}, 15_010 + 2 * 500),
    "succeeded without a file": ({}, 15_010),
    "canceled: seconds": ({"state": "canceled", "code": ending.CANCELED}, 15_010),
    "canceled with a file: seconds": (
        {"state": "canceled", "code": ending.CANCELED, "files": 2},
        15_010,
    ),
    "failed with a file: seconds": ({"state": "failed", "files": 1}, 15_010),
    "failed: nothing": ({"state": "failed"}, 0),
    "failed by our fault, with a file: nothing": ({"state": "failed", "files": 1, "ours": True}, 0),
    "all from the cache: nothing": ({"gpu_ms": 0}, 0),
    "a moment: the least": ({"gpu_ms": 1}, 70),
}


@pytest.mark.parametrize("how", sorted(COSTS))
def test_each_end_has_its_price(ada, how):
    machine = worker(ada, per_second=10_000, per_output=500, minimum=70)
    submitted(ada)
    run, _ = begun(machine)
    asked, micros = COSTS[how]

    assert end(run, **{"gpu_ms": 1501, **asked})

    assert now(run).charged_micros == micros == 5_000_000 - ada.now().balance_micros
    nothing_is_held(ada)


def test_more_than_its_maximum_is_the_houses_to_bear(ada):
    machine = worker(ada, per_second=10_000)
    submitted(ada, max_micros=usd("0.70"))
    run, _ = begun(machine)

    assert end(run, gpu_ms=90_000)

    run = now(run)
    assert (run.charged_micros, run.held_micros) == (700_000, 700_000)
    assert Entry.objects.get(key=f"shortfall:{run.hold_id}").amount_micros == 200_000
    assert ada.now().balance_micros == 4_300_000


def test_more_than_a_wallet_has_is_the_houses_to_bear(ada):
    machine = worker(ada, per_second=10_000)
    submitted(ada, max_micros=usd("3.00"))
    run, _ = begun(machine)
    holds.place(ada.workspace_id, amount=usd("4.40"), ttl_seconds=60)

    assert end(run, gpu_ms=90_000)

    assert now(run).charged_micros == 600_000
    assert Entry.objects.get(key=f"shortfall:{run.hold_id}").amount_micros == 300_000


def test_the_dearest_is_held_and_the_one_that_took_it_is_paid(ada):
    cheap = worker(ada, per_second=1_000)
    worker(ada, per_second=10_000, per_output=500, minimum=9_000)
    submitted(ada, max_micros=usd("2.00"))
    assert ada.now().held_micros == 600_500

    run, _ = begun(cheap)
    assert end(run, gpu_ms=500, files=1)

    assert now(run).charged_micros == 500


def test_what_became_dearer_meanwhile_is_not_given_the_run(ada):
    machine = worker(ada, per_second=1_000)
    submitted(ada)
    Worker.objects.filter(pk=machine.pk).update(micros_per_second=1_001)

    assert scheduler.claim(machine.pk) is None

    Worker.objects.filter(pk=machine.pk).update(micros_per_second=1_000)
    assert scheduler.claim(machine.pk) is not None


def test_who_has_the_fewest_at_work_is_next_then_who_had_the_least_time(ada, bob):
    machine = worker(ada, bob, per_second=1, slots=4)
    for who in (ada, ada, ada, bob, bob):
        submitted(who)

    first, second, third, fourth = (scheduler.claim(machine.pk) for _ in range(4))

    of = [run.workspace_id for run in (first, second, third, fourth)]
    assert of == [ada.workspace_id, bob.workspace_id, ada.workspace_id, bob.workspace_id]
    for run in (first, second, third, fourth):
        assert end(run, gpu_ms=9000 if run.workspace_id == ada.workspace_id else 100)
    submitted(bob)
    assert scheduler.claim(machine.pk).workspace_id == bob.workspace_id, "though ada waits longer"


# --- The day's bound of failed work -----------------------------------------------------------


def test_failed_work_is_free_up_to_so_much_of_a_day_whoever_ends_first(ada, at_once):
    machine = worker(ada, slots=8, per_second=10)
    for _ in range(4):
        submitted(ada, max_micros=5000)
    runs = [begun(machine)[0] for _ in range(4)]

    # Each of 200 s: of the 800, ten minutes are free.
    at_once(lambda run: end(run, gpu_ms=200_000, state="failed"), runs)

    ended = [now(run) for run in runs]
    assert sorted(run.forgiven_ms for run in ended) == [0, 200_000, 200_000, 200_000]
    assert sum(run.charged_micros for run in ended) == 2000 == 5_000_000 - ada.now().balance_micros


def test_a_day_later_failed_work_is_free_again_and_a_file_is_always_paid(ada):
    machine = worker(ada, slots=8, per_second=10)
    for _ in range(3):
        submitted(ada, max_micros=6000)
    spent, delivered, later = (begun(machine)[0] for _ in range(3))
    assert end(spent, gpu_ms=600_000, state="failed")
    assert end(delivered, gpu_ms=1000, state="failed", files=1)
    Run.objects.filter(pk=spent.pk).update(ended_at=timezone.now() - timedelta(hours=25))
    assert end(later, gpu_ms=1000, state="failed")

    assert [now(run).charged_micros for run in (spent, delivered, later)] == [0, 10, 0]
    assert now(delivered).paid_outputs == 0


def test_the_bound_is_each_workspaces_own_and_our_faults_do_not_use_it(ada, bob):
    machine = worker(ada, bob, slots=8, per_second=10)
    for who in (ada, ada, bob):
        submitted(who, max_micros=6000)
    runs = {}
    for _ in range(3):
        run, _ = begun(machine)
        runs.setdefault(run.workspace_id, []).append(run)
    first, second = runs[ada.workspace_id]
    assert end(first, gpu_ms=600_000, state="failed", ours=True)
    assert end(second, gpu_ms=600_000, state="failed")
    assert end(runs[bob.workspace_id][0], gpu_ms=600_000, state="failed")

    assert ada.now().balance_micros == bob.now().balance_micros == 5_000_000


# --- Held while it works ----------------------------------------------------------------------


def test_a_hold_grows_a_minute_at_a_time_and_ends_with_its_maximum(ada):
    machine = worker(ada, per_second=10_000)
    submitted(ada, max_micros=usd("1.00"))
    run, _ = begun(machine)

    def paid(seconds, files=0):
        why = books.kept_paid(run.pk, run.prompt_id, int(seconds * 1000), files)
        return why, Hold.objects.get(pk=run.hold_id).amount_micros

    assert paid(0) == ("", 600_000)
    assert paid(29.9) == ("", 600_000)
    assert paid(30.1) == ("", 901_000)
    assert paid(61) == ("", 1_000_000)
    assert paid(89.9) == ("", 1_000_000)
    assert paid(90.1) == (ending.SPENT, 1_000_000)
    assert now(run).held_micros == 1_000_000


def test_what_calls_inside_take_is_of_the_same_maximum(ada):
    machine = worker(ada, per_second=10_000)
    submitted(ada, calling(), max_micros=usd("1.00"))
    run, key = begun(machine)

    assert call(key, 400_001)[2] == "budget"
    assert call(key, 300_000)[2] == "placed"
    # 0.60 are held and 0.30 are inside: a tenth of a dollar is left, and is taken.
    assert books.kept_paid(run.pk, run.prompt_id, 31_000, 0) == ""
    assert Hold.objects.get(pk=run.hold_id).amount_micros == 700_000
    assert books.kept_paid(run.pk, run.prompt_id, 59_000, 0) == ""
    assert call(key, 1)[2] == "budget"
    assert books.kept_paid(run.pk, run.prompt_id, 60_500, 0) == ending.SPENT

    (inside,) = Hold.objects.filter(account_id=ada.workspace_id, apart=False)
    settled(inside, 0, outcome="failed")
    assert books.kept_paid(run.pk, run.prompt_id, 60_500, 0) == "", "what came back is there again"


def test_a_wallet_that_is_empty_ends_it_once_what_is_held_is_nearly_used(ada):
    machine = worker(ada, per_second=10_000)
    submitted(ada, max_micros=usd("3.00"))
    run, _ = begun(machine)
    other = holds.place(ada.workspace_id, amount=usd("4.20"), ttl_seconds=60)

    def paid(seconds):
        return books.kept_paid(run.pk, run.prompt_id, int(seconds * 1000), 0)

    assert [paid(31), paid(49), paid(51)] == ["", "", ending.UNPAID]
    assert Hold.objects.get(pk=run.hold_id).amount_micros == 600_000
    assert holds.void(other)
    assert paid(51) == "", "credits came in time"
    assert Hold.objects.get(pk=run.hold_id).amount_micros == 1_110_000


def test_a_run_whose_hold_is_gone_works_for_nobody(ada):
    machine = worker(ada, slots=3)
    for _ in range(3):
        submitted(ada)
    working, _ = begun(machine)
    staged = scheduler.claim(machine.pk)
    lost, _ = begun(machine)
    for run in (working, staged, lost):
        assert holds.void(spending.hold_of(run))

    assert books.kept_paid(working.pk, working.prompt_id, 1000, 0) == ending.UNPAID
    assert books.sending(staged) is None
    assert books.asked_to_end(staged.pk, staged.prompt_id) == ending.UNPAID
    assert not scheduler.lost(lost, "lost"), "there is nothing for a second try"

    assert end(working, gpu_ms=2000)
    assert (now(working).charged_micros, now(lost).state) == (0, "failed")
    assert ada.now().balance_micros == 5_000_000


def test_growing_and_calls_inside_at_once_never_pass_the_maximum(ada, at_once):
    machine = worker(ada, per_second=10_000)
    submitted(ada, calling(), max_micros=usd("1.00"))
    run, key = begun(machine)

    works = [lambda: call(key, 90_000)[2] for _ in range(6)]
    works += [lambda: books.kept_paid(run.pk, run.prompt_id, 31_000, 0) for _ in range(2)]
    found = at_once(lambda work: work(), works)

    budget = Budget.objects.get(pk=run.budget_id)
    held = sum(
        Hold.objects.filter(account_id=ada.workspace_id).values_list("amount_micros", flat=True)
    )
    assert budget.taken_micros == held == ada.now().held_micros <= 1_000_000
    assert found.count("placed") + found.count("budget") == 6


# --- Its key ----------------------------------------------------------------------------------


def test_a_key_of_a_run_is_dead_after_it_and_while_it_waits_again(ada):
    machine = worker(ada)
    submitted(ada, calling())
    first, key = begun(machine)
    assert scheduler.lost(first, "lost")
    assert call(key, 100)[2] == "unauthorized"

    second, other = begun(machine)
    assert other != key
    assert call(key, 100)[2] == "unauthorized"
    assert call(other, 100)[2] == "placed"
    assert end(second)
    assert call(other, 100)[2] == "unauthorized"


@pytest.mark.parametrize("how", ["ends", "waits again"])
def test_a_call_that_waited_while_its_run_came_to_an_end_takes_nothing(ada, how):
    machine = worker(ada)
    submitted(ada, calling())
    run, key = begun(machine)
    assert call(key, 100)[2] == "placed", "its budgets are written on the key"
    if how == "waits again":
        (inside,) = Hold.objects.filter(account_id=ada.workspace_id, apart=False)
        settled(inside, 0, outcome="failed")
    said = []

    def late():
        said.append(call(key, 100)[2])
        connections.close_all()

    caller = threading.Thread(target=late)
    with transaction.atomic():
        assert end(run) if how == "ends" else scheduler.lost(run, "lost")
        caller.start()
        time.sleep(1)  # It finds its key alive, and waits for the wallet.
        assert not said
    caller.join()

    assert said == ["budget"]
    open_ones = Hold.objects.filter(account_id=ada.workspace_id, apart=False).count()
    assert open_ones == (how == "ends"), "only the one of before"


def test_budgets_of_runs_are_forgotten_once_nothing_can_come_late(ada):
    machine = worker(ada)
    submitted(ada, calling())
    run, key = begun(machine)
    assert call(key, 100)[2] == "placed"
    assert end(run)
    spending.forget_budgets()
    assert Budget.objects.filter(pk=run.budget_id).exists()
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(hours=2))
    spending.forget_budgets()
    assert Budget.objects.filter(pk=run.budget_id).exists(), "a call inside is open still"

    (inside,) = Hold.objects.filter(account_id=ada.workspace_id)
    settled(inside, 0, outcome="failed")
    spending.forget_budgets()

    assert not Budget.objects.filter(owner_kind="run", owner=str(run.pk)).exists()
    assert now(run).budget_id is None


def test_who_asks_twice_to_cancel_is_heard_once(ada, at_once):
    machine = worker(ada)
    submitted(ada)
    run, _ = begun(machine)

    at_once(lambda _: core.cancel(ada.workspace_id, run.pk, by=ada.user.pk), range(4))

    assert (now(run).state, now(run).cancel_reason) == (State.CANCELING, ending.CANCELED)
    assert run.events.filter(kind="status", data__status="canceling").count() == 1


def test_a_run_is_placed_by_a_living_key_alone(ada):
    worker(ada)
    who = by(ada)
    assert states.revoke(ada.api_key_record, by=ada.user.pk, reason="a test")

    with pytest.raises(Unauthorized):
        core.submit(who, core.Ask(graph=picture()))
    assert ada.now().held_micros == 0


# --- What programs are told of limits -----------------------------------------------------------


@pytest.fixture
def told(ada):
    """What Ada's programs are told of limits: type and data of each."""
    types = ["budget.reached", "key.limit_reached"]
    endpoints.make(ada.workspace_id, url="https://8.8.8.8/", types=types, name="", by=ada.user.pk)

    def read():
        found = Delivery.objects.filter(endpoint__workspace_id=ada.workspace_id)
        return [(each.type, json.loads(each.body)["data"]) for each in found]

    return read


def limited(member, whose, of, micros):
    allowances.set_rule(member.workspace_id, whose, of, "day", micros, by=member.user.pk)


@pytest.mark.parametrize(
    ("whose", "name"), [("key", "key.limit_reached"), ("workspace", "budget.reached")]
)
def test_a_limit_that_refuses_a_run_is_told_once(ada, told, whose, name):
    worker(ada, per_second=10_000)
    key = str(ada.api_key_record.pk)
    limited(ada, whose, key if whose == "key" else "", 100_000)

    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            submitted(ada)

    ((type_, data),) = told()
    assert (type_, data["of"], data["limit_micro_usd"]) == (name, whose, 100_000)
    assert (data["left_micro_usd"], data["needed_micro_usd"]) == (100_000, 600_000)
    assert data["key_id"] == (key if whose == "key" else None)
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()


def test_a_limit_that_ends_a_run_is_told_and_its_own_maximum_is_not(ada, told):
    machine = worker(ada, per_second=10_000, slots=2)
    submitted(ada, calling(), max_micros=usd("0.60"))
    run, _ = begun(machine)
    assert books.kept_paid(run.pk, run.prompt_id, 59_000, 0) == ending.SPENT
    assert told() == []

    limited(ada, "workspace", "", usd("0.70"))  # From now on: what was held before is none of it.
    submitted(ada, max_micros=usd("3.00"))
    run, _ = begun(machine)
    assert books.kept_paid(run.pk, run.prompt_id, 49_000, 0) == ""
    assert told() == [], "it goes on for what is held"
    assert books.kept_paid(run.pk, run.prompt_id, 51_000, 0) == ending.UNPAID

    ((type_, data),) = told()
    assert (type_, data["limit_micro_usd"], data["key_id"]) == ("budget.reached", 700_000, None)
