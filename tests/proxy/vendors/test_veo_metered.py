"""Veo: what is sent in a model's place, one film a request, a poll by POST in project and place."""

from __future__ import annotations

import asyncio
import base64

import pytest
from proxy_stage import check_refusal
from vendor_calls import RICH, followed, micros, spent

from common.errors import InvalidRequest
from proxy import withdrawn
from proxy.asked import Asked
from proxy.vendors import catalogue

FAST = "/proxy/veo/veo-3.1-fast-generate-preview"
WAVES = {"instances": [{"prompt": "waves"}], "parameters": {"durationSeconds": 4}}
OPERATION = catalogue().find("POST", f"{FAST}/generate").operation


def quote(model, body):
    asked = Asked(parts={"model": model}, body={**WAVES, **body})
    return asyncio.run(OPERATION.price.quote(asked))


@pytest.mark.parametrize(
    ("model", "parameters", "usd"),
    [
        ("veo-3.1-fast-generate-preview", {}, "0.64"),
        ("veo-3.1-fast-generate-001", {"generateAudio": True, "resolution": "1080p"}, "0.96"),
        ("veo-3.1-generate-001", {"generateAudio": True, "resolution": "4k"}, "4.8"),
        ("veo-3.1-generate-preview", {"durationSeconds": 6}, "1.2"),
        ("veo-3.1-lite-generate-001", {"generateAudio": True, "resolution": "1080p"}, "0.64"),
        ("veo-2.0-generate-001", {"durationSeconds": 5}, "2.5"),
        ("veo-3.0-fast-generate-001", {"generateAudio": True}, "1.2"),
    ],
)
def test_a_film_costs_by_model_size_sound_and_seconds(model, parameters, usd):
    assert quote(model, {"parameters": parameters}).most == micros(usd)


@pytest.mark.parametrize(
    ("model", "body", "named"),
    [
        ("veo-4.0-generate-001", {}, "veo-4.0-generate-001"),
        ("veo-3.1-lite-generate-001", {"parameters": {"resolution": "4k"}}, "4k"),
        ("veo-3.1-generate-001", {"parameters": {"sampleCount": 4}}, "sampleCount"),
        ("veo-3.1-generate-001", {"parameters": {"generateAudio": "yes"}}, "generateAudio"),
        ("veo-3.1-generate-001", {"instances": [{}, {}]}, "instances"),
        ("veo-3.1-generate-001", {"instances": [{"video": {"bytesBase64Encoded": "x"}}]},
         "video"),
        ("veo-3.1-generate-001", {"parameters": {"durationSeconds": 60}}, "durationSeconds"),
    ],
)  # fmt: skip
def test_what_has_no_price_is_refused(model, body, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(model, body)


def test_a_model_of_before_names_its_successor(monkeypatch):
    monkeypatch.setattr(withdrawn.catalogue, "moved_to", lambda vendor, base="": "")
    with pytest.raises(InvalidRequest, match=r"withdrew veo-2.0.* on 2026-06-30. Use Veo 3.1"):
        quote("veo-2.0-generate-001", {})


def test_one_film_is_asked_for_and_written_nowhere():
    body = {
        **WAVES,
        "parameters": {"durationSeconds": 4, "storageUri": "gs://bucket", "sampleCount": 1},
    }
    asked = Asked(parts={"model": "veo-3.1-generate-001"}, body=body)
    inputs = asyncio.run(OPERATION.price.quote(asked)).inputs
    assert OPERATION.prepare(asked, inputs)["parameters"] == {
        "durationSeconds": 4, "sampleCount": 1, "generateAudio": False
    }  # fmt: skip


async def test_a_film_comes_in_the_end_in_the_operators_project(stage, configure):
    """A preview is called by the name that it has now, for the poll, too."""
    given = await stage.get(f"{stage.vendor.url}/vertexai/console/service-account.json")
    configure(VENDOR_VERTEXAI_CREDENTIALS=given.body.decode())
    member = await stage.member(micros=RICH)
    taken = await stage.post(f"{FAST}/generate", member, json=WAVES)
    name = taken.json()["name"]

    end = await stage.post(f"{FAST}/poll", member, json={"operationName": name})

    assert "projects/sandbox-project/" in name
    assert "/models/veo-3.1-fast-generate-001/" in name
    (film,) = end.json()["response"]["videos"]
    assert base64.b64decode(film["bytesBase64Encoded"])[4:8] == b"ftyp"
    spent(stage, member, "0.32")


async def test_what_was_filtered_is_told_and_costs_nothing(stage):
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("vertexai", "content_moderated")
    taken = await stage.post(f"{FAST}/generate", member, json=WAVES)
    asked = {"operationName": taken.json()["name"]}
    end = await stage.post(f"{FAST}/poll", member, json=asked)
    assert end.json()["response"]["raiMediaFilteredCount"] == 1
    assert [call["outcome"] for call in stage.calls(member)] == ["moderated"]
    spent(stage, member, "0")


async def test_a_film_that_nobody_asks_for_is_settled_and_given_later(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    taken = await stage.post(f"{FAST}/generate", member, json=WAVES)
    await followed(stage, member)
    spent(stage, member, "0.32")
    asked = {"operationName": taken.json()["name"]}
    assert (await stage.post(f"{FAST}/poll", member, json=asked)).json()["response"]["videos"]
    refused = await stage.post(f"{FAST}/poll", other, json=asked)
    assert refused.status == 404
    check_refusal(refused)


async def test_google_opens_no_bucket_with_our_rights(stage):
    member = await stage.member(micros=RICH)
    body = {"instances": [{"prompt": "x", "image": {"gcsUri": "gs://somebodys/picture.png"}}]}
    refused = await stage.post(f"{FAST}/generate", member, json=body)
    assert (refused.status, refused.type) == (400, "invalid_request")
    assert stage.calls(member) == []
