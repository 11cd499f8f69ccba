"""HitPaw, Magnific and Topaz: what is held for a larger picture or video, and what it costs."""

from __future__ import annotations

from fractions import Fraction

import pytest
from operations import operation, poll_of, quote
from proxy_stage import check_refusal
from sample_calls import sample_of
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
