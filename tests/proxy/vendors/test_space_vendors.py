"""What is peculiar to the vendors of models in space: what is translated, whose a task is."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from operations import operation, poll_of, quote, sent
from proxy_stage import VENDOR_KEY, check_refusal
from sample_calls import entries, sample_of
from vendor_calls import RICH, micros, spent, until

from common.errors import InvalidRequest
from proxy import signatures, withdrawn
from proxy.asked import Asked
from proxy.credentials import Account
from proxy.dialect import Said, Verdict
from proxy.relay import Outgoing
from proxy.vendors.tencent import TENCENT

TRIPO = "tripo/v2/openapi/task"
TASK = f"/proxy/{TRIPO}"
IMPORT = "/proxy/tripo/v2/openapi/import"


def test_a_task_of_v2_is_sent_as_v3_has_it():
    views = [{"type": "png", "url": "https://a/1.png"}, {}, {"url": "https://a/2.png"}]
    text = {"type": "text_to_model", "prompt": "x", "face_limit": -1, "style": None, "pbr": True}

    assert sent(TRIPO, text) == {"prompt": "x", "pbr": True, "model": "v2.5-20250123"}
    assert sent(TRIPO, {**text, "face_limit": 90})["face_limit"] == 90
    made = sent(TRIPO, {"type": "multiview_to_model", "files": views, "quad": False})
    assert made == {
        "inputs": ["https://a/1.png", None, "https://a/2.png"], "quad": False,
        "model": "v2.5-20250123",
    }  # fmt: skip
    rig = {"type": "animate_rig", "original_model_task_id": "t", "model_version": "v2.0-20250506"}
    assert sent(TRIPO, rig) == {"input": "t", "model": "v2.5-20260210"}
    convert = {"type": "convert_model", "original_model_task_id": "t", "format": "fbx"}
    assert sent(TRIPO, {**convert, "export_orientation": "default"}) == {
        "input": "t", "format": "FBX",
    }  # fmt: skip
    assert operation(TRIPO).upstream_of(Asked(body=convert)) == "/v3/models/convert"


def test_a_task_of_v3_is_read_as_clients_of_v2_do():
    output = {"model_url": "https://a/1.glb", "rendered_image_url": "https://a/1.png"}
    said = {
        "task_id": "t",
        "status": "success",
        "created_at": "2026-11-01T00:00:00+00:00",
        "input": "u",
        "output": output,
        "progress": 100.0,
        "credits_consumed": 20.0,
    }

    read = poll_of(TRIPO).reply({"code": 0, "data": said})["data"]

    assert read["output"]["model"] == read["output"]["pbr_model"] == "https://a/1.glb"
    assert read["output"]["rendered_image"] == "https://a/1.png"
    assert (read["create_time"], read["input"], read["progress"]) == (1793491200, {}, 100)
    assert "credits_consumed" not in read
    running = poll_of(TRIPO).reply({"code": 0, "data": {"task_id": "t", "status": "unknown"}})
    assert running["data"]["status"] == "running", "clients of v2 take unknown for an end"
    assert running["data"]["create_time"] == 0


def test_what_tripo_withdrew_names_its_successor(monkeypatch):
    monkeypatch.setattr(withdrawn.catalogue, "moved_to", lambda vendor, base="": "")
    for body, says in (
        ({"type": "refine_model"}, "refine_model on 2026-10-31. Use texture_model"),
        ({"type": "image_to_model", "model_version": "v2.0-20240919"}, "Use v2.5-20250123"),
        ({"type": "text_to_model", "style": "gold"}, "withdrew styles on 2026-10-31"),
    ):
        with pytest.raises(InvalidRequest, match=says):
            quote(TRIPO, body)


@pytest.mark.parametrize(
    ("more", "usd"),
    [
        ({}, "0.3"),
        ({"texture": False}, "0.3"),  # A PBR needs one.
        ({"texture": False, "pbr": False}, "0.2"),
        ({"model_version": "v3.1-20260211", "geometry_quality": "detailed"}, "0.5"),
        ({"geometry_quality": "detailed"}, "0.3"),  # Before v3 there is none.
        ({"model_version": "P1-20260311", "texture_quality": "detailed"}, "0.6"),
        ({"quad": True, "texture_quality": "detailed"}, "0.45"),
    ],
)
def test_an_image_to_model_costs_by_what_is_made(more, usd):
    body = {"type": "image_to_model", "file": {"url": "https://a/b.png"}, **more}
    assert quote(TRIPO, body).most == micros(usd)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "animate_retarget", "original_model_task_id": "t", "animation": ["a", "b"]},
        {"type": "animate_retarget", "original_model_task_id": "t", "animations": ["a", "b"]},
        {"type": "text_to_model", "prompt": "x", "generate_parts": True},
        {"type": "text_to_model", "prompt": "x", "texture": "false"},
        {"type": "texture_model", "texture_prompt": {"image": "https://a/b.png"}},
        {"type": "mesh_segmentation"},
        {},
    ],
)
def test_what_multiplies_or_costs_more_is_refused_at_tripo(body):
    with pytest.raises(InvalidRequest):
        quote(TRIPO, body)


@pytest.mark.parametrize("file", [{"file_token": "file_of_another"}, {"url": "t-of-another"}, {}])
def test_an_input_is_an_address_never_somebody_elses_task(file):
    with pytest.raises(InvalidRequest, match="http"):
        sent(TRIPO, {"type": "image_to_model", "file": file})


async def test_an_import_costs_nothing_and_is_its_workspaces_own(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    body = {"url": "https://storage.example.com/in/1.glb", "format": "glb"}

    taken = (await stage.post(IMPORT, member, json=body)).json()["data"]["task_id"]
    end = await until(
        lambda: stage.get(f"{TASK}/{taken}", member),
        lambda answer: answer.json()["data"]["status"] == "success",
    )

    assert end.json()["data"]["output"]["model"]
    assert stage.wallet(member) == (RICH, 0)
    texture = {"type": "texture_model", "original_model_task_id": taken}
    for refused in (
        await stage.get(f"{TASK}/{taken}", other),
        await stage.post(TASK, other, json=texture),
    ):
        assert refused.status == 404
        check_refusal(refused)
    assert stage.wallet(other) == (RICH, 0)
    made = await stage.post(TASK, member, json=texture)
    assert made.status == 200, made.body
    await asyncio.sleep(0.4)
    await stage.get(f"{TASK}/{made.json()['data']['task_id']}", member)
    spent(stage, member, "0.1")


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("code=2010", 403, "provider_disabled"),
        ("inside=2010", 403, "provider_disabled"),
        ("inside=2000", 429, "provider_rate_limited"),
        ("inside=2008", 422, "content_blocked"),
        ("inside=1004", 422, "provider_rejected"),
        ("inside=1000", 422, "outcome_unknown"),
    ],
)
async def test_tripos_own_words(stage, failure, status, type_):
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("tripo", failure)
    refused = await stage.post(TASK, member, json=sample_of(TASK).entry["body"])
    assert (refused.status, refused.type) == (status, type_), refused.body
    assert stage.wallet(member) == (RICH, 0)


# --- Meshy ---------------------------------------------------------------------------------------


async def test_a_task_of_meshy_is_made_from_ones_own_only(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    sample = sample_of("/proxy/meshy/openapi/v2/text-to-3d").entry
    made = (await stage.post(sample["path"], other, json=sample["body"])).json()["result"]
    for entry in entries("meshy"):
        if "after" not in entry:
            continue
        body = {**entry["body"], entry["after"]["as"]: made}
        refused = await stage.post(entry["path"], member, json=body)
        assert refused.status == 404
        check_refusal(refused)
    assert stage.wallet(member) == (RICH, 0)


def test_what_no_node_sends_to_meshy_has_no_price():
    for path, body in (
        ("image-to-3d", {"hd_texture": True}),
        ("image-to-3d", {"should_texture": "false"}),
        ("multi-image-to-3d", {"ai_model": "meshy-9"}),
        ("rigging", {"n": 2}),
    ):
        with pytest.raises(InvalidRequest, match=next(iter(body))):
            quote(f"meshy/openapi/v1/{path}", body)


def test_a_failure_of_meshys_moderation_is_one():
    judge = operation("meshy/openapi/v1/image-to-3d").job.judge
    said = b'{"status":"FAILED","task_error":{"message":"flagged by content moderation"}}'
    assert judge(Said(200, said)).verdict is Verdict.MODERATED
    assert judge(Said(200, said.replace(b"flagged by content moderation", b"x"))).verdict is (
        Verdict.FAILED
    )


# --- Tencent -------------------------------------------------------------------------------------

PRO = "/proxy/tencent/hunyuan/3d-pro"


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("inside", 403, "provider_disabled"),
        ("inside=401", 403, "provider_disabled"),
        ("inside=429", 429, "provider_rate_limited"),
        ("inside=503", 429, "provider_rate_limited"),
        ("inside=400", 422, "provider_rejected"),
        ("inside=451", 422, "content_blocked"),
        ("inside=500", 422, "outcome_unknown"),
    ],
)
async def test_tencents_errors_stand_in_a_200(stage, failure, status, type_):
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("tencent", failure)
    refused = await stage.post(PRO, member, json=sample_of(PRO).entry["body"])
    assert (refused.status, refused.type) == (status, type_), refused.body
    check_refusal(refused)
    assert stage.wallet(member) == (RICH, 0)


def test_a_request_is_signed_as_tencents_own_library_does(monkeypatch):
    monkeypatch.setattr(signatures, "time", SimpleNamespace(time=lambda: 1767225600.9))
    asked = Outgoing("POST", "https://hunyuan.intl.tencentcloudapi.com/", {}, b'{"a":1}')
    account = Account("tencent", {"KEY": "an-id", "SECRET": "a-secret-key"})

    asyncio.run(TENCENT.credential.sign(asked, account, None))

    assert asked.headers["authorization"] == (
        "TC3-HMAC-SHA256 Credential=an-id/2026-01-01/hunyuan/tc3_request, "
        "SignedHeaders=content-type;host, "
        "Signature=409ece5d9ba776d2d4bd104e9cfbd4f49ade94b36645efa13ce73ba5639d510b"
    )
    assert asked.headers["x-tc-timestamp"] == "1767225600"


async def test_the_far_side_of_tencent_knows_a_wrong_signature(stage, configure, monkeypatch):
    member, body = await stage.member(micros=RICH), sample_of(PRO).entry["body"]
    accepted = stage.vendor.counts("tencent")["accepted"]
    configure(VENDOR_TENCENT_SECRET="another-secret-key")
    assert (await stage.post(PRO, member, json=body)).type == "provider_disabled"
    configure(VENDOR_TENCENT_SECRET=VENDOR_KEY)
    late = SimpleNamespace(time=lambda: time.time() - 400)
    monkeypatch.setattr(signatures, "time", late)
    assert (await stage.post(PRO, member, json=body)).type == "provider_disabled"
    monkeypatch.undo()
    assert stage.vendor.counts("tencent")["accepted"] == accepted
    assert stage.wallet(member) == (RICH, 0)


async def test_the_bytes_that_are_signed_are_those_that_are_sent(stage):
    """Whatever a client writes: other letters, numbers, spaces, another order, no default."""
    member = await stage.member(micros=RICH)
    for raw in (
        '{ "Prompt" : "\\u00e4 ü 椅子",  "Model":"3.1" }',
        '{"Prompt":"x","FaceCount":4000}',
    ):
        headers = {"content-type": "application/json; charset=utf-8"}
        taken = await stage.post(PRO, member, data=raw.encode(), headers=headers)
        assert taken.status == 200, taken.body
        assert taken.json().keys() == {"JobId", "RequestId"}


@pytest.mark.parametrize(
    ("body", "usd"),
    [
        ({}, "0.5"),
        ({"GenerateType": "LowPoly"}, "0.6"),
        ({"GenerateType": "Geometry", "EnablePBR": True, "FaceCount": 3000}, "0.7"),
        ({"MultiViewImages": []}, "0.5"),
    ],
)
def test_a_model_of_tencent_costs_by_its_kind(body, usd):
    assert quote("tencent/hunyuan/3d-pro", body).most == micros(usd)
    assert sent("tencent/hunyuan/3d-pro", body)["FaceCount"] == body.get("FaceCount", 500_000)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("3d-pro", {"GenerateType": "Sketch"}),
        ("3d-pro", {"EnablePBR": "false"}),
        ("3d-pro", {"FaceCount": 9_000_000}),
        ("3d-part", {"EnablePostProcess": True}),
        ("3d-uv", {"Num": 2}),
    ],
)
def test_what_has_no_price_at_tencent_is_refused_by_name(path, body):
    with pytest.raises(InvalidRequest, match=next(iter(body))):
        quote(f"tencent/hunyuan/{path}", body)
