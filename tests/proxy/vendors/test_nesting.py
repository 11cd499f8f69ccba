"""What is nested too deeply to be written again is refused, and never an error of ours."""

from __future__ import annotations

import orjson
import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from vendor_calls import RICH, micros

DEEP = 300
TEXT2VIDEO = "/proxy/kling/v1/videos/text2video"


@pytest.mark.parametrize("depth", [99, DEEP, 900])
async def test_a_request_that_cannot_be_written_again_is_refused(stage, depth):
    member = await stage.member(micros=RICH)
    deep = "[" * depth + "]" * depth
    body = f'{{"prompt":"x","model_name":"kling-v2-6","callback_url":"x","more":{deep}}}'
    answer = await stage.post(TEXT2VIDEO, member, data=body)
    if depth < 100:
        assert answer.status == 200, answer.body
        return
    assert (answer.status, answer.type) == (400, "invalid_request")
    check_refusal(answer)
    assert stage.wallet(member) == (RICH, 0)


async def test_an_answer_that_cannot_be_written_again_is_no_answer(stage):
    member = await stage.member(micros=RICH)
    deep = "[" * DEEP + "]" * DEEP
    ends = []

    async def kling(request: web.Request) -> web.Response:
        if request.method == "POST" and ends:
            data = {"task_id": f"deep-{len(ends)}", "task_status": "submitted"}
            return web.json_response({"code": 0, "data": data})
        ends.append(1)
        text = f'{{"code":0,"data":{{"task_id":"t","task_status":"succeed"}},"more":{deep}}}'
        return web.Response(text=text, content_type="application/json")

    async with answering(kling) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            body = {"prompt": "x", "model_name": "kling-v2-6"}
            refused = await stage.post(TEXT2VIDEO, member, json=body)
            assert (refused.status, refused.type) == (422, "outcome_unknown")
            assert stage.wallet(member) == (RICH, 0)

            task = (await stage.post(TEXT2VIDEO, member, json=body)).json()["data"]["task_id"]
            polled = await stage.get(f"{TEXT2VIDEO}/{task}", member)
    assert polled.status == 200
    assert orjson.loads(polled.body)["data"]["task_status"] == "processing"
    assert stage.wallet(member) == (RICH, micros("0.35"))
