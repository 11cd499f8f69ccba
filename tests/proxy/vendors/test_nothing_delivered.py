"""An answer that says it is fine and holds no result costs nothing."""

from __future__ import annotations

import orjson
import pytest
from aiohttp import web
from proxy_stage import answering, check_refusal
from sample_calls import SAMPLES, send
from vendor_calls import RICH

from proxy import dialect
from proxy.catalogue import Gives, Kind
from proxy.dialect import Said, Verdict

EMPTY = [
    {},
    {"error": {"code": "internal", "message": "something went wrong"}},
    {"data": [], "images": [], "output": None, "status": "queued"},
    {"data": None, "created": 1},
    {"message": "accepted"},
]
AT_ONCE = {
    each.operation.path: each
    for each in reversed(SAMPLES)
    if each.operation.kind is Kind.SYNC and each.operation.gives is not Gives.LINES
}
EACH = [pytest.param(each, id=path) for path, each in AT_ONCE.items()]


@pytest.mark.parametrize("sample", EACH)
def test_no_answer_without_a_result_is_one(sample):
    for told in EMPTY:
        judged = dialect.judge(sample.vendor, Said(200, orjson.dumps(told)))
        is_result = judged.verdict is Verdict.DONE and sample.operation.delivers(told)
        assert not is_result, told


@pytest.mark.parametrize(
    "path", ["recraft/images/vectorize", "stability/v2beta/stable-image/generate/ultra",
             "fishaudio/v1/tts", "meta/v1/images/generations", "quiver/v1/svgs/generations"]
)  # fmt: skip
async def test_a_200_without_a_result_is_refused_and_costs_nothing(stage, settings, path):
    member, sample = await stage.member(micros=RICH), AT_ONCE[path]
    told = iter(EMPTY)

    async def vendor(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response(next(told))

    async with answering(vendor) as settings.VENDOR_BASE_URL:
        for _ in EMPTY:
            refused = await send(stage, member, sample.entry)
            assert (refused.status, refused.type) == (422, "provider_rejected"), refused.body
            check_refusal(refused)
            assert sample.vendor.display in refused.json()["message"]
    assert stage.wallet(member) == (RICH, 0)
    assert [call["charged_micros"] for call in stage.calls(member)] == [0] * len(EMPTY)
