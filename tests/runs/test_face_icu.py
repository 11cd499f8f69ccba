"""ComfyICU's dialect, by a small client of ours against a demo worker; and workflows by API."""

import io
import json
from uuid import uuid4

import pytest
from django.test import Client
from PIL import Image
from runs_stage import ended, picture, reached, slow
from test_face_v2 import post

from apikeys.models import ApiKey
from runs.models import Run
from webhooks.models import Delivery

pytestmark = pytest.mark.slow
WORKFLOWS = "/v1/workflows"


def asking(member):
    ApiKey.objects.filter(pk=member.api_key_record.pk).update(scopes=["runs"])
    return Client(headers={"X-API-KEY": member.key})


def made(client, graph=None, **more):
    body = {"name": f"w-{uuid4()}", "prompt": graph or picture(), **more}
    answer = post(client, WORKFLOWS, body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_workflow_runs_and_its_status_is_asked_until_completed_by_its_workspace_alone(
    stage, ada, bob
):
    stage.worker(ada)
    stage.start()
    client = asking(ada)
    workflow = made(client, max_credits=5)
    path = f"/api/v1/workflows/{workflow['id']}/runs"

    hook = {"webhook": "https://8.8.8.8/icu"}
    run = post(client, path, {"prompt": picture(color=7), "workflow_id": workflow["id"], **hook})
    assert (run.status_code, run.json()["status"]) == (200, "QUEUED"), run.content
    kept = ended(Run.objects.get(pk=run.json()["id"]))
    assert kept.max_micros == -(-5_000_000 // 211)

    now = client.get(f"{path}/{run.json()['id']}").json()
    assert (now["status"], now["error"], len(now["output"])) == ("COMPLETED", None, 1)
    assert client.get(path).json() == [now]
    (file,) = now["output"]
    small = Client().get(file["thumbnail_url"].partition("testserver")[2])
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"
    assert Client().get(file["thumbnail_url"].replace("s=", "s=0", 1)).status_code == 404
    told = [json.loads(each.body) for each in Delivery.objects.filter(url=hook["webhook"])]
    assert {each["status"] for each in told} == {"STARTED", "COMPLETED"}
    assert now in told
    stranger = asking(bob)
    for there in ("", f"/{now['id']}"):
        assert stranger.get(path + there).json()["error"] == "not_found"
    assert post(stranger, path).status_code == 404
    assert post(stranger, f"{path}/{now['id']}/cancel").status_code == 404
    other = made(client)["id"]
    assert client.get(f"/api/v1/workflows/{other}/runs/{now['id']}").status_code == 404
    assert client.get(f"/api/v1/workflows/{other}/runs").json() == []
    refused = post(client, path, {"files": {"/input/a.png": "http://10.0.0.1/a.png"}})
    assert (refused.status_code, refused.json()["error"]) == (422, "invalid_file_url")
    assert post(client, path, {"prompt": []}).json()["error"] == "invalid_workflow"
    bad = post(client, path, {"webhook": "http://localhost/"}).json()
    assert bad["error"] == "invalid_webhook_url"
    assert client.get(path, {"limit": "0"}).status_code == 400
    beyond = f"/api/v1/workflows/{other}/runs"
    for before in ("x", str(uuid4())):
        assert client.get(path, {"before": before}).status_code == 400
    assert client.get(beyond, {"before": now["id"]}).status_code == 400


def test_a_run_is_canceled_and_a_list_comes_by_pages(stage, ada):
    stage.worker(ada)
    client = asking(ada)
    path = f"/api/v1/workflows/{made(client, slow(60.0, steps=600))['id']}/runs"
    first, second = (post(client, path).json()["id"] for _ in range(2))

    waiting = post(client, f"{path}/{second}/cancel").json()
    assert (waiting["status"], waiting["error"]["code"]) == ("ERROR", "canceled")
    stage.start()
    reached(Run.objects.get(pk=first), "running")
    post(client, f"{path}/{first}/cancel")
    assert ended(Run.objects.get(pk=first)).state == "canceled"
    page = client.get(path, {"limit": "1"}).json()
    rest = client.get(path, {"before": page[0]["id"]}).json()
    assert [each["id"] for each in page + rest] == [second, first]


def test_a_workflow_is_kept_changed_and_taken_away_by_api(stage, ada, bob):
    client, stranger = asking(ada), asking(bob)
    workflow = made(client, accelerator="cpu")
    path = f"{WORKFLOWS}/{workflow['id']}"
    assert (workflow["version"], workflow["prompt"]) == (1, picture())
    inputs = {(each["node"], each["input"]) for each in workflow["form"]}
    assert {("1", "width"), ("9", "filename_prefix")} <= inputs

    changed = client.patch(
        path, {"name": "Poster", "max_credits": 7}, content_type="application/json"
    ).json()
    assert (changed["name"], changed["max_credits"], changed["accelerator"]) == ("Poster", 7, "cpu")
    version = post(client, f"{path}/versions", {"prompt": slow(1.0)}).json()
    assert (version["version"], version["prompt"]) == (2, slow(1.0))
    numbers = [each["version"] for each in client.get(f"{path}/versions").json()["versions"]]
    assert numbers == [2, 1]
    assert client.get(f"{path}/versions/1").json()["prompt"] == picture()
    assert client.get(f"{path}/versions/3").status_code == 404
    assert client.get(path).json()["prompt"] == slow(1.0)
    (listed,) = client.get(WORKFLOWS).json()["workflows"]
    assert listed["id"] == workflow["id"]

    assert stranger.get(WORKFLOWS).json() == {"workflows": []}
    for there in ("", "/versions", "/versions/1"):
        assert stranger.get(path + there).status_code == 404
    assert post(stranger, f"{path}/versions", {"prompt": picture()}).status_code == 404
    assert stranger.patch(path, {"name": "x"}, content_type="application/json").status_code == 404
    assert stranger.delete(path).status_code == 404
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert post(client, f"/api/v1/workflows/{workflow['id']}/runs").status_code == 404


UI = {"nodes": [], "links": [], "version": 0.4}
REFUSED = {
    "a page's": ({"prompt": UI}, 422, "workflow_format_ui"),
    "no graph": ({"prompt": {}}, 422, "invalid_workflow"),
    "no name": ({"name": " "}, 400, "invalid_request"),
    "a label": ({"accelerator": "a b"}, 400, "invalid_request"),
    "a maximum": ({"max_credits": 0}, 400, "invalid_request"),
    "NUL": ({"name": "a\0"}, 400, "invalid_request"),
    "NUL inside": ({"prompt": picture(color="\0")}, 422, "invalid_workflow"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_workflow_that_is_none_is_refused_with_a_sentence(ada, what):
    more, status, code = REFUSED[what]

    answer = post(asking(ada), WORKFLOWS, {"name": "w", "prompt": picture(), **more})

    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.content
    if code == "workflow_format_ui":
        assert "Export (API)" in answer.json()["message"]
