"""What is heard of a run while it works: by that its hold grows."""

import uuid

from runs_stage import picture

from runs.hearing import Hearing
from runs.models import Run


def heard(*messages):
    """Hear of a run that has two nodes which make files."""
    graph = picture()
    graph["10"] = graph["9"]
    hearing = Hearing(Run(id=uuid.uuid4(), workspace_id=uuid.uuid4(), graph=graph))
    for name, data in messages:
        hearing.message(name, data)
    return hearing


def made(node, *kinds):
    files = [{"filename": "a.png", "subfolder": "", "type": kind} for kind in kinds]
    return "executed", {"node": node, "display_node": node, "output": {"images": files}}


def test_files_that_are_made_are_counted_and_others_are_not():
    hearing = heard(
        ("execution_cached", {"nodes": ["1", "10"]}),
        made("10", "output"),
        made("9", "output", "temp", "output"),
        ("executed", {"node": "9", "output": {"text": ["output"]}}),
        ("executed", {"node": "9", "output": None}),
    )

    assert hearing.files == 2, "what came from the cache costs nothing"


def test_nothing_that_a_machine_tells_breaks_it():
    hearing = heard(
        ("execution_cached", {"nodes": [None, 5]}),
        ("executed", {"output": {"images": [None, "x", {"type": "output"}], "other": 5}}),
        ("progress", {"value": "x"}),
        ("executing", {"node": 5}),
        ("executing", {"node": None}),
    )

    assert hearing.ended.is_set()
