"""ComfyUI's own dialect, by the scripts of its documents, at an address in the place of theirs."""

from __future__ import annotations

import io
import json
import socket
import struct
import urllib.error
import urllib.request
import uuid
from urllib.parse import urlencode

import aiohttp
import pytest
import runs_by_hand
from django.utils import timezone
from PIL import Image
from runs_live import live
from runs_stage import ended, picture, slow, until

from apikeys.models import ApiKey
from runs import address
from runs.faces import sockets
from runs.models import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def site(committed, settings):
    settings.ALLOWED_HOSTS = ["*"]
    with live() as base:
        yield base


@pytest.fixture
def addresses(site, ada, bob):
    """Where Ada's and Bob's ComfyUI is."""
    return {member.key: address_of(site, member) for member in (ada, bob)}


def address_of(site, member):
    ApiKey.objects.filter(pk=member.api_key_record.pk).update(scopes=["runs"])
    return f"{site}/run/{address.of(member.api_key_record)}"


def ask(url, body=None, **headers):
    """A request as urllib makes one: what is posted is called a form, whatever it is."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def said(answer):
    return json.loads(answer[1])


async def script_of_the_document(server, client_id, prompts):
    """The document's websocket script: wait for `executing` of no node, then fetch the pictures."""
    made, heard, pictures = [], [], []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server}/ws?clientId={client_id}") as socket,
    ):
        for prompt in prompts:
            prompt_id = str(uuid.uuid4())
            body = {"prompt": prompt, "client_id": client_id, "prompt_id": prompt_id}
            data = json.dumps(body).encode()
            async with session.post(f"{server}/prompt", data=data) as answer:
                assert answer.status == 200, await answer.text()
            while True:
                message = await socket.receive(timeout=60)
                if message.type == aiohttp.WSMsgType.BINARY:
                    pictures.append(message.data)
                    continue
                told = json.loads(message.data)
                heard.append(told)
                data = told["data"]
                if told["type"] == "executing" and data["node"] is None:
                    assert data["prompt_id"] == prompt_id
                    break
            async with session.get(f"{server}/history/{prompt_id}") as answer:
                entry = (await answer.json())[prompt_id]
            for output in entry["outputs"].values():
                for image in output["images"]:
                    async with session.get(f"{server}/view?{urlencode(image)}") as answer:
                        assert answer.status == 200
                        made.append(Image.open(io.BytesIO(await answer.read())).size)
    return made, heard, pictures


async def test_the_script_of_the_document_runs_with_another_address(stage, ada, addresses):
    def begin():
        stage.worker(ada)
        stage.start()

    await in_thread(begin)
    server = addresses[ada.key]

    made, heard, pictures = await script_of_the_document(
        server, str(uuid.uuid4()), [slow(1.5), slow(1.5)]
    )

    assert made == [(32, 32), (32, 32)]
    kinds = [each["type"] for each in heard]
    assert kinds[0] == "status"
    assert heard[0]["data"]["status"]["exec_info"]["queue_remaining"] == 0
    first = kinds[: kinds.index("execution_success") + 3]
    assert first[-3:] == ["execution_success", "status", "executing"]
    assert "execution_start" in first
    assert "progress" in first
    assert pictures, "a picture of what it works on came"
    kind, form = struct.unpack_from(">II", pictures[0])
    assert (kind, form) == (1, 1)
    assert Image.open(io.BytesIO(pictures[0][8:])).size == (32, 32)


async def test_pictures_come_with_facts_to_who_reads_them(stage, ada, addresses):
    def begin():
        stage.worker(ada)
        stage.start()

    await in_thread(begin)
    server, client = addresses[ada.key], uuid.uuid4().hex
    hello = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server}/api/ws?clientId={client}") as socket,
    ):
        await socket.send_json(hello)
        body = json.dumps({"prompt": slow(3.0, steps=30), "client_id": client}).encode()
        async with session.post(f"{server}/api/prompt", data=body) as answer:
            run_id = (await answer.json())["prompt_id"]
        while True:
            message = await socket.receive(timeout=60)
            if message.type == aiohttp.WSMsgType.BINARY:
                break
    kind, length = struct.unpack_from(">II", message.data)
    facts = json.loads(message.data[8 : 8 + length])
    assert (kind, facts["prompt_id"], facts["node_id"]) == (4, run_id, "2")
    assert Image.open(io.BytesIO(message.data[8 + length :])).format == "JPEG"


