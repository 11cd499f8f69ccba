"""A member's own film or sound is held by its length at every vendor that charges by it."""

from __future__ import annotations

import copy
import json
import re

import pytest
from sample_calls import SAMPLES, file_of, prepared, put, sample_of, send
from test_files_along import ADDRESS, KINDS, addresses, ours
from vendor_calls import RICH

CREDITS = "/proxy/hitpaw/api/video-enhancer"
SECONDS = 5
NAMING = list(
    {
        sample.operation.path: sample
        for sample in SAMPLES
        if re.search(r"\.mp[34]\b", json.dumps(sample.entry.get("body") or {}))
        and sample.most > sample.micros
    }.values()
)
BY_THE_ANSWER = {
    "byteplus/api/v3/contents/generations/tasks": "tokens, of what is made",
    "kling/v1/videos/omni-video": "a reference beside what is made",
    "wan/api/v1/services/aigc/video-generation/video-synthesis": "what is made, too",
    "topaz/video/{request_id}/accept": "what the vendor estimates",
}
"""What is held for more than the file's own length."""


@pytest.fixture(autouse=True)
def known_hosts(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]


@pytest.mark.parametrize("sample", [pytest.param(each, id=each.operation.path) for each in NAMING])
async def test_a_file_of_ours_is_not_held_at_the_maximum(stage, settings, sample):
    if sample.vendor.name == "runway":
        settings.UPLOADS_ARE_PUBLIC = "no"  # It fetches by https only, and gets a data URI here.
    member = await stage.member(micros=RICH)
    entry = copy.deepcopy(await prepared(stage, member, sample))
    text = json.dumps(entry["body"])
    for address in addresses(entry["body"]):
        ending = ADDRESS.fullmatch(address)[1]
        content = file_of(KINDS[ending], SECONDS) if ending != "glb" else b"glTF"
        text = text.replace(f'"{address}"', json.dumps(await ours(stage, member, address, content)))

    answer = await send(stage, member, entry, body=json.loads(text))

    assert answer.status < 300, answer.body
    held = (
        stage.calls(member)[-1]["held_micros"]
        if not stage.holds(member)
        else (stage.holds(member)[-1]["amount_micros"])
    )
    if sample.operation.path not in BY_THE_ANSWER:
        assert held < sample.most


async def test_of_two_films_of_which_one_cannot_be_measured_the_maximum_is_held(stage):
    async def held(*contents):
        member = await stage.member(micros=RICH)
        films = [await ours(stage, member, "in/1.mp4", content) for content in contents]
        parts = [{"type": "video_url", "video_url": {"url": url}} for url in films]
        body = {"model": "MiniMax-H3", "content": parts, "duration": 6}
        taken = await stage.post("/proxy/minimax/v2/video_generation", member, json=body)
        assert taken.status == 200, taken.body
        return stage.holds(member)[-1]["amount_micros"]

    film = file_of("video/mp4", SECONDS)
    measured, both = await held(film), await held(film, b"no film at all")

    assert measured < both
    assert both == await held(b"no film at all")


async def test_a_hold_that_nobody_would_set_aside_is_a_400_that_says_what_to_do(stage):
    """An hour of 8K at HitPaw's upper rate: of a film elsewhere, nobody can say that it is less."""
    member = await stage.member(micros=RICH)
    entry = sample_of(CREDITS).entry

    refused = await send(stage, member, entry, body=put(entry["body"], "resolution", [7680, 4320]))

    assert (refused.status, refused.type) == (400, "invalid_request")
    assert "video_url" in refused.json()["message"]
    assert "upload" in refused.json()["message"]
    assert stage.holds(member) == []
