"""A machine that lies, and runners that meet: each run ends all the same, and once."""

import json
import struct
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from runs_by_hand import submitted
from runs_liar import Liar, files, told
from runs_stage import ended, picture, reached, until
from test_runs_races import nothing_is_held

from credits.models import Hold
from credits.proofs import reconciliation as proofs
from runs import carrying, collecting, core, reconciliation, runner, scheduler
from runs.models import Brought, Output, Run, Worker
from runs.models.files import output_key
from uploads import shelf

pytestmark = pytest.mark.slow


def agrees(run):
    lines = [line for proof in proofs.prove(reconciliation.CHECKS) for line in proof.differences]
    assert not [line for line in lines if str(run.pk) in line]
    return run


def frame(kind, **data):
    return json.dumps({"type": kind, "data": {"prompt_id": "PROMPT", **data}})


def shown(facts):
    said = json.dumps({**facts, "prompt_id": "PROMPT"}).encode()
    return struct.pack(">II", 4, len(said) + 30) + said + b"x"  # An id is longer by 30.


FRAMES = [
    frame("executed", node="9", output={"text": ["a\0b"]}),
    frame("executing", node="9\0"),
    frame("executing", node=["9"], display_node={}),
    frame("execution_cached", nodes=5),
    frame("executed", node=["9"], output={"images": [{"type": "output"}] * 3}),
    frame("progress", node="9", value="\0", max="x" * 100_000),
    frame("executed", node="9", output={"text": ["x" * 5_000_000]}),
    json.dumps({"type": "executed", "data": 5}),
    shown({"image_type": "text/html" + "x" * 100, "node_id": "9"}),
    shown({"image_type": "image/png", "node_id": "9\0"}),
    struct.pack(">II", 4, 4_000_000_000) + b"xxxxxxxxxx",
    "[]",  # It is hung up on, and listened to anew.
]


def test_nothing_that_it_tells_keeps_a_run_from_its_end_or_the_next_from_being_heard(stage, ada):
    liar = Liar(stage, ada)
    entry, liar.entry, liar.frames = liar.entry, None, FRAMES
    stage.start()
    run = reached(submitted(ada), "running")
    until(lambda: liar.told == len(FRAMES))

    liar.entry = entry
    run = agrees(ended(run))

    assert (run.state, run.error_message) == ("succeeded", "")
    nothing_is_held(ada)
    liar.frames, liar.entry = [frame("executing", node="1")] * 50, None
    until(lambda: liar.listeners)
    following = submitted(ada)
    until(lambda: core.events_after(ada.workspace_id, following.pk)[-1].kind == "message")
    liar.entry = entry
    assert ended(following).state == "succeeded"


def test_a_flood_of_messages_keeps_no_run_from_its_end(stage, ada):
    liar = Liar(stage, ada)
    entry, liar.entry, liar.floods = liar.entry, None, True
    liar.frames = [frame("executing", node="1")] * 20
    stage.start()
    run = reached(submitted(ada), "running")
    until(lambda: liar.told > 2000)

    liar.entry = entry

    assert ended(run, seconds=90).state == "succeeded"
    liar.floods = False


def test_a_machine_is_believed_no_more_time_than_passed_and_none_for_bringing(
    stage, ada, monkeypatch
):
    liar = Liar(stage, ada, per_second=10_000)
    liar.entry = told("execution_success", start=0 - 10**15, end=10**15,
                      outputs=files(ada.workspace_id, "a.png"))  # fmt: skip
    liar.bodies["a.png"] = lambda n: b"x" if n < 40 else b""
    liar.between = 0.1
    stage.start()

    began = time.monotonic()
    run = agrees(ended(submitted(ada)))

    assert run.state == "succeeded"
    assert run.gpu_ms < (time.monotonic() - began - 4) * 1000, "its file took four seconds to come"


def kept_files(settings):
    return {path.parent.name for path in (settings.DATA_DIR / "uploads").glob("output-*/content")}


def test_what_was_stored_for_an_end_that_did_not_come_is_dropped(stage, ada, settings, monkeypatch):
    liar = Liar(stage, ada)
    own = files(ada.workspace_id, "a.png", "b.png")
    liar.bodies = {"a.png": b"x" * 10, "b.png": b"y" * 10}
    stage.start()
    monkeypatch.setattr(collecting, "MOST_BYTES", 15)
    liar.entry = told("execution_success", outputs=own)
    too_many = agrees(ended(submitted(ada)))
    monkeypatch.undo()
    liar.entry = told("execution_error", outputs=files(ada.workspace_id, "a.png", kind="temp"))
    failed = agrees(ended(submitted(ada)))

    assert (too_many.error_code, too_many.charged_micros) == ("output_lost", 0)
    assert (failed.error_code, failed.charged_micros) == ("node_execution_error", 0)
    until(lambda: not kept_files(settings), seconds=10)
    liar.entry = told("execution_success", outputs=own)
    good = ended(submitted(ada))
    rows = {f"output-{pk}" for pk in Output.objects.filter(run=good).values_list("pk", flat=True)}
    assert kept_files(settings) == rows
    assert len(rows) == 2