def test_while_a_run_waits_it_is_said_again_and_again_that_it_does(ada, monkeypatch):
    runs_by_hand.worker(ada)
    ear = sockets.Ear(ada.api_key_record, "mine")
    assert len(ear.look()) == 1
    assert ear.look() == []

    runs_by_hand.submitted(ada)
    assert [json.loads(each)["type"] for each in ear.look()] == ["status"]
    assert ear.look() == []
    monkeypatch.setattr(sockets, "STATUS_SECONDS", 0)
    (again,) = ear.look()

    remaining = json.loads(again)["data"]["status"]["exec_info"]["queue_remaining"]
    assert remaining == 1


async def in_thread(work, *args):
    import asyncio

    from django.db import connections

    def run():
        try:
            return work(*args)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def test_a_headless_script_shows_its_key_in_the_body(stage, ada, site):
    stage.worker(ada)
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(scopes=["runs"])
    body = {"prompt": picture(), "extra_data": {"api_key_comfy_org": ada.key}}

    status, answer = ask(f"{site}/comfy/prompt", body)

    assert status == 200, answer
    assert Run.objects.get(pk=json.loads(answer)["prompt_id"]).key_id == ada.api_key_record.pk
    assert ask(f"{site}/comfy/prompt", {"prompt": picture()})[0] == 401
    assert ask(f"{site}/comfy/queue")[0] == 401
    assert ask(f"{site}/run/rt_{'0' * 64}/queue")[0] == 401
    assert ask(f"{site}/comfy/queue", **{"X-API-KEY": ada.key})[0] == 200


def test_another_workspaces_ids_and_names_are_not_there(stage, ada, bob, addresses):
    stage.worker(ada, bob)
    stage.start()
    mine, theirs = addresses[ada.key], addresses[bob.key]
    run = ended(Run.objects.get(pk=said(ask(f"{mine}/prompt", {"prompt": picture()}))["prompt_id"]))
    image = said(ask(f"{mine}/history/{run.pk}"))[str(run.pk)]["outputs"]["9"]["images"][0]
    assert ask(f"{mine}/view?{urlencode(image)}")[0] == 200

    assert said(ask(f"{theirs}/history/{run.pk}")) == {}
    for path in (f"history_v2/{run.pk}", f"jobs/{run.pk}", f"job/{run.pk}/status"):
        assert (ask(f"{mine}/api/{path}")[0], ask(f"{theirs}/api/{path}")[0]) == (200, 404), path
    assert said(ask(f"{mine}/api/jobs?status=completed"))["pagination"]["total"] == 1
    assert said(ask(f"{theirs}/api/jobs"))["jobs"] == []
    assert ask(f"{theirs}/api/jobs/{run.pk}/cancel", {})[0] == 404
    assert ask(f"{theirs}/api/jobs/cancel", {"job_ids": [str(run.pk)]})[0] == 404
    assert said(ask(f"{mine}/api/jobs/{run.pk}/cancel", {})) == {"cancelled": False}
    assert said(ask(f"{theirs}/history")) == {}
    assert ask(f"{theirs}/view?{urlencode(image)}")[0] == 404
    waiting = said(ask(f"{mine}/prompt", {"prompt": slow(30.0)}))["prompt_id"]
    assert said(ask(f"{theirs}/queue")) == {"queue_running": [], "queue_pending": []}
    ask(f"{theirs}/queue", {"delete": [waiting]})
    ask(f"{theirs}/queue", {"clear": True})
    ask(f"{theirs}/interrupt", {"prompt_id": waiting})
    ask(f"{theirs}/history", {"delete": [str(run.pk)]})
    assert not Run.objects.get(pk=waiting).cancel_reason
    assert Run.objects.get(pk=run.pk).hidden_at is None
    own = said(ask(f"{theirs}/prompt", {"prompt": picture(), "prompt_id": str(run.pk)}))
    assert own["prompt_id"] == str(run.pk), "what is theirs may be called so, too"
    until(lambda: said(ask(f"{mine}/queue"))["queue_running"])
    assert ask(f"{mine}/interrupt", {})[0] == 200
    assert ended(Run.objects.get(pk=waiting)).state == "canceled"


