"""What an operator says of a machine: which classes run there, and how it is asked."""

from __future__ import annotations

import base64

import pytest
import runs_by_hand
from runs_stage import ended, picture, submit

from common.errors import AccessDisabled, InvalidRequest, InvalidWorkflow
from runs import scheduler, workers
from runs.faces import nodes
from runs.models import Worker, WorkerNodes


def test_a_machine_that_allows_some_classes_is_given_no_run_with_others(committed, ada):
    """Both have all nodes; only one of them may run these."""
    picky = runs_by_hand.worker(ada, allowed_classes=("Load*", "Save*"))
    other = runs_by_hand.worker(ada)
    run = runs_by_hand.submitted(ada)

    assert scheduler.claim(picky.pk) is None
    assert scheduler.claim(other.pk).pk == run.pk


def test_a_machine_that_denies_a_class_is_given_no_run_with_it(committed, ada):
    picky = runs_by_hand.worker(ada, denied_classes=("Empty*",))
    other = runs_by_hand.worker(ada)
    run = runs_by_hand.submitted(ada)

    assert scheduler.claim(picky.pk) is None
    assert scheduler.claim(other.pk).pk == run.pk


@pytest.mark.parametrize(
    "terms", [{"allowed_classes": ("Save*",)}, {"denied_classes": ("EmptyImage",)}]
)
def test_a_class_that_may_run_nowhere_is_refused_and_not_listed(committed, ada, bob, terms):
    runs_by_hand.worker(ada, **terms)
    runs_by_hand.worker(bob)

    with pytest.raises(AccessDisabled, match="EmptyImage"):
        runs_by_hand.submitted(ada)
    listed = nodes.shown(ada.workspace_id)
    assert "EmptyImage" not in listed
    assert "SaveImage" in listed


def test_other_terms_of_a_machine_are_seen_though_its_nodes_are_as_before(committed, ada):
    machine = runs_by_hand.worker(ada)
    info = WorkerNodes.objects.get(worker=machine).object_info
    Worker.objects.filter(pk=machine.pk).update(denied_classes=["EmptyImage"])

    assert workers.note_nodes(Worker.objects.get(pk=machine.pk), info)
    assert WorkerNodes.objects.get(worker=machine).barred == ["EmptyImage"]
    assert not workers.note_nodes(Worker.objects.get(pk=machine.pk), info)


def test_a_machine_that_asks_for_basic_is_shown_it_at_every_door(stage, ada):
    machine = stage.worker(ada, user="us")
    right = "Basic " + base64.b64encode(b"us:machine-token").decode()
    stage.servers[machine.name].authorization = right
    stage.start()

    run = ended(submit(ada, picture()))

    assert (run.state, run.error_message) == ("succeeded", "")
    assert workers.authorization(machine) == right
    assert "machine-token" not in machine.sealed


@pytest.mark.parametrize(
    "terms",
    [{"user": "a:b"}, {"user": "a" * 61}, {"accelerator": "any"}, {"dialect": "spoken"},
     {"allowed_classes": ("",)}, {"denied_classes": ("x" * 201,)}, {"shared_inputs": ("a\0",)},
     {"base_url": "http://user:password@10.0.0.7:8188"}],
)  # fmt: skip
def test_terms_that_no_machine_has_are_refused_with_a_sentence(alice, terms):
    usual = {"base_url": "http://10.0.0.7:8188", "accelerator": "T4", "micros_per_second": 1}

    with pytest.raises(InvalidRequest, match=r"\w+ .*\."):
        workers.add("gpu-1", workers.Terms(**usual | terms), by=alice.user.pk, reason="test")
    assert not Worker.objects.filter(name="gpu-1").exists()


def test_a_run_goes_where_the_model_is_that_it_names(committed, ada):
    """All have the same nodes, and other models; the price is that of those where it may go."""
    dear, cheap = (runs_by_hand.worker(ada, per_second=each) for each in (20_000, 10_000))
    for machine, model in ((dear, "a.safetensors"), (cheap, "b.safetensors")):
        workers.note_nodes(machine, {"Loader": loader(model), "SaveImage": SAVES})
    here = runs_by_hand.submitted(ada, loading("b.safetensors"))

    assert here.micros_per_second == 10_000
    assert scheduler.claim(dear.pk) is None
    assert scheduler.claim(cheap.pk).pk == here.pk
    there = runs_by_hand.submitted(ada, loading("a.safetensors"))
    assert scheduler.claim(dear.pk).pk == there.pk
    with pytest.raises(InvalidWorkflow, match="Value not in list"):
        runs_by_hand.submitted(ada, loading("c.safetensors"))


def test_a_run_goes_where_the_file_is_shared_that_it_names(committed, ada):
    without = runs_by_hand.worker(ada, shared_inputs=())
    shares = runs_by_hand.worker(ada, shared_inputs=("lamp.png",))
    graph = {**picture(), "1": {"class_type": "LoadImage", "inputs": {"image": "lamp.png"}}}
    run = runs_by_hand.submitted(ada, graph)

    assert scheduler.claim(without.pk) is None
    assert scheduler.claim(shares.pk).pk == run.pk


SAVES = {"output_node": True, "input": {"required": {"images": ["IMAGE", {}]}}, "output": []}


def loader(model):
    return {"input": {"required": {"name": [[model], {}]}}, "output": ["IMAGE"]}


def loading(model):
    return {
        "1": {"class_type": "Loader", "inputs": {"name": model}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
