"""Every address of the faces, asked with what is another workspace's: as if it were not there.

An id of another's is answered as an id that nobody has: the same status, the same length, the same
words. And what never comes to a face's view is refused in its shape.
"""

import uuid
from types import SimpleNamespace

import pytest
from django.test import Client
from runs_by_hand import output, submitted, worker
from runs_stage import picture

from apikeys.models import ApiKey
from common.errors import BodyTooLarge
from runs import address, core, workflows
from runs.faces import entries, refusals
from runs.models import Asset, Output, Run

BODY = {"content_type": "application/json"}


def asking(member):
    ApiKey.objects.filter(pk=member.api_key_record.pk).update(scopes=["runs"])
    return Client(headers={"Authorization": f"Bearer {member.key}"}, raise_request_exception=False)


def there(member):
    """A run that waits, one that ended with a file, a workflow, and a file that was put here."""
    from datetime import timedelta

    from django.utils import timezone

    worker(member)
    waiting, over = submitted(member), submitted(member)
    later = timezone.now() + timedelta(days=1)
    made = output(over)
    made.expires_at = later
    Output.objects.bulk_create([made])
    kept = Asset.objects.create(
        workspace_id=member.workspace_id, user_id=member.user.pk, file_path="secret.png",
        content_type="image/png", size_bytes=1, sha256="a" * 64, expires_at=later,
    )  # fmt: skip
    workflow = workflows.make(
        member.workspace_id, name="mine", graph=waiting.graph, by=member.user.pk
    )
    return SimpleNamespace(run=waiting.pk, output=made.pk, asset=kept.pk, workflow=workflow.pk)


def nobodys():
    return SimpleNamespace(
        **{each: uuid.uuid4() for each in ("run", "output", "asset", "workflow")}
    )