def test_a_file_is_put_here_and_loaded_by_its_name(stage, ada, bob, addresses):
    import requests

    stage.worker(ada, bob)
    stage.start()
    mine, theirs = addresses[ada.key], addresses[bob.key]

    def put(base, color, **more):
        made = io.BytesIO()
        Image.new("RGB", (8, 8), color).save(made, "PNG")
        files = {"image": ("cat.png", made.getvalue(), "image/png")}
        return requests.post(f"{base}/upload/image", files=files, data=more, timeout=30)

    assert put(mine, "red").json() == {"name": "cat.png", "subfolder": "", "type": "input"}
    assert put(mine, "red").json()["name"] == "cat.png"
    assert put(mine, "blue").json()["name"] == "cat (1).png"
    assert put(theirs, "green").json()["name"] == "cat.png"
    assert put(mine, "red", subfolder="../x").status_code == 400
    assert requests.post(f"{mine}/upload/image", data={"a": "b"}, timeout=30).status_code == 400
    names = said(ask(f"{mine}/object_info/LoadImage"))["LoadImage"]["input"]["required"]["image"][0]
    assert names == ["cat (1).png", "cat.png", "example.png"]
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    made = said(ask(f"{mine}/prompt", {"prompt": graph}))
    run = ended(Run.objects.get(pk=made["prompt_id"]))
    image = said(ask(f"{mine}/history/{run.pk}"))[str(run.pk)]["outputs"]["9"]["images"][0]
    got = Image.open(io.BytesIO(ask(f"{mine}/view?{urlencode(image)}")[1])).convert("RGB")
    assert got.getpixel((0, 0)) == (255, 0, 0)
    here = Image.open(io.BytesIO(ask(f"{mine}/view?filename=cat.png&type=input")[1]))
    assert here.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_what_can_run_is_run_and_the_rest_is_told(stage, ada, addresses):
    stage.worker(ada)
    server = addresses[ada.key]
    graph = picture()
    graph["2"] = {"class_type": "EmptyImage", "inputs": {"width": "wide", "height": 8}}
    graph["8"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["2", 0], "filename_prefix": "b"},
    }

    made = said(ask(f"{server}/prompt", {"prompt": graph}))

    assert made["node_errors"]["2"]["errors"][0]["type"] == "invalid_input_type"
    assert set(Run.objects.get(pk=made["prompt_id"]).graph) == {"1", "9"}
    only = {"prompt": picture(**{"8": picture()["9"]}), "partial_execution_targets": ["8"]}
    partly = said(ask(f"{server}/prompt", only))
    assert set(Run.objects.get(pk=partly["prompt_id"]).graph) == {"1", "8"}


BAD = {
    "no prompt": ({}, "no_prompt"),
    "a list": ({"prompt": []}, "invalid_prompt"),
    "a page's": ({"prompt": {"nodes": [], "links": []}}, "workflow_format_ui"),
    "no class": ({"prompt": {"1": {"inputs": {}}}}, "missing_node_type"),
    "an unknown class": ({"prompt": {"1": {"class_type": "N", "inputs": {}}}}, "missing_node_type"),
    "no output": ({"prompt": {"1": picture()["1"]}}, "prompt_no_outputs"),
    "an id": ({"prompt": picture(), "prompt_id": "A"}, "invalid_prompt_id"),
    "extra": ({"prompt": picture(), "extra_data": []}, "invalid_request"),
    "targets": ({"prompt": picture(), "partial_execution_targets": 5}, "invalid_request"),
    "a number": ([], "invalid_json"),
    "NUL": ({"prompt": picture(), "client_id": "\0"}, "invalid_json"),
}


def test_what_is_wrong_is_said_in_its_own_words(stage, ada, addresses):
    stage.worker(ada)
    server = addresses[ada.key]

    for what, (body, kind) in BAD.items():
        status, answer = ask(f"{server}/prompt", body)
        assert status == 400, (what, answer)
        assert json.loads(answer)["error"]["type"] == kind, (what, answer)
    for path in ("history?max_items=-1", "history?max_items=x", "view", "view?filename=../a", "ws"):
        assert ask(f"{server}/{path}")[0] == 400, path
    for path in ("free", "users", "internal/logs", "view?filename=nope.png"):
        assert ask(f"{server}/{path}")[0] == 404, path
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()
    assert ada.now().held_micros == 0


