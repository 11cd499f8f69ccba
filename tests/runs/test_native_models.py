"""What of models and nodes a ComfyUI's client may ask, of all machines as of one."""

from __future__ import annotations

import pytest
from django.test import Client
from runs_stage import until

from runs import workers
from runs.faces import nodes
from runs.models import WorkerNodes


def ask(member, path, **headers):
    return Client().get(f"/comfy/{path}", headers={"X-API-KEY": member.key, **headers})


@pytest.fixture
def machines(stage, ada, bob):
    """One of Ada's with models, one that she shares with Bob, one of Bob's alone."""
    told = {}
    for name, members in (("hers", (ada,)), ("shared", (ada, bob)), ("his", (bob,))):
        machine = stage.worker(*members)
        home = stage.servers[machine.name].models
        for path in (f"loras/{name}.safetensors", f"embeddings/{name}.pt", "vae/deep/same.ckpt"):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(b"x")
        (home / "loras/mc/secret-token/0123").mkdir(parents=True)
        (home / "loras/mc/secret-token/0123/brought.safetensors").write_bytes(b"x")
        told[name] = machine
    stage.start()
    rows = WorkerNodes.objects.filter(worker__in=told.values())
    until(lambda: all(each.folders for each in rows.all()))
    return told


def test_models_and_embeddings_are_those_of_all_machines_that_runs_may_go_to(machines, ada, bob):
    assert ask(ada, "models").json() == ["checkpoints", "embeddings", "loras", "vae"]
    assert ask(ada, "models/loras").json() == ["hers.safetensors", "shared.safetensors"]
    assert ask(bob, "api/models/loras").json() == ["his.safetensors", "shared.safetensors"]
    assert ask(ada, "embeddings").json() == ["hers", "shared"]
    assert ask(ada, "models/vae").json() == ["deep/same.ckpt"]
    assert ask(ada, "models/checkpoints").json() == []


def test_nobody_is_told_of_a_model_that_a_run_brought(machines, ada):
    told = [ask(ada, path).content.decode() for path in ("models/loras", "models", "embeddings")]

    assert not [each for each in told if "brought" in each or "secret-token" in each]


def test_a_folder_that_is_none_is_a_404_in_words_of_the_dialect(machines, ada):
    for folder in ("nothing", "loras/mc", "..", "loras/../vae"):
        answer = ask(ada, f"models/{folder}")
        assert answer.status_code == 404, folder
        assert answer.json()["error"]["type"] == "not_found"


def test_a_machine_that_tells_nothing_of_models_serves_all_the_same(stage, ada, monkeypatch):
    from runs_liar import Liar

    liar = Liar(stage, ada)  # It has no such address, as a ComfyUI of old.
    stage.start()
    until(lambda: type(liar.worker).objects.get(pk=liar.worker.pk).health == "up")

    assert ask(ada, "models").json() == []
    assert ask(ada, "embeddings").json() == []


def test_names_of_models_that_nothing_could_keep_are_left_out(stage, ada):
    machine = stage.worker(ada)

    workers.note_folders(machine, {"loras": ["a.pt", "b\0.pt", "c" * 301, "mc/x/y.pt", "a.pt"]})

    assert nodes.folders(ada.workspace_id) == {"loras": ["a.pt"]}


def test_nodes_that_a_client_knows_already_are_not_sent_again(stage, ada):
    stage.worker(ada)
    first = ask(ada, "object_info")

    same = ask(ada, "object_info", **{"If-None-Match": first["ETag"]})
    other = ask(ada, "object_info/SaveImage", **{"If-None-Match": first["ETag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == 200
    assert set(other.json()) == {"SaveImage"}
