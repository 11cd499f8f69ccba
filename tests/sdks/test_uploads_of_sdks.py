"""Vendors' own uploads, of files that they cannot fetch: as their libraries make them.

The platform makes them itself (`proxy/handing.py`); here the far side that it is tested with is
asked by what the vendors wrote.
"""

from __future__ import annotations

import asyncio

import bria_client
import higgsfield_client
import pytest
import wavespeed
from test_jobs_of_sdks import until

PICTURE = b"\x89PNG" + bytes(100)
FILM = bytes(4) + b"ftypisom" + bytes(5000)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    return path


def test_wavespeed(sandbox, film):
    client = wavespeed.Client(api_key=sandbox.key, base_url=sandbox.at("wavespeed"))

    url = client.upload(f"{film}")

    made = client.run(
        "wavespeed-ai/flashvsr", {"video": url, "target_resolution": "720p"}, poll_interval=0.2
    )
    assert made["outputs"]


def test_bria(sandbox, film):
    client = bria_client.BriaSyncClient(base_url=sandbox.at("bria"), api_token=sandbox.key)

    url = client.upload(film, "video/mp4")

    made = client.submit("video/edit/remove_background", {"video": url})
    assert client.poll(made, interval=0.3).status == "COMPLETED"


def test_higgsfield(sandbox):
    client = higgsfield_client.SyncClient(
        base_url=sandbox.at("higgsfield") + "/", api_key=sandbox.key
    )

    film, picture = client.upload(FILM, "video/mp4"), client.upload(PICTURE, "image/png")

    made = client.submit(
        "higgsfield/genjutsu/motion-transfer/v1.0",
        {"image_urls": [picture], "prompt": "dance", "resolution": "480p", "video_url": film},
    )
    end = until(made.status, lambda s: isinstance(s, higgsfield_client.DONE_STATUSES))
    assert isinstance(end, higgsfield_client.Completed)


def test_tripo(sandbox, tmp_path):
    from tripo3d import TripoClient

    path = tmp_path / "a.png"
    path.write_bytes(PICTURE)

    async def make():
        async with TripoClient(api_key="tsk_x", v3_base_url=sandbox.at("tripo")) as client:
            client._http.api_key = sandbox.key  # It takes none that begins otherwise.
            client.MULTIPART_MAX_BYTES = 0  # As it uploads what is large.
            task = await client.image_to_model(f"{path}")
            return await client.wait_for_task(task, polling_interval=0.2)

    assert f"{asyncio.run(make()).status}".lower().endswith("success")


def test_what_was_not_put_there_is_no_input(sandbox):
    client = higgsfield_client.SyncClient(
        base_url=sandbox.at("higgsfield") + "/", api_key=sandbox.key
    )
    url, _, _ = client._get_upload_url("video/mp4")

    with pytest.raises(Exception, match="not uploaded"):
        client.submit(
            "higgsfield/genjutsu/motion-transfer/v1.0",
            {"image_urls": [url], "prompt": "dance", "resolution": "480p", "video_url": url},
        )
