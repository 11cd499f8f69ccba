"""What a machine says, read as the words of a stranger: nothing of it breaks, or is believed."""

import asyncio
import json
import struct
import uuid
from datetime import timedelta

import orjson
import pytest
from django.db.models import F
from django.utils import timezone
from runs_by_hand import begun, calling, submitted, worker
from runs_liar import told
from runs_stage import picture

from accounts.models import Membership, User
from apikeys import leaks, states
from apikeys.models import ApiKey
from runs import books, core, frames, hearing, isolation, reading, scheduler, workers
from runs.models import Run

TOKEN = "t" * 32
ODD = {
    "no status": ({"status": None}, None),
    "a list for a status": ({"status": []}, None),
    "a number for messages": ({"status": {"messages": 5}}, None),
    "odd messages": (
        {"status": {"messages": [5, [], [[], {}], [{}, {}], ["x"], ["execution_success", {}]]}},
        0,
    ),
    "a start in the future": (told("execution_success", start=10**15, end=5), 0),
    "a negative time": (told("execution_success", start=-5, end=-10), 0),
    "times beyond all clocks": (told("execution_success", start=1, end=1e300), 0),
    "times as texts": (told("execution_success", start="0", end="99999"), 0),
    "no times": (told("execution_success", start=None, end=None), 0),
    "true for a time": (told("execution_success", start=1, end=True), 0),
    "it twice": (told("execution_success", start=1, end=9, more=[["execution_success", {}]]), 8),
    "two ends": (told("execution_success", start=1, end=9, more=[["execution_error", {}]]), 8),
    "a number for what was cached": (
        told("execution_success", start=1, end=9, more=[["execution_cached", {"nodes": 7}]]), 8,
    ),
    "an error of odd things": (
        told("execution_error", start=1, end=9, more=[["execution_error", {
            "exception_message": {"a\0": 1}, "node_id": ["\0"], "node_type": {}, "executed": 7,
            "exception_type": None, "nodes": ["a\0", 5],
        }]]),
        8,
    ),
    "odd outputs": (
        {
            **told("execution_success", start=1, end=9),
            "outputs": {"9": [1], "8": {"images": 7}, "7": {"images": [None, {}, {"filename": 5}]}},
        },
        8,
    ),
    "a list of outputs": ({**told("execution_success", start=1, end=9), "outputs": [1]}, 8),
}  # fmt: skip


def read(entry):
    return reading.read(entry, nodes=2, workspace=TOKEN, our_id="ours")


@pytest.mark.parametrize("name", ODD)
def test_a_history_of_odd_things_is_read_or_says_nothing(name):
    entry, gpu_ms = ODD[name]

    found = read(json.loads(json.dumps(entry)))

    assert (found and found.gpu_ms) == gpu_ms
    assert "\\u0000" not in json.dumps([found.messages, dict(found.error)] if found else [])
    assert found is None or found.files == []
    assert orjson.dumps(found and found.messages), "lists of runs are told with them"


@pytest.mark.parametrize(
    ("name", "is_taken"),
    {
        "../../x": False, "/etc/passwd": False, "a\\b": False, "a\0b.png": False, "a\r\nb": False,
        "": False, ".": False, "..": False, "猫 12:30 (1).png": True, "x.html": True,
    }.items(),
)  # fmt: skip
def test_a_file_has_a_name_that_is_one_wherever_it_is_written(name, is_taken):
    named = {"filename": name, "subfolder": "", "type": "output"}

    found = read({**told("execution_success"), "outputs": {"9": {"images": [named]}}})

    assert [each.name for each in found.files] == ([name] if is_taken else [])


def test_ten_thousand_files_are_a_thousand_and_a_text_has_a_name_too():
    many = [{"filename": f"{n}.png", "subfolder": "", "type": "output"} for n in range(10_000)]
    found = read({**told("execution_success"), "outputs": {"9": {"images": many}}})
    text = read({**told("execution_success"), "outputs": {"../9\0": {"text": ["a\0"]}}})

    assert len(found.files) == reading.MOST_FILES
    assert (text.files[0].name, text.files[0].node_id) == (".._9_0.txt", "../9")


@pytest.mark.parametrize(
    ("said", "seen"),
    {
        "[Errno 2] No such file: '/opt/comfy/models/a.bin'": "[Errno 2] No such file: 'a.bin'",
        "in /opt/my comfy/nodes.py, line 5": "in my comfy/nodes.py, line 5",
        "path=/srv/x/y.py:7": "path=y.py:7",
        "C:\\Users\\ann\\comfy\\nodes.py broke": "nodes.py broke",
        "see https://example.org/a/b/c.html": "see https://example.org/a/b/c.html",
        "1/2 of a/b/c": "1/2 of a/b/c",
        f"mc/{TOKEN}/out/a.png": "out/a.png",
    }.items(),
)
def test_no_folder_of_a_machine_is_told(said, seen):
    assert reading.plain(said, TOKEN) == seen


def framed(facts, data=b"x"):
    said = json.dumps(facts).encode()
    return struct.pack(">II", 4, len(said)) + said + data


@pytest.mark.parametrize(
    ("frame", "media"),
    [
        (framed({"image_type": "image/webp"}), "image/webp"),
        (framed({"image_type": "text/html"}), None),
        (framed({"image_type": "image/svg+xml"}), None),
        (framed({"image_type": "image/png\r\nSet-Cookie: a=b"}), None),
        (framed({"image_type": ["image/png"]}), None),
        (framed([]), None),
        (struct.pack(">II", 4, 4_000_000_000) + b"x" * 10, None),
        (struct.pack(">II", 99, 1) + b"x" * 10, None),
        (b"", None),
    ],
)
def test_a_picture_is_of_a_kind_that_browsers_only_show(frame, media):
    found = frames.read(frame)

    assert (found and found.content_type) == media


