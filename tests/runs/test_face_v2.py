"""Comfy API v2, by a small client of ours against a demo worker."""

import asyncio
import json
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from runs_by_hand import begun, end, submitted, worker
from runs_stage import ended, picture, reached, slow

from apikeys.models import ApiKey
from runs import books, core, scheduler, workflows
from runs.faces import streams
from runs.models import Run

pytestmark = pytest.mark.slow
JOBS = "/api/v2/jobs"


def asking(member):
    """A client that shows a member's key as a bearer."""
    ApiKey.objects.filter(pk=member.api_key_record.pk).update(scopes=["runs"])
    return Client(headers={"Authorization": f"Bearer {member.key}"})


def post(client, path, body=None, **more):
    return client.post(path, body or {}, content_type="application/json", **more)


def told(answer):
    """The frames of a stream, read to its end."""

    async def read():
        return b"".join([part async for part in answer.streaming_content])

    text = asyncio.run(read()).decode()
    frames = [part.split("\n") for part in text.split("\n\n") if part and part[0] != ":"]
    return [(each[0][7:], json.loads(each[1][6:])) for each in frames]


def test_a_job_is_handed_over_followed_and_its_file_fetched_without_a_credential(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    client = asking(ada)

    made = post(client, JOBS, {"workflow": slow(0.5), "metadata": {"for": "me"}})
    assert made.status_code == 201, made.content
    job = made.json()
    assert (job["status"], job["queue_position"], job["outputs"]) == ("queued", 1, [])
    assert made["Run-Id"] == job["id"]
    events = told(client.get(f"{JOBS}/{job['id']}/events", headers={"Accept": "text/event-stream"}))

    assert events[0][0] == "status"
    assert [name for name, _ in events][-2:] == ["output", "status"]
    assert events[-1][1]["status"] == "succeeded"
    job = client.get(f"{JOBS}/{job['id']}").json()
    assert (job["status"], job["error"], job["metadata"]) == ("succeeded", None, {"for": "me"})
    assert job["metrics"]["charged_micros"] > 0
    (output,) = job["outputs"]
    assert (output["type"], output["name"]) == ("image", "made_00001_.png")
    fetched = Client().get(output["url"].partition("testserver")[2])
    assert fetched.status_code == 200
    assert len(b"".join(fetched.streaming_content)) == output["size_bytes"]
    assert Client().get(output["url"].partition("testserver")[2] + "0").status_code == 404
    assert client.get(f"{JOBS}/{job['id']}/workflow").json()["workflow"] == slow(0.5)
    assert client.get(f"{JOBS}/{job['id']}/outputs").json()["outputs"][0]["id"] == output["id"]


def test_what_works_is_canceled_and_the_stream_says_so_last(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    client = asking(ada)
    job = post(client, JOBS, {"workflow": slow(60.0, steps=600)}).json()
    run = reached(Run.objects.get(pk=job["id"]), "running")
    answer = client.get(f"{JOBS}/{run.pk}/events")

    canceled = post(client, f"{JOBS}/{run.pk}/cancel").json()
    assert canceled["status"] in ("canceling", "canceled")

    assert told(answer)[-1] == ("status", {"status": "canceled"})
    assert ended(run).error_code == "canceled"
    assert post(client, f"{JOBS}/{run.pk}/cancel").json()["status"] == "canceled"


def test_a_strangers_job_is_not_there(stage, ada, bob):
    stage.worker(ada)
    job = post(asking(ada), JOBS, {"workflow": picture()}).json()
    client = asking(bob)

    for path in ("", "/workflow", "/outputs", "/events"):
        answer = client.get(f"{JOBS}/{job['id']}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert post(client, f"{JOBS}/{job['id']}/cancel").status_code == 404
    assert client.get(JOBS).json() == {"jobs": []}
    assert client.get(JOBS, {"cursor": job["id"]}).json()["error"]["code"] == "invalid_cursor"


def test_a_list_comes_by_pages_and_by_filters(stage, ada):
    stage.worker(ada)
    client = asking(ada)
    made = [
        post(client, JOBS, {"workflow": picture(), "metadata": {"n": f"{n}"}}).json()["id"]
        for n in range(3)
    ]

    first = client.get(JOBS, {"limit": 2}).json()
    second = client.get(JOBS, {"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [each["id"] for each in first["jobs"] + second["jobs"]] == made[::-1]
    assert "next_cursor" not in second
    (found,) = client.get(JOBS, {"metadata[n]": "1", "status": "queued"}).json()["jobs"]
    assert found["id"] == made[1]


def test_what_was_called_off_is_canceling_until_it_has_ended(ada):
    """Before its machine has it, while it works, and while what it made so far is brought."""
    machine, client = worker(ada), asking(ada)
    job = f"{JOBS}/{submitted(ada).pk}"
    waits = str(submitted(ada).pk)
    run = scheduler.claim(machine.pk)
    assert client.get(job).json()["status"] == "queued"

    said = [post(client, f"{job}/cancel").json()["status"]]
    for step in (books.is_running, books.is_collecting):
        assert step(run)
        said.append(client.get(job).json()["status"])
        (found,) = client.get(JOBS, {"status": "canceling"}).json()["jobs"]
        assert found["status"] == "canceling"
        assert client.get(JOBS, {"status": "running"}).json()["jobs"] == []
    assert said == ["canceling"] * 3
    assert [each["id"] for each in client.get(JOBS, {"status": "queued"}).json()["jobs"]] == [waits]

    assert end(run, state="canceled", code="canceled")
    assert client.get(job).json()["status"] == "canceled"


def test_a_key_of_an_intention_makes_one_job(stage, ada):
    stage.worker(ada)
    client, named = asking(ada), {"Idempotency-Key": f"{uuid4()}"}
    assert post(client, JOBS, {"workflow": picture()}, headers=named).status_code == 201

    again = post(client, JOBS, {"workflow": picture()}, headers=named)

    assert (again.status_code, again.json()["error"]["code"]) == (422, "idempotency_key_reuse")
    assert Run.objects.filter(workspace_id=ada.workspace_id).count() == 1


LOADS = {"1": {"class_type": "Nope", "inputs": {}}}
BAD = {
    "a list": ({"workflow": []}, 422, "invalid_workflow"),
    "none": ({}, 422, "invalid_workflow"),
    "a page's": ({"workflow": {"nodes": [], "links": []}}, 422, "workflow_format_ui"),
    "an unknown class": ({"workflow": LOADS}, 422, "invalid_workflow"),
    "NUL": ({"workflow": picture(), "metadata": {"a": "\0"}}, 400, "invalid_request"),
    "metadata": ({"workflow": picture(), "metadata": {"a": 1}}, 422, "metadata_invalid"),
    "reserved": ({"workflow": picture(), "inputs": {}}, 422, "invalid_workflow"),
    "extra": ({"workflow": picture(), "extra_data": {"x": 1}}, 400, "invalid_request"),
    "a wrong key": (
        {"workflow": picture(), "extra_data": {"api_key_comfy_org": "x"}}, 401, "unauthorized",
    ),
    "no maximum": ({"workflow": picture(), "max_credits": 0}, 400, "invalid_request"),
    "an accelerator": ({"workflow": picture(), "accelerator": "H9"}, 422, "invalid_workflow"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(BAD))
def test_what_is_wrong_is_said_in_the_dialects_shape_and_holds_nothing(stage, ada, what):
    stage.worker(ada)
    body, status, code = BAD[what]

    answer = post(asking(ada), JOBS, body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.content
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()
    assert ada.now().held_micros == 0


@pytest.mark.parametrize("face", ["v2", "icu", "modelslab", "native"])
def test_an_unknown_class_is_named_before_anything_is_held(ada, face):
    worker(ada)
    client, graph = asking(ada), picture(**{"7": {"class_type": "Nope", "inputs": {}}})
    path, name, status = {
        "v2": (JOBS, "workflow", 422),
        "modelslab": ("/api/v7/comfyui/execute", "workflow", 422),
        "native": ("/comfy/prompt", "prompt", 400),
        "icu": ("", "prompt", 422),
    }[face]
    if face == "icu":
        kept = workflows.make(ada.workspace_id, name="x", graph=picture(), by=ada.user.pk)
        path = f"/api/v1/workflows/{kept.pk}/runs"

    answer = post(client, path, {name: graph})

    assert answer.status_code == status, answer.content
    assert "Node 'Nope' not found" in answer.content.decode()
    if face in ("v2", "native"):
        whole = answer.json()
        wrong = whole["error"]["details"]["node_errors"] if face == "v2" else whole["node_errors"]
        assert wrong["7"]["class_type"] == "Nope"
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()
    assert ada.now().held_micros == 0


def test_a_stream_ends_with_its_key_and_tells_nothing_more(ada, monkeypatch):
    monkeypatch.setattr(streams, "STILL_SECONDS", 0)
    worker(ada)
    answer = asking(ada).get(f"{JOBS}/{submitted(ada).pk}/events")
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(revoked_at=timezone.now())

    assert told(answer) == []


def test_a_stream_reads_nothing_of_what_a_machine_told(ada):
    """Its messages may be 20,000 of 256 KiB each."""
    machine = worker(ada)
    submitted(ada)
    run, _ = begun(machine)
    books.told(run, "executed", {"output": {"text": ["much"]}})
    answer = asking(ada).get(f"{JOBS}/{run.pk}/events")
    books.told(run, "executed", {"output": {"text": ["more"]}})
    kinds = {each.kind for each in core.events_after(ada.workspace_id, run.pk, kinds=streams.KINDS)}
    assert kinds == {"status"}
    assert end(run)

    assert told(answer)[-1] == ("status", {"status": "succeeded"})


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "٣", "00019", "1" * 5000, "0001" * 2000])
def test_a_page_is_as_long_as_is_asked_or_refused(ada, limit):
    answer = asking(ada).get(JOBS, {"limit": limit})

    wanted = 200 if limit == "00019" else 400
    assert answer.status_code == wanted, answer.content


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"workflow": {"1": 5}}', b"\xff", b'{"workflow":{"1":{"inputs":[]}}}']
)
def test_no_bytes_cause_a_500(stage, ada, body):
    stage.worker(ada)

    answer = asking(ada).post(JOBS, body, content_type="text/plain")

    assert answer.status_code in (400, 422), answer.content


def test_only_so_many_streams_of_a_key_are_open(stage, ada):
    stage.worker(ada)
    client = asking(ada)
    job = post(client, JOBS, {"workflow": picture()}).json()
    open_ones = [client.get(f"{JOBS}/{job['id']}/events") for _ in range(streams.MOST)]

    answer = client.get(f"{JOBS}/{job['id']}/events")

    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_streams")
    for each in open_ones:
        each.close()
