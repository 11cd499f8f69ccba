"""A machine that lies, in every way: its run ends all the same, and nobody pays for a lie."""

import json
import struct

import pytest
from runs_by_hand import submitted
from runs_liar import Liar, files, told
from runs_stage import ended, picture
from test_runs_races import nothing_is_held

from credits.proofs import reconciliation as proofs
from runs import core, reconciliation
from runs.models import Run

pytestmark = pytest.mark.slow


def agrees(run):
    lines = [line for proof in proofs.prove(reconciliation.CHECKS) for line in proof.differences]
    assert not [line for line in lines if str(run.pk) in line]


def frame(kind, **data):
    return json.dumps({"type": kind, "data": {"prompt_id": "PROMPT", **data}})


def shown(facts, data=b"x"):
    said = json.dumps({"prompt_id": "PROMPT", **facts}).encode()
    return struct.pack(">II", 4, len(said) + 30) + said + data  # The id is longer by 30.


FRAMES = {
    "a text with NUL": frame("executed", node="9", output={"text": ["a\0b"]}),
    "a node with NUL": frame("executing", node="9\0"),
    "nodes that are none": frame("execution_cached", nodes=5),
    "progress of texts": frame("progress", node="9", value="\0", max="x" * 100_000),
    "no JSON": "{",
    "a list": "[]",
    "data that is none": json.dumps({"type": "executed", "data": 5}),
    "a long message": frame("executed", node="9", output={"text": ["x" * 5_000_000]}),
    "a picture of an odd type": shown({"image_type": "text/html" + "x" * 100, "node_id": "9"}),
    "a picture of a node with NUL": shown({"image_type": "image/png", "node_id": "9\0"}),
    "an odd picture": struct.pack(">II", 4, 4_000_000_000) + b"xxxxxxxxxx",
    "an unknown frame": struct.pack(">II", 99, 1) + b"xxxxxxxxxx",
}


@pytest.mark.parametrize("name", FRAMES)
def test_nothing_that_it_tells_keeps_a_run_from_its_end(stage, ada, name):
    liar = Liar(stage, ada)
    liar.frames = [FRAMES[name]]
    entry, liar.entry = liar.entry, None
    stage.start()
    from runs_stage import reached, until
    run = reached(submitted(ada), "running")
    until(lambda: liar.prompts)
    import time; time.sleep(1)
    liar.frames = []
    liar.entry = entry
    run = ended(run, seconds=15)
    assert (run.state, run.error_message) == ("succeeded", "")
    agrees(run)
    nothing_is_held(ada)
    liar.prompts.clear()
    liar.frames = [frame("executing", node="1")]
    again = ended(submitted(ada), seconds=15)
    assert again.state == "succeeded"
    assert [e for e in core.events_after(ada.workspace_id, again.pk) if e.kind == "message"], "deaf"


ENTRIES = {
    "status is none": {"status": None},
    "status is a list": {"status": []},
    "messages are a number": {"status": {"messages": 5}},
    "messages are odd": {"status": {"messages": [5, [], [[], {}], [{}, {}], ["x"], ["execution_success", {"timestamp": "now"}]]}},
    "a start in the future": told("execution_success", start=10**15),
    "an end in the future": told("execution_success", end=10**15),
    "an end beyond": told("execution_success", end=10**30),
    "float": told("execution_success", end=1e300),
    "negative": told("execution_success", start=-(10**18), end=-5),
    "texts": told("execution_success", start="0", end="99999"),
    "null": told("execution_success", start=None, end=None),
    "twice": told("execution_success", more=[["execution_success", {"timestamp": 10**15}]]),
    "success and error": told("execution_success", more=[["execution_error", {"timestamp": 5, "exception_message": "a\0b", "node_id": "\0", "node_type": "\0"}]]),
    "error of odd things": told("execution_error", more=[["execution_error", {"timestamp": "now", "exception_message": {"a": 1}, "node_id": ["\0"] * 5000, "node_type": {}, "executed": 7}]]),
    "nodes with nul": told("execution_success", cached=["\0"]),
    "cached none": told("execution_success", more=[["execution_cached", {"nodes": 7}]]),
    "outputs are a list": {**told("execution_success"), "outputs": [1]},
    "outputs odd": {**told("execution_success"), "outputs": {"9": [1], "8": {"images": 7}, "7": {"images": [None, 5, {}, {"filename": 5}]}}},
}


@pytest.mark.parametrize("name", ENTRIES)
def test_whatever_its_history_says_it_ends(stage, ada, name):
    liar = Liar(stage, ada)
    liar.entry = ENTRIES[name]
    stage.start()
    run = ended(submitted(ada), seconds=40)
    print("RESULT", name, run.state, run.error_code, run.error_message, run.gpu_ms, run.charged_micros)
    agrees(run)
    nothing_is_held(ada)
    assert run.charged_micros < 100_000


NAMES = {
    "up": dict(subfolder="../../etc"),
    "absolute": dict(subfolder="/etc"),
}


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\0b.png", "a\r\nb.png", "x" * 5000, "", ".", "a/b/c.png", "<script>.svg", "x.html", "data:,x", "\ud800.png"])
def test_names(stage, ada, name):
    liar = Liar(stage, ada)
    liar.entry = told("execution_success", outputs=files(ada.workspace_id, name))
    stage.start()
    run = ended(submitted(ada), seconds=40)
    made = core.outputs(ada.workspace_id, run.pk)
    print("RESULT", ascii(name)[:50], run.state, run.error_code, run.error_message, run.charged_micros, [(m.name[:20], m.content_type) for m in made])
    agrees(run)
    nothing_is_held(ada)
