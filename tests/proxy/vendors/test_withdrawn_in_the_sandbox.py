"""What a vendor has withdrawn, and the sandbox has not got, is refused before anything is held."""

from __future__ import annotations

import pytest
from vendor_calls import RICH

DALL_E = ("/proxy/openai/images/generations", {"prompt": "a fox", "quality": "standard"})


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (DALL_E[0], {**DALL_E[1], "model": "dall-e-2"}, ("2026-05-12", "gpt-image-2")),
        (DALL_E[0], {**DALL_E[1], "model": "dall-e-3"}, ("2026-05-12", "gpt-image-2")),
        ("/proxy/runway/image_to_video", {"model": "gen3a_turbo", "duration": 5}, ("gen4_turbo",)),
        ("/proxy/luma/generations", {"model": "ray-1-6", "prompt": "a fox"}, ("ray-2",)),
        (
            "/proxy/tripo/v2/openapi/task",
            {"type": "text_to_model", "prompt": "a fox", "model_version": "v1.4-20240625"},
            ("2026-10-31", "v2.5-20250123"),
        ),
    ],
)
async def test_what_the_sandbox_does_not_play_is_refused_before_a_hold(stage, path, body, says):
    member = await stage.member(micros=RICH)

    refused = await stage.post(path, member, json=body)

    assert (refused.status, refused.type) == (400, "invalid_request")
    assert "withdrew" in refused.json()["message"]
    assert all(word in refused.json()["message"] for word in says)
    assert (stage.holds(member), stage.calls(member)) == ([], [])
    assert stage.vendor.requests(path.split("/")[2]) == []


async def test_what_the_sandbox_plays_still_works_there(stage):
    member = await stage.member(micros=RICH)
    asked = {"model": "veo-3.0-generate-001"}
    body = {"instances": [{"prompt": "a fox"}], "parameters": {"durationSeconds": 8}}

    taken = await stage.post(f"/proxy/veo/{asked['model']}/generate", member, json=body)

    assert taken.status == 200, taken.body
