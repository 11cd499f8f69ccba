"""A machine that dies at each stage of a run, and a member who cancels at each: what it costs."""

import threading
import time
import uuid

import pytest
from runs_by_hand import end
from runs_stage import WAIT_SECONDS, ended, picture, reached, slow, submit, until
from test_runs_races import nothing_is_held

from common import failpoints
from credits.models import Entry
from credits.proofs import reconciliation as proofs
from runs import assets, carrying, collecting, core, reconciliation, runner, scheduler
from runs.models import Run, Worker

pytestmark = pytest.mark.slow
PLACES = ("run.before_it_is_sent", "run.sent", "run.collected")
"""In order: nothing was sent; it works, or did; all of it is stored here."""


@pytest.fixture
def at_place(monkeypatch):
    """Have something happen when a place is reached for the first time."""

    def arrange(place, work):
        waiting = [work]

        def reached_it(name):
            if name == place and waiting:
                waiting.pop()()

        monkeypatch.setattr(failpoints, "reached", reached_it)

    return arrange


def agrees(run, member):
    """The books agree, and the member paid what the run says."""
    run = Run.objects.get(pk=run.pk)
    lines = [line for proof in proofs.prove(reconciliation.CHECKS) for line in proof.differences]
    assert not [line for line in lines if str(run.pk) in line]
    entries = Entry.objects.filter(debit_id=member.workspace_id, kind="call")
    assert sum(entries.values_list("amount_micros", flat=True)) == run.charged_micros
    nothing_is_held(member)
    return run


@pytest.mark.parametrize("place", PLACES)
def test_a_machine_that_dies_and_comes_back_costs_no_second_time(stage, ada, at_place, place):
    machine = stage.worker(ada, per_second=10_000)
    stage.start(away_seconds=1.0)
    at_place(place, lambda: stage.die(machine))
    run = submit(ada, slow(0.5))

    if place != "run.collected":
        until(lambda: Run.objects.get(pk=run.pk).state == "queued"
              and Run.objects.get(pk=run.pk).attempts == 1)  # fmt: skip
        stage.live(machine)

    run = agrees(ended(run), ada)
    assert (run.state, run.error_message) == ("succeeded", "")
    assert run.attempts == (1 if place == "run.collected" else 2)
    assert 500 <= run.gpu_ms < 5000
    assert run.charged_micros == -(-run.gpu_ms * 10_000 // 1000)
    assert len(core.outputs(ada.workspace_id, run.pk)) == 1


def test_a_machine_that_dies_while_it_is_staged_or_collected_loses_nothing(
    stage, ada, tmp_path, monkeypatch
):
    from PIL import Image

    machine = stage.worker(ada, per_second=10_000)
    stage.start(away_seconds=1.0)
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")
    assets.keep(
        ada.workspace_id, user_id=ada.user.pk, file_path="cat.png", content_type="image/png",
        arrived=tmp_path / "cat.png",
    )  # fmt: skip
    graph = slow(0.3)
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}
    asked = {"upload": False, "view": False}
    real = carrying.Carrier

    class Dying(real):
        """The machine dies at its first upload, and at its first file that is fetched."""

        def __init__(self, native, run, **more):
            super().__init__(native, run, **more)
            for name in asked:
                self._break(native, name)

        def _break(self, native, name):
            work = getattr(native, name)

            async def dies(*args, **named):
                if not asked[name]:
                    asked[name] = True
                    stage.die(machine)
                return await work(*args, **named)

            setattr(native, name, dies)

    monkeypatch.setattr("runs.runner.Carrier", Dying)
    monkeypatch.setattr(collecting, "TRIES", 1)
    run = submit(ada, graph)

    until(lambda: asked["upload"] and Run.objects.get(pk=run.pk).state == "queued")
    stage.live(machine)
    until(lambda: asked["view"] and Run.objects.get(pk=run.pk).has_ended)

    run = agrees(run, ada)
    assert (run.state, run.error_code, run.charged_micros) == ("failed", "worker_lost", 0)
    stage.live(machine)


def test_while_its_machine_is_away_it_is_given_nothing(stage, ada):
    machine = stage.worker(ada)
    stage.start(away_seconds=1.0)
    until(lambda: Worker.objects.get(pk=machine.pk).health == "up")
    run = reached(submit(ada, slow(30)), "running")
    stage.die(machine)

    until(lambda: Run.objects.get(pk=run.pk).state == "queued")
    until(lambda: Worker.objects.get(pk=machine.pk).health == "down")

    assert Run.objects.get(pk=run.pk).attempts == 1, "the second try is kept for a machine that is"
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)


@pytest.mark.parametrize("late", ["claim", "_seen"])
def test_what_was_under_way_when_its_machine_died_gives_it_there_no_second_time(
    stage, ada, monkeypatch, late
):
    """A claim, or a look at the machine, that began before and ends after its loss."""
    machine = stage.worker(ada)
    place = scheduler if late == "claim" else runner
    real = getattr(place, late)
    began = threading.Event()

    def slowly(*args):
        began.set()
        end = time.monotonic() + 5  # The loss waits for a claim: that one is never told of it.
        while Run.objects.get(pk=run.pk).state != "queued" and time.monotonic() < end:
            time.sleep(0.05)
        return real(*args)

    stage.start(away_seconds=1.0)
    run = reached(submit(ada, slow(30)), "running")
    monkeypatch.setattr(runner, "PROBE_SECONDS", 0 if late == "_seen" else 1e6)
    monkeypatch.setattr(place, late, slowly)
    assert began.wait(WAIT_SECONDS)
    stage.die(machine)

    until(lambda: Run.objects.get(pk=run.pk).state == "queued")
    until(lambda: Worker.objects.get(pk=machine.pk).health == "down")

    assert Run.objects.get(pk=run.pk).attempts == 1
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)


