"""Files of ours where no vendor can fetch them: sent as each vendor takes them, or refused.

What a vendor takes is written down here once more, from its documents; the far side insists on it
(`sandbox/inline.py`), and tells which bytes arrived.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import Any

import pytest
from sample_calls import SAMPLES, file_of, prepared, put, sample_of, send
from vendor_calls import RICH

from sandbox.media import Media, render

ADDRESS = re.compile(r"https://(?:storage|cdn)\.example\.com/\S+\.(png|mp4|mp3|glb)")
KINDS = {"png": "image/png", "mp4": "video/mp4", "mp3": "audio/wav", "glb": "model/gltf-binary"}
PICTURE = "https://storage.example.com/in/0001.png"
FILM = "https://storage.example.com/in/0003.mp4"

REFUSED = {
    "/proxy/bfl/v1/flux-tools/video-upscale-v1",
    "/proxy/bria/v2/video/edit/replace_background",
    "/proxy/byteplusmediakit/api/v1/tools/enhance-video",
    "/proxy/kling/image-to-video/kling-3.0-turbo",
    "/proxy/kling/v1/videos/motion-control",
    "/proxy/luma/generations",
    "/proxy/tencent/hunyuan/3d-part",
    "/proxy/tencent/hunyuan/3d-uv",
    "/proxy/tencent/hunyuan/3d-texture-edit",
    "/proxy/tencent/hunyuan/3d-smart-topology",
    "/proxy/vidu/extend",
    "/proxy/xai/v1/videos/edits",
    "/proxy/xai/v1/videos/extensions",
}
"""What takes addresses only; a film where pictures go along."""
GONE = {"/proxy/moonvalley/prompts/image-to-video", "/proxy/moonvalley/prompts/video-to-video"}
LIP_SYNC = "/proxy/kling/v1/videos/lip-sync"
SEEDANCE = "/proxy/byteplus/api/v3/contents/generations/tasks"


def message(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]


def parts(*found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "parts": [{"text": "What is it?"}, *found]}]


FURTHER: list[tuple[str, dict[str, Any]]] = [
    (
        "/proxy/anthropic/v1/messages",
        {"messages": message({"type": "image", "source": {"type": "url", "url": PICTURE}})},
    ),
    (
        "/proxy/openai/v1/responses",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}]},
    ),
    (
        "/proxy/openrouter/api/v1/chat/completions",
        {"messages": message({"type": "image_url", "image_url": {"url": PICTURE}})},
    ),
    (
        "/proxy/openrouter/api/v1/chat/completions",
        {"messages": message({"type": "video_url", "video_url": {"url": FILM}})},
    ),
    ("/proxy/luma_2/generations", {"image_ref": [{"url": PICTURE}]}),
    (
        "/proxy/vertexai/gemini/{model}",
        {"contents": parts({"fileData": {"mimeType": "image/png", "fileUri": PICTURE}})},
    ),
    (
        "/proxy/vertexai/gemini/{model}",
        {"contents": parts({"file_data": {"file_uri": FILM, "mime_type": "video/mp4"}})},
    ),
    (
        "/proxy/gemini-interactions",
        {"input": [{"type": "text", "text": "a cat"},
                   {"type": "image", "uri": PICTURE, "mime_type": "image/png"}]},
    ),
]  # fmt: skip


def addresses(value: Any) -> list[str]:
    """Return the addresses in a body, each once."""
    found = [match[0] for match in ADDRESS.finditer(json.dumps(value).replace('"', " "))]
    return list(dict.fromkeys(found))


NAMING = [
    *((sample, {}) for sample in SAMPLES if addresses(sample.entry.get("body"))),
    *((sample_of(path), more) for path, more in FURTHER),
]
CASES = [
    pytest.param(sample, more, id=f"{number}-{sample.operation.path}")
    for number, (sample, more) in enumerate(NAMING)
]


def content_of(address: str, number: int) -> bytes:
    """Return a file as its ending says, another for each number."""
    ending = address.rpartition(".")[2]
    if ending == "glb":
        return render(Media("glb", width=64 + number, height=64)) + b""
    if ending == "png":
        return render(Media("png", width=320 + number, height=320))
    return file_of(KINDS[ending], 5)


async def ours(stage: Any, member: Any, address: str, content: bytes) -> str:
    """Keep a file; return where vendors would fetch it."""
    ending = address.rpartition(".")[2]
    asked = {"file_name": f"a.{ending}", "content_type": KINDS[ending]}
    made = (await stage.post("/customers/storage", member, json=asked)).json()
    kept = await stage.ask("PUT", made["upload_url"], data=content)
    assert kept.status == 200, kept.body
    return str(made["download_url"])


@pytest.fixture(autouse=True)
def nobody_fetches_here(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.UPLOADS_ARE_PUBLIC = "no"


@pytest.mark.parametrize(("sample", "more"), CASES)
async def test_the_same_bytes_arrive_as_the_vendor_takes_them(stage, sample, more):
    member = await stage.member(micros=RICH)
    entry = copy.deepcopy(await prepared(stage, member, sample))
    balance, _ = stage.wallet(member)
    entry["body"] |= more
    text, sent = json.dumps(entry["body"]), []
    for number, address in enumerate(addresses(entry["body"])):
        content = content_of(address, number)
        text = text.replace(f'"{address}"', json.dumps(await ours(stage, member, address, content)))
        sent.append(hashlib.sha256(content).hexdigest())
    has_film = ".mp4" in text
    before = stage.vendor.counts(sample.vendor.name)["submits"]

    answer = await send(stage, member, entry, body=json.loads(text))

    path = entry["path"]
    if path in GONE:
        assert answer.status in (400, 403, 410)
    elif path in REFUSED or (path in (SEEDANCE, LIP_SYNC) and has_film):
        assert (answer.status, answer.type) == (403, "misconfigured"), answer.body
        assert sample.vendor.display in answer.json()["message"]
    else:
        assert answer.status < 300, answer.body
        seen = next(
            each for each in reversed(stage.vendor.requests(sample.vendor.name)) if each.files
        )
        assert sorted(set(seen.files)) == sorted(set(sent))
        return
    assert stage.wallet(member) == (balance, 0)
    assert stage.vendor.counts(sample.vendor.name)["submits"] == before


async def test_a_lip_sync_gets_its_sound_as_a_file(stage):
    member = await stage.member(micros=RICH)
    sound = file_of("audio/wav", 3)
    url = await ours(stage, member, "x.mp3", sound)
    entry = sample_of(LIP_SYNC).entry
    body = put(entry["body"], "input.audio_url", url)

    answer = await send(stage, member, entry, body=body)

    assert answer.status < 300, answer.body
    assert stage.vendor.requests("kling")[-1].files == [hashlib.sha256(sound).hexdigest()]


async def test_what_the_client_says_of_a_file_is_what_it_was_priced_by(stage):
    """A film that is called a picture is priced as one, and so must be read as one."""
    member = await stage.member(micros=RICH)
    url = await ours(stage, member, "x.mp4", file_of("video/mp4", 5))
    told = {"file_data": {"file_uri": url, "mime_type": "image/png"}}
    entry = sample_of("/proxy/vertexai/gemini/{model}").entry
    stage.vendor.desks["vertexai"].overlay = {}

    answer = await send(stage, member, entry, body={**entry["body"], "contents": parts(told)})

    assert answer.status < 300, answer.body
    usage = answer.json()["usageMetadata"]["promptTokensDetails"]
    assert {each["modality"] for each in usage} == {"TEXT", "IMAGE"}
