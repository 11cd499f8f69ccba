"""Machines by the operator's own programs: as by command and by page, and no token is told."""

from __future__ import annotations

import hashlib
import json
import uuid

import pytest
from django.test import Client
from runs_stage import ended, picture, submit, until

from audit.models import Event
from runs import workers
from runs.models import Worker, WorkerNodes

NOBODY = "6f9df4c6-1a2e-4f0e-9d0b-2f8a4c5a7be1"
SECRET, TOKEN = "s" * 40, "token-of-a-machine-4711"


@pytest.fixture
def do(settings):
    settings.ADMIN_SECRETS = [SECRET]

    def ask(method, path="", secret=SECRET, **said):
        return Client().generic(
            method, f"/admin/workers{path}", json.dumps({"reason": "a test", **said}).encode(),
            content_type="application/json", headers={"X-Comfy-Admin-Secret": secret},
        )  # fmt: skip

    return ask


def terms(**more):
    name = f"gpu-{uuid.uuid4().hex[:8]}"
    return {
        "name": name, "base_url": f"http://{name}.test:8188", "accelerator": "L4",
        "micros_per_second": 400, **more,
    }  # fmt: skip


def test_a_machine_has_its_whole_life_by_program(db, do, alice):
    asked = terms(token=TOKEN, slots=2, reserved_for=[str(alice.workspace_id)],
                  denied_classes=["Load*"], minimum_micros=5)  # fmt: skip
    path = f"/{asked['name']}"

    made = do("POST", **asked)
    listed = {each["name"]: each for each in do("GET").json()["workers"]}

    assert made.status_code == 201
    assert made.json() == listed[asked["name"]] == do("GET", path).json()
    assert (made.json()["slots"], made.json()["state"]) == (2, "unknown")
    assert made.json()["shared_inputs"] == ["example.png"]
    assert workers.token_of(workers.find(asked["name"])) == TOKEN
    assert TOKEN not in made.content.decode() + f"{list(Event.objects.values())}"
    assert do("POST", f"{path}/drain").json()["state"] == "draining"
    assert do("POST", f"{path}/drain").status_code == 200
    assert do("POST", f"{path}/back").json()["state"] == "unknown"
    assert do("DELETE", path).status_code == 204
    assert do("DELETE", path).status_code == do("GET", path).status_code == 404
    noted = Event.objects.filter(target=asked["name"]).order_by("pk")
    assert noted[0].after["reserved_for"] == [str(alice.workspace_id)]
    assert {each.after["program"] for each in noted} == {
        f"secret {hashlib.sha256(SECRET.encode()).hexdigest()[:8]}"
    }, "by which of the operator's secrets"
    assert [(each.action, each.actor_id, each.reason) for each in noted] == [
        (f"worker.{what}", None, "a test") for what in ("added", "drained", "taken_back", "removed")
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"name": "No spaces"}, {"base_url": "ftp://x"}, {"slots": 0}, {"micros_per_second": -1},
     {"dialect": "spoken"}, {"dialect": "v2"}, {"nodes": {"A": {}}}, {"reason": ""},
     {"reserved_for": ["x"]}, {"reserved_for": [NOBODY]},
     {"denied_classes": ["a\0"]}, {"accelerator": "any"},
     {"base_url": "http://["}, {"base_url": "http://\u2100.test"}, {"base_url": "http://a.test:x"},
     {"base_url": "http://a\n.test"}, {"token": "x" * 321}, {"token": "\u00e9" * 200},
     {"token": "a\r\nX-More: b"}, {"token": "x" * 300, "user": "u" * 40}],
    ids=str,
)  # fmt: skip
def test_what_no_machine_is_like_is_refused_with_a_sentence(db, do, wrong):
    answer = do("POST", **terms(**wrong))

    assert answer.status_code == 400, answer.content
    assert answer.json()["message"]


def test_nobody_without_the_secret_reads_or_changes_one(db, do):
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/x"), ("DELETE", "/x"),
                         ("POST", "/x/drain"), ("POST", "/x/back")):  # fmt: skip
        assert do(method, path, secret="n" * 40).status_code == 401, (method, path)


def test_a_machine_that_a_program_registered_takes_runs(stage, ada, do):
    first = stage.worker(ada)
    workers.remove(first.name, by=None, reason="it is registered anew")
    stage.start()

    do("POST", **terms(base_url=first.base_url, token="machine-token",
                       reserved_for=[str(ada.workspace_id)]))  # fmt: skip

    made = Worker.objects.exclude(state="removed").get(base_url=first.base_url)
    until(lambda: WorkerNodes.objects.filter(worker=made).exists())
    run = ended(submit(ada, picture()))

    assert (run.state, run.worker_id) == ("succeeded", made.pk)
    made.state = "removed"
    made.save(update_fields=["state"])


def test_a_token_of_the_longest_has_room(db, do):
    made = do("POST", **terms(token="x" * 260, user="u" * 59))

    assert made.status_code == 201
    assert workers.token_of(workers.find(made.json()["name"])) == f"{'u' * 59}:{'x' * 260}"


def test_no_name_of_none_is_more_than_a_404(db, do):
    for name in ("%00", "a%00b", "%F0%9F%98%80", "a" * 2000):
        assert do("GET", f"/{name}").status_code == do("DELETE", f"/{name}").status_code == 404


def test_one_that_is_removed_while_it_is_asked_for_is_a_404(db, do, monkeypatch):
    name = do("POST", **terms()).json()["name"]
    monkeypatch.setattr("runs.standing.machines", list)

    assert do("GET", f"/{name}").status_code == 404


NODES = {"SaveImage": {"output_node": True, "input": {}, "output": []}}


def test_a_proxys_nodes_are_handed_over_again_where_they_changed(db, do):
    asked = terms(dialect="v2", nodes=NODES)
    do("POST", **asked)
    more = NODES | {"Upscale": {"input": {}, "output": []}}

    changed = do("PUT", f"/{asked['name']}/nodes", nodes=more)
    same = do("PUT", f"/{asked['name']}/nodes", nodes=more)

    assert (changed.status_code, changed.json()["classes"], same.status_code) == (200, 2, 200)
    (noted,) = Event.objects.filter(target=asked["name"], action="worker.nodes_changed")
    assert (noted.before["classes"], noted.after["classes"]) == (1, 2)
    native = terms()
    do("POST", **native)
    refused = do("PUT", f"/{native['name']}/nodes", nodes=more)
    assert (refused.status_code, "itself" in refused.json()["message"]) == (400, True)
    assert do("PUT", f"/{asked['name']}/nodes").status_code == 400
    assert do("PUT", "/nobody/nodes", nodes=more).status_code == 404
