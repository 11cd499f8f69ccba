"""Files of runs: fetched by the runner from addresses that members name, or put here before."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from uuid import uuid4

import pytest
from blake3 import blake3
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from hostile import Server, answer, silent
from PIL import Image
from runs_by_hand import worker
from runs_stage import by, ended, picture, reached, submit
from test_face_v2 import asking, post

from common.errors import InvalidFileUrl, InvalidWorkflow
from runs import assets, core, isolation, tasks
from runs.models import Asset, Run
from uploads import shelf

pytestmark = pytest.mark.slow
ASSETS = "/api/v2/assets"


def png(color="red", size=(20, 10)):
    made = io.BytesIO()
    Image.new("RGB", size, color).save(made, "PNG")
    return made.getvalue()


def loads(name="cat.png", **more):
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        **more,
    }


def seen(member, run):
    (output,) = core.outputs(member.workspace_id, run.pk)
    with assets.opened(output) as content:
        return Image.open(io.BytesIO(content.read())).convert("RGB").getpixel((0, 0))


def test_a_file_is_fetched_before_the_run_and_two_members_names_never_meet(
    stage, ada, bob, settings
):
    stage.worker(ada, bob, per_second=10_000)
    stage.start()
    with Server(answer(png("red"))) as reds, Server(answer(png("blue"))) as blues:
        settings.OUTSIDE_ORIGINS = [reds.origin, blues.origin]

        mine = submit(ada, loads(), files={"/input/cat.png": {"url": f"{reds.origin}/a?secret=1"}})
        theirs = submit(bob, loads(), files={"/input/cat.png": {"url": f"{blues.origin}/b"}})
        mine, theirs = ended(mine), ended(theirs)

    assert (mine.state, theirs.state) == ("succeeded", "succeeded"), mine.error_message
    assert (seen(ada, mine), seen(bob, theirs)) == ((255, 0, 0), (0, 0, 255))
    (asked,) = reds.asked
    assert asked.line == "GET /a?secret=1 HTTP/1.1"
    assert not {"authorization", "cookie", "x-api-key"} & {each.lower() for each in asked.headers}
    left = list((settings.DATA_DIR / "fetched" / "of-runs").iterdir())
    assert left == []


def test_no_web_process_fetches_and_what_never_could_be_is_refused_before_anything_is_held(
    stage, ada
):
    stage.worker(ada)
    for path, url in {
        "/input/a.png": "http://example.org/a.png",
        "/input/b.png": "https://127.0.0.1/a.png",
        "/input/c.png": "https://[::ffff:10.0.0.1]/a.png",
        "/input/d.png": "https://2130706433/a.png",
        "/input/e.png": "https://me:secret@example.org/a.png",
        "/input/../f.png": "https://example.org/a.png",
        "/output/g.png": "https://example.org/a.png",
        "/models/loras/h.safetensors": "https://example.org/h.safetensors",
        "/input/i.png [output]": "https://example.org/a.png",
    }.items():
        with pytest.raises(InvalidFileUrl):
            submit(ada, loads(path.rpartition("/")[2]), files={path: {"url": url}})
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()
    assert ada.now().held_micros == 0


def test_a_file_that_cannot_be_had_ends_the_run_and_costs_nothing(stage, ada, settings):
    stage.worker(ada)
    stage.start()
    with Server(answer(b"no", status="404 Not Found")) as server:
        settings.OUTSIDE_ORIGINS = [server.origin]
        run = ended(submit(ada, loads(), files={"/input/cat.png": {"url": f"{server.origin}/a"}}))

    assert (run.state, run.error_code) == ("failed", "input_download_failed")
    assert "404" in run.error_message
    assert "127.0.0.1" not in run.error_message
    assert (run.charged_micros, ada.now().held_micros) == (0, 0)


def test_a_run_is_called_off_while_its_files_are_fetched(stage, ada, settings):
    stage.worker(ada)
    stage.start()
    with Server(silent()) as server:
        settings.OUTSIDE_ORIGINS = [server.origin]
        run = submit(ada, loads(), files={"/input/cat.png": {"url": f"{server.origin}/a"}})
        reached(run, "staging")

        core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
        run = ended(run, seconds=8)  # The server is given ten to say anything.

    assert (run.state, run.error_code, run.charged_micros) == ("canceled", "canceled", 0)


def weights():
    table = json.dumps({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(table)) + table + b"abcd"


def test_weights_go_where_the_operator_lets_them_and_programs_nowhere(stage, ada, settings):
    worker = stage.worker(ada, scrubs=False)  # Else they are wiped once the run has ended.
    stage.start()
    graph = loads("example.png")
    graph["5"] = {"class_type": "DemoFail", "inputs": {"image": ["1", 0], "words": "a.safetensors"}}
    graph["9"]["inputs"]["images"] = ["5", 0]
    settings.RUN_MODEL_FOLDERS = ["loras"]
    with Server(answer(weights())) as good, Server(answer(b"\x80\x04pickle")) as bad:
        settings.OUTSIDE_ORIGINS = [good.origin, bad.origin]
        path = "/models/loras/a.safetensors"
        run = ended(submit(ada, graph, files={path: {"url": f"{good.origin}/a"}}))
        worse = ended(submit(ada, graph, files={path: {"url": f"{bad.origin}/a"}}))

    assert run.error_code == "node_execution_error"  # The node says by which name it knows it.
    home = stage.servers[worker.name].folders["input"] / "mc-models/loras/mc"
    (kept,) = (home / isolation.token(ada.workspace_id)).rglob("*.safetensors")
    assert kept.read_bytes() == weights()
    assert kept.parent.name == hashlib.sha256(weights()).hexdigest()[:16]
    assert isolation.token(ada.workspace_id) not in run.error_message
    assert worse.error_code == "input_download_failed"
    assert "safetensors" in worse.error_message


def test_two_files_of_one_name_are_refused(stage, ada, settings):
    stage.worker(ada)
    settings.RUN_MODEL_FOLDERS = ["loras", "vae"]
    url = {"url": "https://example.org/a"}

    with pytest.raises(InvalidFileUrl, match="one name"):
        submit(ada, loads(), files={"/models/loras/a.b": url, "/models/vae/a.b": url})


# --- Files that are put here --------------------------------------------------------------------


def put(client, content, name="cat.png", **more):
    file = SimpleUploadedFile(name, content, "image/png")
    return client.post(ASSETS, {"file": file, **more})


def test_an_asset_is_kept_named_in_a_graph_and_deleted_when_nothing_needs_it(stage, ada, bob):
    stage.worker(ada, bob)
    client, stranger = asking(ada), asking(bob)
    digest = "sha256:" + hashlib.sha256(png()).hexdigest()

    made = put(client, png(), file_path="cats/cat.png", expected_hash=digest, expires_in="3600")
    assert made.status_code == 201, made.content
    asset = made.json()
    named = f"blake3:{blake3(png()).hexdigest()}"
    assert (asset["hash"], asset["file_path"], asset["created_new"]) == (
        named,
        "cats/cat.png",
        True,
    )
    assert put(client, png(), file_path="cats/cat.png").status_code == 200
    renamed = post(client, f"{ASSETS}/from-hash", {"hash": digest, "file_path": "dog.png"})
    assert (renamed.status_code, renamed.json()["file_path"]) == (201, "dog.png")
    again = post(client, f"{ASSETS}/from-hash", {"hash": digest, "file_path": "cats/cat.png"})
    assert (again.status_code, again.json()["id"]) == (200, asset["id"])
    for spelled in (digest, named):
        assert client.head(f"{ASSETS}/by-hash/{spelled}").status_code == 200
        assert stranger.head(f"{ASSETS}/by-hash/{spelled}").status_code == 404
    graph = loads({"__type": "core/ASSET", "info": {"id": asset["id"]}})
    job = post(client, "/api/v2/jobs", {"workflow": graph}).json()
    assert client.delete(f"{ASSETS}/{asset['id']}").json()["error"]["code"] == "asset_in_use"
    stage.start()
    run = ended(Run.objects.get(pk=job["id"]))
    assert (run.state, seen(ada, run)) == ("succeeded", (255, 0, 0))

    assert b"".join(client.get(f"{ASSETS}/{asset['id']}/content").streaming_content) == png()
    (output,) = client.get(f"/api/v2/jobs/{run.pk}").json()["outputs"]
    content = b"".join(client.get(f"{ASSETS}/{output['id']}/content").streaming_content)
    assert output["hash"] == f"blake3:{blake3(content).hexdigest()}"
    assert client.get(f"{ASSETS}/{output['id']}").json()["job_id"] == str(run.pk)
    for path in (asset["id"], f"{asset['id']}/content", output["id"], f"by-hash/{digest}"):
        assert stranger.get(f"{ASSETS}/{path}").status_code == 404, path
    assert stranger.delete(f"{ASSETS}/{asset['id']}").status_code == 404
    found = post(stranger, f"{ASSETS}/from-hash", {"hash": digest})
    assert (found.status_code, found.json()["error"]["code"]) == (404, "blob_not_found")
    theirs = post(stranger, "/api/v2/jobs", {"workflow": graph})
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (422, "missing_asset")
    assert theirs.json()["error"]["details"] == {"missing_ids": [asset["id"]]}
    assert client.delete(f"{ASSETS}/{asset['id']}").status_code == 204
    assert client.delete(f"{ASSETS}/{asset['id']}").status_code == 404
    with pytest.raises(InvalidWorkflow):
        core.submit(by(ada), core.Ask(graph=loads("cats/cat.png")))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("text/plain;charset=utf-8", "text/plain;charset=utf-8"),
        ("text/plain;\0", "application/octet-stream"),
        ("text/plain;\ra", "application/octet-stream"),
        (f"text/plain;{'a' * 60}{'b' * 30}", "application/octet-stream"),
        (f"{'a' * 40}/{'b' * 58};{'c' * 60}", "application/octet-stream"),
        ("picture", "application/octet-stream"),
    ],
)
def test_a_file_is_called_only_what_can_be_kept_and_sent(stage, ada, said, kept):
    client = asking(ada)

    made = put(client, png(), content_type=said)

    assert (made.status_code, made.json()["content_type"]) == (201, kept)
    sent = client.get(f"{ASSETS}/{made.json()['id']}/content")
    assert sent.headers["Content-Type"] == kept
    assert b"".join(sent.streaming_content) == png()


def test_known_bytes_are_kept_as_long_as_new_ones(ada, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    client = asking(ada)
    asset = put(client, png(), file_path="cat.png", expires_in="60").json()

    def until(answer):
        assert answer.status_code == 200, answer.content
        assert answer.json()["id"] == asset["id"]
        assert (
            client.get(f"{ASSETS}/{asset['id']}").json()["expires_at"]
            == (answer.json()["expires_at"])
        )
        return answer.json()["expires_at"]

    hour = until(put(client, png(), file_path="cat.png", expires_in="3600"))
    assert hour > asset["expires_at"]
    assert until(put(client, png(), file_path="cat.png", expires_in="60")) == hour
    same = {"hash": asset["hash"], "file_path": "cat.png"}
    assert until(post(client, f"{ASSETS}/from-hash", same)) > hour


def test_a_file_whose_time_is_over_is_here_for_the_run_that_waits_for_it(ada, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    worker(ada)
    asset = put(asking(ada), png(), file_path="cat.png").json()
    run = core.submit(by(ada), core.Ask(graph=loads("cat.png")))
    kept = Asset.objects.filter(pk=asset["id"])
    kept.update(expires_at=timezone.now())

    assets.delete_expired()
    assert kept.exists()
    with assets.opened(kept.get()) as content:
        assert content.read() == png()
    with pytest.raises(InvalidWorkflow):
        core.submit(by(ada), core.Ask(graph=loads("cat.png")))

    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    assets.delete_expired()
    assert not kept.exists()


ABC = "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
"""Of b"abc", as BLAKE3's authors publish it."""


