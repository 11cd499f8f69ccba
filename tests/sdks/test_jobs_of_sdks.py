"""Vendors whose work is a job: submitted, asked for, fetched."""

from __future__ import annotations

import asyncio
import time

import bria_client
import dashscope
import higgsfield_client
import luma_agents
import lumaai
import pytest
import runwayml
import sync
import wavespeed
from blackforest import BFLClient
from sdk_places import FILM, PICTURE, SOUND, bytes_at, vendors_there


def until(ask, is_over):
    """Ask until it is over."""
    for _ in range(100):
        told = ask()
        if is_over(told):
            return told
        time.sleep(0.2)
    raise AssertionError(f"it did not end: {told}")


def test_runway(sandbox):
    client = runwayml.RunwayML(
        api_key=sandbox.key, base_url=sandbox.at("runway"), max_retries=0,
        _strict_response_validation=True,
    )  # fmt: skip
    task = client.image_to_video.create(
        model="gen4_turbo", prompt_image=PICTURE, ratio="1280:720", duration=5, prompt_text="waves"
    )
    end = until(
        lambda: client.tasks.retrieve(task.id), lambda t: t.status in ("SUCCEEDED", "FAILED")
    )
    assert end.status == "SUCCEEDED"
    assert bytes_at(end.output[0])[4:8] == b"ftyp"
    edit = client.video_to_video.create(model="aleph2", video_uri=FILM, prompt_text="night")
    assert edit.id


def test_luma(sandbox):
    client = lumaai.LumaAI(
        auth_token=sandbox.key, base_url=sandbox.at("luma") + "/dream-machine/v1", max_retries=0
    )
    for make in (
        lambda: client.generations.create(model="ray-2", prompt="waves"),
        lambda: client.generations.image.create(model="photon-1", prompt="a red fox"),
    ):
        made = make()
        end = until(
            lambda made=made: client.generations.get(made.id),
            lambda g: g.state in ("completed", "failed"),
        )
        assert end.state == "completed"
        assert bytes_at(end.assets.video or end.assets.image)


def test_lumas_agents(sandbox, proxy):
    for place, path in ((sandbox, "luma_2/v1"), (proxy, "luma_2")):
        client = luma_agents.Luma(
            auth_token=place.key, base_url=place.at(path), http_client=place.client, max_retries=0,
            _strict_response_validation=True,
        )  # fmt: skip
        made = client.generations.create(prompt="a red fox", model="uni-1", type="image")
        end = until(
            lambda client=client, made=made: client.generations.get(made.id),
            lambda g: g.state in ("completed", "failed"),
        )
        assert end.state == "completed"
        assert bytes_at(end.output[0].url)


def test_wavespeed(sandbox):
    client = wavespeed.Client(api_key=sandbox.key, base_url=sandbox.at("wavespeed"))
    made = client.run(
        "wavespeed-ai/seedvr2/image", {"image": PICTURE, "target_resolution": "4k"},
        poll_interval=0.2,
    )  # fmt: skip
    assert bytes_at(made["outputs"][0]).startswith(b"\x89PNG")


def test_bria(sandbox):
    client = bria_client.BriaSyncClient(base_url=sandbox.at("bria"), api_token=sandbox.key)
    made = client.submit("image/edit/remove_background", {"image": PICTURE})
    end = client.poll(made, interval=0.3)
    assert end.status == "COMPLETED", end
    assert bytes_at(end.result.image_url)


def test_sync(either):
    client = sync.Sync(base_url=either.at("synclabs"), api_key=either.key)
    made = client.generations.create(
        model="lipsync-2",
        input=[sync.common.Video(url=FILM), sync.common.Audio(url=SOUND)],
    )
    end = until(
        lambda: client.generations.get(made.id),
        lambda g: g.status in ("COMPLETED", "FAILED", "REJECTED"),
    )
    assert end.status == "COMPLETED"
    assert bytes_at(end.output_url)[4:8] == b"ftyp"


def test_higgsfield(sandbox):
    client = higgsfield_client.SyncClient(
        base_url=sandbox.at("higgsfield") + "/", api_key=sandbox.key
    )
    made = client.submit(
        "higgsfield/genjutsu/motion-transfer/v1.0",
        {"image_urls": [PICTURE], "prompt": "dance", "resolution": "480p", "video_url": FILM},
    )
    end = until(made.status, lambda s: isinstance(s, higgsfield_client.DONE_STATUSES))
    assert isinstance(end, higgsfield_client.Completed)
    assert bytes_at(made.get()["video"]["url"])[4:8] == b"ftyp"


def test_wan_is_asked_by_dashscope(sandbox):
    dashscope.base_http_api_url = sandbox.at("wan") + "/api/v1"
    taken = dashscope.VideoSynthesis.async_call(
        api_key=sandbox.key, model="wan2.6-t2v", prompt="waves", size="1280*720", duration=5
    )
    assert taken.status_code == 200, taken
    end = until(
        lambda: dashscope.VideoSynthesis.fetch(taken, api_key=sandbox.key),
        lambda t: t.output.task_status in ("SUCCEEDED", "FAILED"),
    )
    assert end.output.task_status == "SUCCEEDED"
    assert bytes_at(end.output.video_url)[4:8] == b"ftyp"


def test_black_forest_labs(at_root, sandbox):
    """Their library drops a path of the address that it is given."""
    with at_root("bfl") as url:
        client = BFLClient(api_key=sandbox.key, base_url=url)
        made = client.generate("flux-pro-1.1", {"prompt": "a red fox", "width": 512, "height": 512})
        end = until(lambda: client.get_task_status(made.id), lambda r: f"{r.status}" == "Ready")
        drawn = end.result if isinstance(end.result, dict) else end.result.model_dump()
        assert bytes_at(drawn["sample"])


def test_tripo(sandbox):
    if "tripo" not in vendors_there(sandbox.url):
        pytest.skip("the sandbox has no Tripo")
    from tripo3d import TripoClient

    async def make():
        async with TripoClient(api_key="tsk_x", v3_base_url=sandbox.at("tripo")) as client:
            client._http.api_key = sandbox.key  # It takes none that begins otherwise.
            task = await client.text_to_model(prompt="a red fox")
            return await client.wait_for_task(task, polling_interval=0.2)

    end = asyncio.run(make())
    assert f"{end.status}".lower().endswith("success")
