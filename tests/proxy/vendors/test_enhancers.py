"""HitPaw, Magnific and Topaz: what is held for a larger picture or video, and what it costs."""

from __future__ import annotations

from fractions import Fraction

import pytest
from operations import operation, poll_of, quote
from proxy_stage import check_refusal
from sample_calls import SAMPLES, call, sample_of
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Evidence

PHOTO, VIDEO = "hitpaw/api/photo-enhancer", "hitpaw/api/video-enhancer"


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        (PHOTO, {"model_name": "generative_portrait_1x"}, "0.06"),
        # An hour is the longest that HitPaw takes; whatever is declared lowers nothing.
        (VIDEO, {"model_name": "general_restore_4x", "resolution": [1280, 720], "duration": 1},
         "216"),
        (VIDEO, {"model_name": "generative_1x", "resolution": [2560, 1440]}, "810"),
        (VIDEO, {"model_name": "ultrahd_restore_2x", "resolution": [7680, 4320]}, "950.4"),
    ],
)  # fmt: skip
def test_the_most_that_a_larger_one_can_cost(path, body, most):
    assert quote(path, body).most == micros(most)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (PHOTO, {"model_name": "face_2x"}, "'face_2x' has no price here"),
        (PHOTO, {"model_name": "generative_2x", "n": 2}, "n has no price here"),
        (VIDEO, {"model_name": "ultra_hd_restore_2x"}, "'ultra_hd_restore_2x' has no price here"),
        (VIDEO, {"model_name": "generative_1x"}, "resolution must be"),
        (VIDEO, {"model_name": "generative_1x", "resolution": [0, 720]}, "resolution must be"),
        (VIDEO, {"model_name": "generative_1x", "resolution": [True, 720]}, "resolution must be"),
        (VIDEO, {"model_name": "generative_1x", "resolution": [1 << 40, 1]}, "resolution must be"),
    ],
)
def test_what_has_no_price_at_an_enhancer_is_refused(path, body, says):
    with pytest.raises(InvalidRequest, match=says):
        quote(path, body)


def test_where_hitpaw_tells_no_coins_the_published_rate_is_charged():
    price, held = operation(PHOTO).price, quote(PHOTO, {"model_name": "generative_2x"})
    silent = {"data": {"job_id": "h1", "consume_coins": None}}
    assert price.settle(held.inputs, Evidence(submit=silent)) is None
    assert price.settle(held.inputs, Evidence(end={})) == micros("0.05")

    body = {"model_name": "generative_1x", "resolution": [1920, 1080]}
    price, held = operation(VIDEO).price, quote(VIDEO, body)
    delivered = Evidence(end={}, measured={"seconds": Fraction(10)})
    assert price.settle(held.inputs, delivered) == micros("1.5")


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("inside=402", 403, "provider_disabled"),
        ("inside=400", 422, "provider_rejected"),
        ("inside=429", 429, "provider_rate_limited"),
        ("inside=500", 422, "outcome_unknown"),
    ],
)
async def test_hitpaw_says_no_by_a_code(stage, failure, status, type_):
    sample = sample_of(f"/proxy/{PHOTO}").entry
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("hitpaw", failure)
    refused = await stage.post(sample["path"], member, json=sample["body"])
    assert (refused.status, refused.type) == (status, type_)
    check_refusal(refused)
    spent(stage, member, "0")


def test_an_error_that_tells_of_a_failed_job_has_a_word_that_clients_know():
    told = poll_of(PHOTO).reply({"error_code": 110400003, "message": "The task failed"})
    assert told["code"] == 200
    assert told["data"]["status"] == "FAILED"
    assert told["data"]["res_url"] == ""


# --- Magnific ----------------------------------------------------------------------------------

CREATIVE, PRECISE = "freepik/v1/ai/image-upscaler", "freepik/v1/ai/image-upscaler-precision-v2"
STYLE = "freepik/v1/ai/image-style-transfer"


@pytest.mark.parametrize(
    ("path", "factor", "pixels", "usd"),
    [
        (CREATIVE, "2x", 4 * 1_300_000, "0.172"),
        (CREATIVE, "2x", 4 * 1_300_001, "0.343"),
        (CREATIVE, "2x", 25_300_000, "0.515"),
        # One doubling of 1.2 megapixels, then one of 4.8.
        (CREATIVE, "4x", 16 * 1_200_000, "0.687"),
        (CREATIVE, "4x", 25_300_000, "0.844"),
        (CREATIVE, "16x", 256 * 25_600, "0.859"),
        (CREATIVE, "16x", 1, "0.844"),
        (PRECISE, 2, 100_000_000, "2.045"),
        (PRECISE, "8", 100_000_000, "2.889"),
        (PRECISE, 16, 10**12, "3.06"),
    ],
)
def test_an_upscale_costs_by_its_doublings_within_the_published_range(path, factor, pixels, usd):
    price, held = operation(path).price, quote(path, {"scale_factor": factor})
    delivered = Evidence(end={}, measured={"pixels": Fraction(pixels)})
    assert price.settle(held.inputs, delivered) == micros(usd)
    assert held.most >= micros(usd)


@pytest.mark.parametrize("factor", [None, "3x", 32, True, 2.0, "2xx", ["2x"]])
def test_a_factor_that_is_not_published_is_refused(factor):
    with pytest.raises(InvalidRequest, match="scale_factor must be one of"):
        quote(CREATIVE, {"scale_factor": factor})


async def test_the_pixels_of_what_was_delivered_are_written_down(stage):
    sample = next(each for each in SAMPLES if each.operation.path == PRECISE)
    member = await stage.member(micros=RICH)
    await call(stage, member, sample)
    assert stage.calls(member)[-1]["facts"]["measured_pixels"] == 512 * 512


def test_a_style_transfer_is_given_in_the_shape_of_the_others():
    bare = {"task_id": "m1", "task_status": "COMPLETED", "generated": ["https://a/b.png"]}
    told = poll_of(STYLE).reply(bare)
    assert told["data"]["task_id"] == "m1"
    assert told["data"]["status"] == "COMPLETED"
    assert told["data"]["generated"] == ["https://a/b.png"]
    assert operation(STYLE).job.job_id(bare) == "m1"


async def test_nobody_is_called_back_by_magnific(stage):
    """The sandbox refuses a request that names an address for that."""
    sample = sample_of(f"/proxy/{STYLE}").entry
    member = await stage.member(micros=RICH)
    body = {**sample["body"], "webhook_url": "https://elsewhere.example/hook"}
    answer = await stage.post(sample["path"], member, json=body)
    assert answer.status == 200, answer.body
