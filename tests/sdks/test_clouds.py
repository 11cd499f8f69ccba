"""Vendors that are parts of a cloud: their credentials are signed or signed in for."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

import pytest
from google import genai
from google.genai import types
from google.oauth2 import service_account
from sdk_places import bytes_at, vendors_there


def google_at(sandbox):
    """Return Google's client, signing in at the sandbox as the service account that may."""
    account = service_account.Credentials.from_service_account_file(
        os.environ["SDK_GOOGLE"], scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    return genai.Client(
        vertexai=True, project=account.project_id, location="global", credentials=account,
        http_options=types.HttpOptions(base_url=sandbox.at("vertexai"), api_version="v1"),
    )  # fmt: skip


def test_gemini_speaks_and_draws(sandbox):
    client = google_at(sandbox)
    made = client.models.generate_content(model="gemini-2.5-flash", contents="Say hello.")
    assert made.text
    assert made.usage_metadata.candidates_token_count > 0
    drawn = client.models.generate_content(
        model="gemini-3-pro-image",
        contents="a red fox",
        config=types.GenerateContentConfig(response_modalities=["IMAGE"]),
    )
    parts = drawn.candidates[0].content.parts
    assert any(part.inline_data and part.inline_data.data for part in parts)


def test_veo(sandbox):
    client = google_at(sandbox)
    work = client.models.generate_videos(
        model="veo-3.1-fast-generate-001", prompt="waves",
        config=types.GenerateVideosConfig(
            number_of_videos=1, duration_seconds=8, generate_audio=True
        ),
    )  # fmt: skip
    for _ in range(100):
        if work.done:
            break
        time.sleep(0.2)
        work = client.operations.get(work)
    assert work.result.generated_videos[0].video.video_bytes[4:8] == b"ftyp"


def test_tencent(at_root, sandbox):
    """Its library takes no path: the host is signed, and so stays as it was sent."""
    if "tencent" not in vendors_there(sandbox.url):
        pytest.skip("the sandbox has no Tencent")
    from tencentcloud.common import credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.hunyuan.v20230901 import hunyuan_client, models

    with at_root("tencent", keeps_host=True) as url:
        profile = HttpProfile(endpoint=url.removeprefix("http://"), protocol="http")
        secret = os.environ.get("SDK_SANDBOX_SECRET") or sandbox.key
        client = hunyuan_client.HunyuanClient(
            credential.Credential(sandbox.key, secret),
            "ap-singapore",
            ClientProfile(httpProfile=profile),
        )
        asked = models.SubmitHunyuanTo3DProJobRequest()
        asked.Prompt = "a red fox"
        job = client.SubmitHunyuanTo3DProJob(asked).JobId
        poll = models.QueryHunyuanTo3DProJobRequest()
        poll.JobId = job
        for _ in range(100):
            told = client.QueryHunyuanTo3DProJob(poll)
            if told.Status in ("DONE", "FAIL"):
                break
            time.sleep(0.2)
    assert told.Status == "DONE"
    where = urlsplit(told.ResultFile3Ds[0].Url)  # As it was asked for: at the forwarder.
    assert bytes_at(urlsplit(sandbox.url)._replace(path=where.path, query=where.query).geturl())


def test_byteplus(sandbox):
    if "byteplus" not in vendors_there(sandbox.url):
        pytest.skip("the sandbox has no BytePlus")
    from byteplussdkarkruntime import Ark

    client = Ark(base_url=sandbox.at("byteplus") + "/api/v3", api_key=sandbox.key)
    drawn = client.images.generate(
        model="seedream-4-5-251128", prompt="a red fox", size="2048x2048", response_format="url"
    )
    assert bytes_at(drawn.data[0].url)
    task = client.content_generation.tasks.create(
        model="seedance-1-5-pro-251215", content=[{"type": "text", "text": "waves"}]
    )
    for _ in range(100):
        told = client.content_generation.tasks.get(task_id=task.id)
        if told.status in ("succeeded", "failed"):
            break
        time.sleep(0.2)
    assert told.status == "succeeded"
    assert bytes_at(told.content.video_url)[4:8] == b"ftyp"