def test_a_machine_that_was_out_of_reach_stops_what_was_given_up(stage, ada):
    machine = stage.worker(ada, per_second=10_000, scrubs=False)  # Its history is read below.
    engine = stage.servers[machine.name].engine
    stage.start(away_seconds=1.0)
    run = reached(submit(ada, slow(60, steps=600)), "running")
    stage.cut(machine)
    until(lambda: Run.objects.get(pk=run.pk).state == "queued")

    stage.join(machine)

    told = until(lambda: engine.history.get(str(run.prompt_id)))
    assert told["status"]["messages"][-1][0] == "execution_interrupted"
    until(lambda: Run.objects.get(pk=run.pk).progress)
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    run = agrees(ended(run), ada)
    assert (run.state, run.attempts) == ("canceled", 2)
    assert run.gpu_ms < 30_000, "of the second try alone"


def test_two_deaths_end_it_and_nothing_is_charged(stage, ada):
    machine = stage.worker(ada, per_second=10_000)
    stage.start(away_seconds=1.0)
    run = submit(ada, slow(30))
    for n in (1, 2):
        until(lambda n=n: Run.objects.get(pk=run.pk).attempts == n
              and Run.objects.get(pk=run.pk).state == "running")  # fmt: skip
        stage.die(machine)
        until(lambda: Run.objects.get(pk=run.pk).state in ("queued", "failed"))
        stage.live(machine)

    run = agrees(ended(run), ada)
    assert (run.state, run.error_code, run.charged_micros) == ("failed", "worker_lost", 0)


def in_a_thread(work):
    """Do something with the database from within the runner's loop."""

    def do():
        from django.db import connections

        work()
        connections.close_all()

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


@pytest.mark.parametrize("place", PLACES)
def test_it_is_canceled_at_each_stage(stage, ada, at_place, place):
    stage.worker(ada, per_second=10_000)
    stage.start()
    run = uuid.uuid4()

    def cancel():
        core.cancel(ada.workspace_id, run, by=ada.user.pk)

    at_place(place, lambda: in_a_thread(cancel))
    took = 0.3 if place == "run.collected" else 30
    asked = submit(ada, slow(took, steps=int(took * 10)), id=run)

    asked = agrees(ended(asked), ada)
    if place == "run.collected":
        assert (asked.state, asked.error_code) == ("succeeded", ""), "it was too late"
        return
    assert (asked.state, asked.error_code) == ("canceled", "canceled")
    assert asked.gpu_ms < 10_000
    assert asked.charged_micros == -(-asked.gpu_ms * 10_000 // 1000)


def test_calling_one_off_stops_no_other_on_the_same_machine(stage, ada, bob):
    stage.worker(ada, bob, per_second=10_000, slots=2)
    stage.start()
    hers = reached(submit(ada, slow(4, steps=40)), "running")
    until(lambda: Run.objects.get(pk=hers.pk).progress)
    his = reached(submit(bob, slow(30)), "running")

    core.cancel(bob.workspace_id, his.pk, by=bob.user.pk)

    his = agrees(ended(his), bob)
    assert (his.state, his.gpu_ms, his.charged_micros) == ("canceled", 0, 0), "it never began"
    hers = agrees(ended(hers), ada)
    assert (hers.state, hers.gpu_ms >= 4000) == ("succeeded", True)


def test_a_runner_that_ends_leaves_its_runs_to_the_next(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    run = reached(submit(ada, slow(4)), "running")
    waiting = submit(ada, picture())

    stage.stop()
    assert Run.objects.get(pk=run.pk).state == "running"
    stage.start()

    run = agrees_of(run, waiting, ada)
    assert run.attempts == 1, "it went on where it was"
    assert 4000 <= run.gpu_ms < 12_000


def agrees_of(run, other, member):
    """The same of two runs."""
    runs = [ended(each) for each in (run, other)]
    assert [each.state for each in runs] == ["succeeded", "succeeded"]
    entries = Entry.objects.filter(debit_id=member.workspace_id, kind="call")
    assert sum(entries.values_list("amount_micros", flat=True)) == sum(
        each.charged_micros for each in runs
    )
    nothing_is_held(member)
    return runs[0]


def test_two_runners_carry_each_run_once(stage, ada, bob):
    """One leads each machine; a second one of the same program waits for its turn."""
    for _ in range(2):
        stage.worker(ada, bob, per_second=10_000)
    stage.start()
    first = stage._runner
    stage.start()
    runs = [submit(who, slow(0.2, color=n)) for n in range(5) for who in (ada, bob)]

    runs = [ended(run) for run in runs]

    assert {run.state for run in runs} == {"succeeded"}
    assert {run.attempts for run in runs} == {1}
    for who in (ada, bob):
        nothing_is_held(who)
        spent = sum(run.charged_micros for run in runs if run.workspace_id == who.workspace_id)
        assert who.now().balance_micros == 5_000_000 - spent
    assert all(not end(run) for run in runs), "nobody ends one again"
    stage.stop()
    stage._runner = first