def test_the_same_prompt_id_is_one_run(stage, ada, addresses):
    stage.worker(ada)
    server, body = addresses[ada.key], {"prompt": picture(), "prompt_id": str(uuid.uuid4())}

    first, again = (said(ask(f"{server}/prompt", body)) for _ in range(2))
    other = ask(f"{server}/prompt", {**body, "prompt": picture(color=1)})

    assert first == again
    assert (other[0], json.loads(other[1])["error"]["type"]) == (400, "invalid_prompt_id")
    assert Run.objects.filter(workspace_id=ada.workspace_id).count() == 1
    assert said(ask(f"{server}/prompt"))["exec_info"] == {"queue_remaining": 1}
    assert said(ask(f"{server}/queue", {"delete": [body["prompt_id"]]}))["deleted"] == [
        body["prompt_id"]
    ]
    (entry,) = said(ask(f"{server}/history")).values()
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"
    ask(f"{server}/history", {"clear": True})
    assert said(ask(f"{server}/history")) == {}


async def test_a_socket_needs_a_credential_and_ends_no_other_request(site, ada):
    async with aiohttp.ClientSession() as session:
        for path in ("/comfy/ws", f"/run/rt_{'0' * 64}/ws", "/comfy/ws?token=comfyui-x"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(site + path)
            assert refused.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError):  # An upgrade is ignored there.
            await session.ws_connect(f"{site}/health")


def heard(site, *lines):
    """What the site answers to a head that is written by hand, and whether it closed then."""
    host, port = site.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall("\r\n".join([*lines, f"Host: {host}", "", ""]).encode())
        told = b""
        while part := client.recv(1 << 16):
            told += part
            if b"101 Switching" in told:
                break
        return told


def test_no_other_request_comes_behind_one_for_a_websocket(site, ada):
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(scopes=["runs"])
    asks = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    own = [f"X-API-KEY: {ada.key}"]

    good = heard(site, "GET /comfy/ws HTTP/1.1", *asks, "Sec-WebSocket-Version: 13", *own)
    old = heard(site, "GET /comfy/ws HTTP/1.1", *asks, "Sec-WebSocket-Version: 1", *own)
    strange = heard(site, "GET /comfy/ws HTTP/1.1", *asks, "Sec-WebSocket-Version: 13")

    assert good.startswith(b"HTTP/1.1 101 ")
    assert old.startswith(b"HTTP/1.1 400 ")  # And the connection is at its end.
    assert strange.startswith(b"HTTP/1.1 401 ")


async def test_an_address_and_what_listens_at_it_end_with_their_key(
    site, ada, addresses, monkeypatch
):
    monkeypatch.setattr(sockets, "STILL_SECONDS", 0.5)
    server = addresses[ada.key]
    mine = ApiKey.objects.filter(pk=ada.api_key_record.pk)
    asked = await in_thread(lambda: ask(f"{site}/v1/run-address", **{"X-API-KEY": ada.key}))
    assert said(asked)["address"] == server
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server}/ws?clientId=a") as listening,
    ):
        await listening.receive(timeout=10)
        await in_thread(lambda: mine.update(disabled_at=timezone.now()))
        assert (await listening.receive(timeout=10)).type == aiohttp.WSMsgType.CLOSE
        assert listening.close_code == sockets.ENDED_KEY
    assert (await in_thread(lambda: ask(f"{server}/queue")))[0] == 401
    await in_thread(lambda: mine.update(disabled_at=None, allowed_networks=["192.0.2.0/24"]))
    assert (await in_thread(lambda: ask(f"{server}/queue")))[0] == 403
    forged = server[:-1] + ("0" if server[-1] != "0" else "1")
    assert (await in_thread(lambda: ask(f"{forged}/queue")))[0] == 401


async def test_a_client_that_connects_anew_takes_the_place_of_its_old_socket(site, ada, addresses):
    server = addresses[ada.key]
    async with aiohttp.ClientSession() as session:
        old = await session.ws_connect(f"{server}/ws?clientId=mine")
        told = (await old.receive_json(timeout=10))["data"]
        assert told == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "mine"}
        async with session.ws_connect(f"{server}/ws?clientId=mine"):
            assert (await old.receive(timeout=10)).type == aiohttp.WSMsgType.CLOSE
        await old.close()