def test_what_is_held_stays_held_while_files_are_brought(stage, ada, monkeypatch):
    monkeypatch.setattr(carrying, "RENEW_SECONDS", 0.3)
    liar = Liar(stage, ada)
    going_on = [True]
    liar.entry = told("execution_success", outputs=files(ada.workspace_id, "a.png"))
    liar.bodies["a.png"] = lambda _: b"x" if going_on else b""
    liar.between = 0.1
    stage.start()
    run = reached(submitted(ada), "collecting")
    soon = timezone.now() + timedelta(seconds=30)

    Hold.objects.filter(pk=run.hold_id).update(expires_at=soon)

    until(lambda: Hold.objects.get(pk=run.hold_id).expires_at > soon)
    going_on.clear()
    assert ended(run).state == "succeeded"


def test_what_a_claim_gave_whose_leader_was_gone_is_carried_all_the_same(stage, ada, monkeypatch):
    """Its leader was ended while the statement was under way: nobody here knows of it."""
    monkeypatch.setattr(runner, "ADOPT_SECONDS", 0.5)
    machine = stage.worker(ada)
    stage.start()
    until(lambda: Worker.objects.get(pk=machine.pk).health == "up")
    monkeypatch.setattr(runner.Leader, "_fill", _nothing)
    run = submitted(ada)

    assert scheduler.claim(machine.pk).pk == run.pk

    assert agrees(ended(run)).state == "succeeded"


async def _nothing(_):
    return


def test_a_runner_that_lost_its_locks_leads_no_more_until_it_has_them_again(stage, ada):
    machine = stage.worker(ada)
    stage.start()
    until(lambda: Worker.objects.get(pk=machine.pk).health == "up")
    with connection.cursor() as cursor:
        until(lambda: _holders(cursor, machine))
        (before,) = _holders(cursor, machine)

        cursor.execute("SELECT pg_terminate_backend(%s)", [before])

        until(lambda: _holders(cursor, machine) not in ([], [before]))
    assert ended(submitted(ada, picture())).state == "succeeded"


def _holders(cursor, machine):
    cursor.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND objid = %s AND classid = hashtext('runs.worker')::oid",
        [machine.pk],
    )
    return [pid for (pid,) in cursor.fetchall()]


def test_a_run_of_which_a_history_never_says_how_it_ended_is_lost_soon(stage, ada):
    liar = Liar(stage, ada)
    liar.entry = {"status": None, "outputs": {}}
    stage.start()

    run = agrees(ended(submitted(ada)))

    assert (run.state, run.error_code, run.charged_micros) == ("failed", "worker_lost", 0)
    assert len(liar.prompts) == Run.objects.get(pk=run.pk).attempts == 2


@pytest.mark.parametrize("is_removed", [False, True], ids=["lost", "removed"])
def test_what_a_runner_stored_that_was_killed_is_deleted_where_its_machine_is_lost_too(
    stage, ada, settings, monkeypatch, is_removed
):
    """Nobody is left who remembers what was stored, and no end names it."""
    monkeypatch.setattr(runner, "TIDY_SECONDS", 0.3)
    monkeypatch.setattr(carrying.Carrier, "tidy", _nothing)  # As who is killed: nothing is tidied.
    liar = Liar(stage, ada)
    liar.entry = told("execution_success", outputs=files(ada.workspace_id, "a.png", "b.png"))
    is_here, liar.between = [True], 0.1
    liar.bodies = {"a.png": b"x" * 10, "b.png": lambda _: b"y" if is_here else b""}
    stage.start(away_seconds=1.0)
    run = reached(submitted(ada), "collecting")
    until(lambda: kept_files(settings))
    assert Brought.objects.get(run_id=run.pk).files == 2
    stage.stop()
    is_here.clear()
    stage.do(stage._sites.pop(str(id(liar))).cleanup())

    stage.start(away_seconds=1.0)
    if is_removed:
        Worker.objects.filter(pk=liar.worker.pk).update(state="removed")

    until(lambda: not kept_files(settings), seconds=30)
    until(lambda: not Brought.objects.filter(run_id=run.pk).exists())
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    assert ended(run).charged_micros == 0


def test_a_file_that_cannot_be_deleted_now_is_deleted_once_it_can_be(
    committed, settings, tmp_path, monkeypatch
):
    settings.DATA_DIR = tmp_path
    run_id, prompt_id = uuid.uuid4(), uuid.uuid4()
    arrived = tmp_path / "a"
    arrived.write_bytes(b"x")
    shelf.keep(output_key(collecting._id_of(run_id, prompt_id, 1)), "image/png", arrived)
    Brought.objects.create(prompt_id=prompt_id, run_id=run_id, files=2)

    with monkeypatch.context() as patched:
        patched.setattr(shelf, "drop", _full)
        collecting.tidy()
        assert kept_files(settings)

    collecting.tidy()
    assert not kept_files(settings)
    assert not Brought.objects.filter(pk=prompt_id).exists()


def _full(_):
    raise OSError("the storage is away")