async def test_a_flood_of_messages_is_heard_up_to_a_bound_and_not_beyond_the_end(monkeypatch):
    written = []

    async def aside(work, *args):
        written.append(args[-1])

    monkeypatch.setattr(books, "aside", aside)
    heard = hearing.Hearing(Run(id=uuid.uuid4(), workspace_id=uuid.uuid4(), graph=picture()))
    writing = asyncio.create_task(heard.write())
    for n in range(hearing.MOST_TOLD * 2):
        heard.message("executing", {"node": [f"{n}"], "display_node": f"x{n}"})
        if n % 500 == 0:
            await asyncio.sleep(0)
    heard.message("executed", {"node": "9", "output": {"text": ["x" * hearing.MOST_MESSAGE]}})
    await heard.heard_all()
    count = len(written)
    heard.message("executing", {"node": "1"})
    await heard.heard_all()
    writing.cancel()

    assert count == len(written) <= hearing.MOST_TOLD + 100
    assert heard._progress["nodes_done"] == 0, "none of these is a node of the run"


async def test_an_end_waits_for_no_writer_that_never_comes(monkeypatch):
    monkeypatch.setattr(hearing, "HEARD_SECONDS", 0.05)
    heard = hearing.Hearing(Run(id=uuid.uuid4(), workspace_id=uuid.uuid4(), graph=picture()))
    heard.message("executing", {"node": "1"})

    async with asyncio.timeout(5):
        await heard.heard_all()


def test_what_a_machine_says_of_its_nodes_breaks_nobody(ada):
    machine = worker(ada)
    info = {**workers.object_info(machine)}
    odd = {
        "A": None, "B": [], "C": {"input": [1]}, "D": {"input": {"required": [1]}}, "E\0": {},
        "F": {"output": "IMAGE"}, "G": {"description": "\0"}, "H" * 300: {}, "I": {"input": "x"},
    }  # fmt: skip
    chooser = {"input": {"required": {}}, "output": [["a", "b"], "MODEL"], "output_node": False}

    assert workers.note_nodes(machine, {**info, **odd, "Chooser": chooser})

    machine.nodes.refresh_from_db()
    assert set(machine.nodes.classes) == {*info, "Chooser"}
    graph = {**picture(), "5": {"class_type": "Chooser", "inputs": {}}}
    run = submitted(ada, graph)
    made = isolation.prepared(
        run.graph, workers.object_info(machine), workspace=TOKEN, staged={}
    )  # A list of choices is an output as well as a word is.
    assert made["5"]["inputs"] == {isolation.CACHE_INPUT: TOKEN}


# --- Two that lead one machine, and what was read before it changed ----------------------------


def test_of_two_that_lead_one_machine_one_sends(ada):
    machine = worker(ada)
    submitted(ada, calling())
    run = scheduler.claim(machine.pk)
    others = books.now(run.pk)

    key = books.sending(run)

    assert key
    assert books.sending(others) is None, "or it would run twice, and the first key be dead"
    assert ApiKey.objects.get(run_id=run.pk).pk == run.run_key_id
    assert books.asked_to_end(run.pk, run.prompt_id) == "", "it is to be followed all the same"


def test_one_that_was_called_off_and_is_lost_was_called_off(ada):
    machine = worker(ada)
    submitted(ada)
    run, _ = begun(machine)
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)

    assert not scheduler.lost(run, "lost")

    run.refresh_from_db()
    assert (run.state, run.error_code, run.charged_micros) == ("canceled", "canceled", 0)


def test_one_that_was_lost_late_waits_as_long_as_any_and_in_its_old_place(ada):
    machine = worker(ada)
    submitted(ada)
    first, _ = begun(machine)
    hour = timedelta(minutes=61)
    Run.objects.filter(pk=first.pk).update(
        created_at=F("created_at") - hour, queued_at=F("queued_at") - hour
    )
    later = submitted(ada)
    assert scheduler.lost(first, "lost")

    assert scheduler.expire_waiting() == 0

    first.refresh_from_db()
    assert [core.queue_position(each) for each in (first, later)] == [1, 2]
    assert scheduler.claim(machine.pk).pk == first.pk


def revoked(ada):
    states.revoke_with_made(ada.api_key_record, by=ada.user.pk, reason="it leaked")


def paused(ada):
    states.disable(ada.api_key_record, by=ada.user.pk, reason="for a while")


def published(ada):
    leaks.report(json.dumps([{"token": ada.key}]).encode())


def removed(ada):
    Membership.objects.filter(user=ada.user).delete()


def deactivated(ada):
    User.objects.filter(pk=ada.user.pk).update(is_active=False)


@pytest.mark.parametrize("end", [revoked, paused, published, removed, deactivated])
def test_one_that_waits_is_not_begun_for_whom_nothing_may_begin(ada, end):
    machine = worker(ada)
    submitted(ada, calling())
    run = scheduler.claim(machine.pk)
    end(ada)

    assert books.sending(run) is None

    assert books.asked_to_end(run.pk, run.prompt_id) == "key_revoked"
    assert not ApiKey.objects.filter(run_id=run.pk).exists(), "or its thief's nodes could spend"


def test_one_that_came_while_its_key_was_good_is_begun(ada):
    machine = worker(ada)
    submitted(ada, calling())
    run = scheduler.claim(machine.pk)
    now = timezone.now()
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(
        created_at=now - timedelta(hours=2), expires_at=now - timedelta(seconds=1)
    )

    assert books.sending(run)


def test_of_another_workspaces_folder_nothing_is_said():
    said = f"Invalid image file: mc/{'a1' * 16}/{'0f' * 8}/cat.png"

    assert reading.plain(said, TOKEN) == "Invalid image file: cat.png"
