"""What is made of a sound costs by its length: told, where the sound is told; else a range."""

from __future__ import annotations

import asyncio
import base64

import pytest
from sample_calls import file_of, sample_of, send
from vendor_calls import RICH

from prices.terms import PUBLISHED
from proxy.quoting import facts, requests, workflows
from proxy.quoting.estimates import estimate

CHANGED, HEARD = 240_000, 8_580
"""Micros a minute."""
NODES = {
    "ElevenLabsSpeechToSpeech": (CHANGED, 7_200),
    "ElevenLabsAudioIsolation": (CHANGED, 7_200),
    "FishAudioSpeechToText": (HEARD, 36_000),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_whose_sound_another_makes_is_told_with_the_whole_range(name):
    a_minute, longest = NODES[name]
    prompt = {"1": {"class_type": name, "inputs": {"audio": ["2", 0]}}}

    (quoted,) = asyncio.run(workflows.quote(prompt, PUBLISHED))

    assert quoted.estimate.least == -(-a_minute // 60)
    assert quoted.estimate.likely == -(-a_minute * 5 // 60)
    assert quoted.estimate.most == a_minute * longest // 60
    assert not quoted.is_exact


@pytest.mark.parametrize("name", NODES)
def test_a_sound_that_is_told_is_quoted_by_its_length(name):
    (route,) = facts.nodes()[name].routes
    told = {key: value for key, value in facts.examples()[route].items() if key != "varies"}
    sound = base64.b64encode(file_of("audio/wav", 30)).decode()
    told["files"] = [{**told["files"][0], "data": sound}]

    found = asyncio.run(estimate(requests.read(told), PUBLISHED))

    assert found.least == found.likely == found.most == NODES[name][0] // 2


async def test_a_call_without_its_sound_is_refused_all_the_same(stage):
    """The range is for questions alone: a call is held for what came."""
    member = await stage.member(micros=RICH)
    entry = sample_of("/proxy/fishaudio/v1/asr").entry

    refused = await send(stage, member, {**entry, "files": []})

    assert (refused.status, refused.type) == (400, "invalid_request")
    assert stage.holds(member) == []
