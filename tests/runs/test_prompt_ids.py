"""A client chooses its prompt's id, and hears of no other workspace that chose the same."""

from __future__ import annotations

import json
import threading
import uuid

import pytest
import runs_by_hand
from django.db import connections
from django.test import Client
from runs_stage import ended, picture, submit

from runs import core
from runs.models import Run


def ask(member, path, body=None):
    headers = {"X-API-KEY": member.key}
    if body is None:
        return Client().get(path, headers=headers)
    return Client().post(path, json.dumps(body), content_type="text/plain", headers=headers)


@pytest.fixture
def same(stage, ada, bob):
    """Ada's run, and Bob's of the same name, both ended."""
    stage.worker(ada, bob)
    stage.start()
    name = uuid.uuid4()
    hers = ended(submit(ada, picture(1), id=name, face="native"))
    his = ended(submit(bob, picture(2), id=name, face="native"))
    return name, hers, his


def test_two_workspaces_runs_of_one_name_are_two_and_each_has_its_own(same, ada, bob):
    name, hers, his = same

    assert hers.pk == name != his.pk
    assert (hers.name, his.name) == (str(name), str(name))
    assert core.get(ada.workspace_id, name).pk == hers.pk
    assert core.get(bob.workspace_id, name).pk == his.pk
    assert (hers.state, his.state) == ("succeeded", "succeeded")


def test_every_face_tells_a_run_by_the_name_that_its_client_gave_it(same, bob):
    name, hers, his = same
    told = {
        path: ask(bob, path).content.decode()
        for path in (
            f"/comfy/history/{name}", "/comfy/history", f"/comfy/api/jobs/{name}",
            "/comfy/api/jobs", f"/comfy/api/history_v2/{name}", f"/comfy/api/job/{name}/status",
            f"/api/v2/jobs/{name}", "/api/v2/jobs", f"/api/v2/jobs/{name}/outputs",
            f"/api/v7/comfyui/fetch/{name}",
        )
    }  # fmt: skip

    for path, text in told.items():
        assert str(name) in text, path
        assert str(his.pk) not in text, path
    assert '"color": 2' in json.dumps(ask(bob, f"/comfy/history/{name}").json())
    assert Run.objects.filter(events__data__data__prompt_id=str(name), pk=his.pk).exists()
    assert ask(bob, f"/api/v2/jobs/{name}/workflow").json()["workflow"] == his.graph != hers.graph


def test_the_same_prompt_again_is_the_same_run_and_another_is_refused(same, bob):
    name, _, _ = same
    path = "/comfy/prompt"

    again = ask(bob, path, {"prompt": picture(2), "prompt_id": str(name)})
    other = ask(bob, path, {"prompt": picture(3), "prompt_id": str(name)})

    assert (again.status_code, again.json()["prompt_id"]) == (200, str(name))
    assert (other.status_code, other.json()["error"]["type"]) == (400, "invalid_prompt_id")
    assert Run.objects.filter(workspace_id=bob.workspace_id).count() == 1


def test_a_name_is_answered_alike_whether_another_has_it_or_nobody(committed, ada, bob):
    runs_by_hand.worker(ada, bob)
    taken, free = uuid.uuid4(), uuid.uuid4()
    runs_by_hand.submitted(ada, id=taken)

    answers = [
        ask(bob, "/comfy/prompt", {"prompt": picture(), "prompt_id": str(name)})
        for name in (taken, free)
    ]

    for answer, name in zip(answers, (taken, free), strict=True):
        assert answer.status_code == 200
        assert answer.json()["prompt_id"] == str(name)
    assert [sorted(each.headers) for each in answers[:1]] == [sorted(answers[1].headers)]


def test_what_waits_is_called_off_and_hidden_by_its_name(committed, ada, bob):
    runs_by_hand.worker(ada, bob)
    name = uuid.uuid4()
    hers = runs_by_hand.submitted(ada, id=name)
    his = runs_by_hand.submitted(bob, id=name)

    gone = ask(bob, "/comfy/queue", {"delete": [str(name)]}).json()["deleted"]
    ask(bob, "/comfy/history", {"delete": [str(name)]})

    hers.refresh_from_db()
    his.refresh_from_db()
    assert gone == [str(name)]
    assert (hers.state, his.state) == ("queued", "canceled")
    assert his.hidden_at
    assert hers.hidden_at is None


def test_of_many_at_once_each_workspace_gets_one_run_of_that_name(committed, ada, bob):
    runs_by_hand.worker(ada, bob)
    name, gate, made = uuid.uuid4(), threading.Barrier(8), []

    def one(member):
        gate.wait()
        try:
            answer = ask(member, "/comfy/prompt", {"prompt": picture(), "prompt_id": str(name)})
            made.append((member.workspace_id, answer.status_code, answer.json().get("prompt_id")))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(each,)) for each in (ada, bob) * 4]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)

    assert [(code, told) for _, code, told in made] == [(200, str(name))] * 8
    for member in (ada, bob):
        own = Run.objects.get(workspace_id=member.workspace_id)
        assert own.name == str(name)