DOORS = {
    "GET /api/v2/jobs/{run}": 404,
    "GET /api/v2/jobs/{run}/workflow": 404,
    "GET /api/v2/jobs/{run}/outputs": 404,
    "GET /api/v2/jobs/{run}/events": 404,
    "POST /api/v2/jobs/{run}/cancel": 404,
    "GET /api/v2/jobs?cursor={run}": 422,
    "GET /api/v2/assets/{asset}": 404,
    "GET /api/v2/assets/{output}": 404,
    "GET /api/v2/assets/{asset}/content": 404,
    "DELETE /api/v2/assets/{asset}": 404,
    "GET /api/v1/workflows/{workflow}/runs": 404,
    "POST /api/v1/workflows/{workflow}/runs": 404,
    "GET /api/v1/workflows/{workflow}/runs/{run}": 404,
    "POST /api/v1/workflows/{workflow}/runs/{run}/cancel": 404,
    "GET /api/v7/comfyui/fetch/{run}": 404,
    "POST /api/v7/comfyui/fetch/{run}": 404,
    "GET /comfy/history/{run}": 200,
    "GET /comfy/api/history_v2/{run}": 404,
    "GET /comfy/api/jobs/{run}": 404,
    "GET /comfy/api/job/{run}/status": 404,
    "POST /comfy/api/jobs/{run}/cancel": 404,
    "GET /files/{output}/a.png?e=9999999999&s=x": 404,
    "GET /files/{asset}/a.png?e=9999999999&s=x": 404,
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_anothers_is_answered_as_what_nobody_has(ada, bob, door):
    worker(bob)
    stranger, method_path = asking(bob), door.split(" ", 1)

    def asked(of):
        method, path = method_path[0], method_path[1].format(**vars(of))
        answer = getattr(stranger, method.lower())(path, **({} if method == "GET" else BODY))
        text = answer.content.decode()
        return answer.status_code, [text.replace(str(each), "ID") for each in vars(of).values()]

    hers = there(ada)
    found, none = asked(hers), asked(nobodys())

    assert found == none
    assert found[0] == DOORS[door]
    assert Run.objects.get(pk=hers.run).state == "queued"
    assert Asset.objects.filter(pk=hers.asset).exists()


def test_names_of_another_are_nowhere(ada, bob):
    worker(bob)
    hers, stranger = there(ada), asking(bob)
    name = f"/run/{address.of(bob.api_key_record)}"

    assert stranger.get("/comfy/view?filename=a.png&type=output").status_code == 404
    assert stranger.get("/comfy/view?filename=secret.png&type=input").status_code == 404
    assert stranger.head(f"/api/v2/assets/by-hash/sha256:{'a' * 64}").status_code == 404
    body = {"hash": f"sha256:{'a' * 64}", "file_path": "b.png"}
    assert stranger.post("/api/v2/assets/from-hash", body, **BODY).status_code == 404
    for path in (
        "/comfy/history",
        "/comfy/queue",
        "/comfy/api/jobs",
        "/api/v2/jobs",
        f"{name}/queue",
    ):
        text = stranger.get(path).content.decode()
        assert str(hers.run) not in text
        assert "SaveImage" not in text
    for path, sent in {
        "/comfy/queue": {"delete": [str(hers.run)]},
        "/comfy/interrupt": {"prompt_id": str(hers.run)},
        "/comfy/history": {"delete": [str(hers.run)]},
    }.items():
        assert stranger.post(path, sent, **BODY).status_code == 200
    assert stranger.post(
        "/comfy/api/jobs/cancel", {"job_ids": [str(hers.run)]}, **BODY
    ).status_code == 404  # fmt: skip
    run = Run.objects.get(pk=hers.run)
    assert (run.state, run.hidden_at, run.cancel_reason) == ("queued", None, "")


def test_no_name_of_a_file_breaks_a_header(ada):
    asset = there(ada).asset
    client, names = asking(ada), ["a\r\nSet-Cookie: b=c.png", "a\x7f.png", "\x1b[2J.png", "a\n.png"]

    for name in names:
        body = {"hash": f"sha256:{'a' * 64}", "file_path": name}
        answer = client.post("/api/v2/assets/from-hash", body, **BODY)
        assert answer.status_code == 400, name
    assert list(Asset.objects.filter(workspace_id=ada.workspace_id)) == [
        Asset.objects.get(pk=asset)
    ]


SHAPES = {
    "/api/v2/jobs": ["error", "code"],
    "/api/v2/assets": ["error", "code"],
    "/api/v1/workflows/x/runs": ["error"],
    "/api/v7/comfyui/execute": ["code"],
    "/comfy/prompt": ["error", "type"],
    "/run/rt_x/api/prompt": ["error", "type"],
}


@pytest.mark.parametrize("path", SHAPES)
def test_what_never_comes_to_a_face_is_refused_in_its_shape(ada, path):
    status, body, headers = refusals.at(path, BodyTooLarge("It is too large."))
    for part in SHAPES[path]:
        body = body[part]
    lost = asking(ada).get(f"{path.rstrip('/')}/no-such/thing")
    told = lost.json()
    for part in SHAPES[path]:
        told = told[part]

    assert (status, body) == (413, "payload_too_large")
    assert len(headers["X-Comfy-Request-Id"]) == len(lost["X-Comfy-Request-Id"]) == 36
    assert lost.status_code in (401, 404)
    assert told in ("not_found", "unauthorized")


def test_elsewhere_a_refusal_has_the_contracts_shape():
    refusal = BodyTooLarge("It is too large.")

    assert refusals.at("/customers/balance", refusal) == (
        413,
        refusal.body_at("/customers/balance"),
        {},
    )
    assert refusals.at("/v1/workflows", refusal)[1] == {
        "error": "body_too_large", "message": "It is too large.",
    }  # fmt: skip


def test_a_list_holds_so_many_bytes_of_graphs_and_tells_the_rest_without(ada, monkeypatch):
    monkeypatch.setattr(core, "MOST_TOLD", 4500)
    monkeypatch.setattr(core, "READ_AT_ONCE", 2)
    worker(ada)
    long = picture()
    long["1"]["_meta"] = {"title": "x" * 1000}
    runs = [submitted(ada, long) for _ in range(8)]
    client = asking(ada)

    waiting = client.get("/comfy/queue").json()["queue_pending"]
    for run in runs:
        core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    told = client.get("/comfy/history").json()

    graphs = [bool(each[2]) for each in waiting]
    assert graphs == [True] * 4 + [False] * 4
    assert [bool(each["prompt"][2]) for each in told.values()] == graphs[::-1], (
        "the newest are whole"
    )
    assert list(told) == [str(run.pk) for run in runs]
    assert {each["status"]["messages"][-1][0] for each in told.values()} == {
        "execution_interrupted"
    }


def test_an_answer_has_room_for_so_many_texts(ada, monkeypatch):
    monkeypatch.setattr(entries, "MOST_TEXTS", 5)
    monkeypatch.setattr(entries, "_text", lambda made: made.name)
    worker(ada)
    texts = [output(submitted(ada), n, kind="text") for n in range(3)]
    for each, size in zip(texts, (4, 2, 1), strict=True):
        each.size_bytes = size

    assert entries.outputs(texts, entries.Room()) == {"9": {"images": ["a.png", "", "a.png"]}}