def test_a_file_is_sent_as_comfys_own_libraries_announce_it(stage, ada):
    """They ask for its BLAKE3 before, name it with the file, and need not send it a second time."""
    client = asking(ada)

    assert client.head(f"{ASSETS}/by-hash/{ABC}").status_code == 404
    assert post(client, f"{ASSETS}/from-hash", {"hash": ABC}).status_code == 404
    other = put(client, b"abd", expected_hash=ABC)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "hash_mismatch")
    made = put(client, b"abc", "a.txt", expected_hash=ABC)

    assert (made.status_code, made.json()["hash"]) == (201, ABC)
    assert client.head(f"{ASSETS}/by-hash/{ABC}").status_code == 200
    again = post(client, f"{ASSETS}/from-hash", {"hash": ABC, "file_path": "b.txt"})
    assert (again.status_code, again.json()["hash"]) == (201, ABC)


def test_files_of_before_have_their_blake3_once_a_sweep_has_read_them(stage, ada):
    client = asking(ada)
    made = [put(client, each, f"{n}.txt").json() for n, each in enumerate((b"abc", b"gone", b"d"))]
    Asset.objects.filter(workspace_id=ada.workspace_id).update(blake3="")
    shelf.drop(Asset.objects.get(pk=made[1]["id"]).key)

    assert client.head(f"{ASSETS}/by-hash/{ABC}").status_code == 404
    before = client.get(f"{ASSETS}/{made[0]['id']}").json()["hash"]
    assert before == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    tasks.name_files()

    assert client.head(f"{ASSETS}/by-hash/{ABC}").status_code == 200
    assert client.get(f"{ASSETS}/{made[0]['id']}").json()["hash"] == ABC
    gone = client.get(f"{ASSETS}/{made[1]['id']}").json()["hash"]
    assert gone == "sha256:" + hashlib.sha256(b"gone").hexdigest()


