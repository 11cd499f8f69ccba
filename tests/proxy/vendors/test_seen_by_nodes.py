"""What nodes of a real ComfyUI would not take, seen when they ran here (`clients/tour`)."""

from __future__ import annotations

import asyncio
import io
import wave

import aiohttp
import pytest
from operations import poll_of
from sample_calls import sample_of
from vendor_calls import RICH

from prices.terms import PUBLISHED
from proxy.quoting import facts, workflows
from proxy.quoting.nodes import requests_of
from sandbox.media import Media, render


async def fetched(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200, url
        return await answer.read()


@pytest.mark.parametrize("kind", ["rigging", "animations"])
def test_a_result_of_meshy_that_is_not_there_yet_is_left_out(kind):
    reply = poll_of(f"meshy/openapi/v1/{kind}").reply
    running = {"id": "t", "type": kind, "status": "IN_PROGRESS", "progress": 5}
    done = {**running, "status": "SUCCEEDED", "result": {"animation_glb_url": "https://f/1.glb"}}

    assert reply({**running, "result": None}) == running
    assert reply(running) == running
    assert reply(done) == done


async def test_the_speech_of_heygen_can_be_fetched(stage):
    sample = sample_of("/proxy/heygen/v3/voices/speech").entry
    member = await stage.member(micros=RICH)

    made = await stage.post(sample["path"], member, json=sample["body"])

    assert (await fetched(made.json()["data"]["audio_url"])).startswith(b"\xff\xfb")


def test_a_wav_of_the_sandbox_has_samples_that_nodes_can_read():
    content = render(Media("wav", look=b"a fox", seconds=1.5))
    with wave.open(io.BytesIO(content)) as sound:
        assert (sound.getsampwidth(), sound.getnchannels()) == (2, 1)
        assert sound.getnframes() / sound.getframerate() == 1.5


# --- Quotes: a page sends every widget, at its default, too ---------------------------------------


@pytest.mark.parametrize("name", ["TopazImageEnhance", "TopazImageEnhanceV2"])
def test_a_size_of_nought_is_quoted_as_the_node_asks_for_it(name, settings):
    settings.VENDOR_BASE_URL = "http://127.0.0.1:9/{vendor}"
    inputs = {"model": "Reimagine", "output_width": 0, "output_height": 0}

    (row,) = asyncio.run(workflows.quote({"1": {"class_type": name, "inputs": inputs}}, PUBLISHED))

    assert row.is_exact
    assert row.problem == ""
    assert row.estimate.most > 0


def test_a_default_puts_nothing_where_the_node_sends_nothing():
    wrong = {}
    for node in facts.nodes().values():
        calls = node.calls
        if not calls or "by" in calls or "path" not in calls:
            continue
        told = calls.get("inputs", {}).items()
        defaults = {name: each["default"] for name, each in told if "default" in each}
        for made in requests_of(node, defaults):
            if added := made.get("body", {}).keys() - calls.get("body", {}).keys():
                wrong[node.name] = added
    assert wrong == {}


def test_a_model_that_a_node_no_longer_offers_is_quoted_as_itself(settings):
    """Kling's node of October 2025 offered a dear one; the recorded node has none to choose."""
    settings.VENDOR_BASE_URL = "http://127.0.0.1:9/{vendor}"

    def quoted(model):
        inputs = {"model_name": model, "duration": "5", "mode": "std"}
        workflow = {"1": {"class_type": "KlingImage2VideoNode", "inputs": inputs}}
        (row,) = asyncio.run(workflows.quote(workflow, PUBLISHED))
        return row.estimate.most

    assert quoted("kling-v2-5-turbo") == 350_000
    assert quoted("kling-v2-master") == 1_400_000