WRONG = {
    "no file": ({"file": ""}, 400, "invalid_request"),
    "a digest": ({"expected_hash": "sha256:" + "0" * 64}, 409, "hash_mismatch"),
    "a blake3": ({"expected_hash": "blake3:" + "0" * 64}, 409, "hash_mismatch"),
    "another digest": ({"expected_hash": "md5:" + "0" * 32}, 400, "invalid_request"),
    "half a digest": ({"expected_hash": "blake3:" + "0" * 63}, 400, "invalid_request"),
    "a place": ({"file_path": "../cat.png"}, 400, "invalid_request"),
    "a model": ({"file_path": "models/loras/a.safetensors"}, 403, "forbidden"),
    "a time": ({"expires_in": "59"}, 400, "invalid_request"),
    "tags": ({"tags": ["x" * 101]}, 400, "invalid_request"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_an_asset_is_said_and_nothing_is_kept(stage, ada, what):
    more, status, code = WRONG[what]

    answered = put(asking(ada), png(), **more)

    assert (answered.status_code, answered.json()["error"]["code"]) == (status, code)
    assert not assets.living(ada.workspace_id).exists()


def test_a_workspace_keeps_so_much(stage, ada, monkeypatch):
    monkeypatch.setattr(assets, "MOST_KEPT", 100)
    client = asking(ada)

    assert put(client, b"x" * 60).status_code == 201
    refused = put(client, b"y" * 60, name="b.png")
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")


# --- ModelsLab -----------------------------------------------------------------------------------

EXECUTE = "/api/v7/comfyui/execute"


def test_modelslab_takes_values_for_inputs_and_tells_the_end(stage, ada, bob):
    from django.test import Client

    from webhooks.models import Delivery

    stage.worker(ada, bob)
    asking(ada)
    client = Client()
    track = str(uuid4())
    body = {
        "key": ada.key,
        "workflow": picture(),
        "inputs": {"1": {"color": 0xFF00FF}, "9.filename_prefix": "mine"},
        "track_id": track,
        "wait": 0,
        "webhook_url": "https://8.8.8.8/hook",
    }

    made = post(client, EXECUTE, body).json()
    assert (made["status"], made["output"], made["track_id"]) == ("processing", [], track)
    run = Run.objects.get(pk=made["id"])
    fetch = f"/api/v7/comfyui/fetch/{run.pk}"
    assert made["fetch_result"].endswith(fetch)
    stage.start()
    run = ended(run)
    done = post(client, fetch, {"key": ada.key}).json()

    assert (done["status"], len(done["output"]), done["track_id"]) == ("success", 1, track)
    assert "/mine_00001_.png" in done["output"][0]
    assert seen(ada, run) == (255, 0, 255)
    (told,) = Delivery.objects.filter(url="https://8.8.8.8/hook")
    assert json.loads(told.body) == done
    asking(bob)
    refused = post(client, fetch, {"key": bob.key})
    assert (refused.status_code, refused.json()["status"]) == (404, "error")
    assert post(client, fetch).status_code == 401
    header = {"X-API-KEY": bob.key}  # It is taken before the one in the body.
    assert post(client, fetch, {"key": ada.key}, headers=header).status_code == 404


NOT_TAKEN = {
    "a node": ({"inputs": {"77": {"a": 1}}}, 422),
    "an input": ({"inputs": {"1": {"nope": 1}}}, 422),
    "a link": ({"inputs": {"9": {"images": 5}}}, 422),
    "a list": ({"inputs": []}, 422),
    "links": ({"replace_links": "yes"}, 400),
    "a wait": ({"wait": 61}, 400),
    "no workflow": ({"workflow": []}, 422),
    "a page's": ({"workflow": {"nodes": [], "links": []}}, 422),
    "a webhook": ({"webhook": "http://127.0.0.1/"}, 422),
    "a file": ({"files": {"/input/a.png": "http://10.0.0.1/"}}, 422),
    "a track": ({"track_id": 5}, 400),
}


@pytest.mark.parametrize("what", NOT_TAKEN)
def test_modelslab_says_what_is_wrong_in_its_shape_and_holds_nothing(stage, ada, what):
    stage.worker(ada)
    more, status = NOT_TAKEN[what]

    answered = post(asking(ada), EXECUTE, {"workflow": picture(), "wait": 0, **more})

    assert (answered.status_code, answered.json()["status"]) == (status, "error"), answered.content
    assert set(answered.json()) == {"status", "code", "message"}
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()
    assert ada.now().held_micros == 0
