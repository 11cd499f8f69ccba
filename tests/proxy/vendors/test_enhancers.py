"""HitPaw, Magnific and Topaz: what is held for a larger picture or video, and what it costs."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from operations import operation, poll_of, quote
from proxy_stage import check_refusal
from sample_calls import SAMPLES, call, entries, sample_of, send
from vendor_calls import RICH, micros, spent, until

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.relay import Lost, Relay
from proxy.vendors import catalogue

PHOTO, VIDEO = "hitpaw/api/photo-enhancer", "hitpaw/api/video-enhancer"


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        (PHOTO, {"model_name": "generative_portrait_1x"}, "0.06"),
        # An hour is the longest that HitPaw takes; whatever is declared lowers nothing.
        (VIDEO, {"model_name": "general_restore_4x", "resolution": [1280, 720], "duration": 1},
         "216"),
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
        (
            VIDEO,
            {"model_name": "ultrahd_restore_2x", "resolution": [1920, 1080]},
            "it would cost \\$432",
        ),
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

    body = {"model_name": "general_restore_1x", "resolution": [1280, 720]}
    price, held = operation(VIDEO).price, quote(VIDEO, body)
    delivered = Evidence(end={}, measured={"seconds": Fraction(10)})
    assert price.settle(held.inputs, delivered) == micros("0.6")


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


# --- Topaz -------------------------------------------------------------------------------------

PICTURE, NEW_FILM = "topaz/image/v1/enhance-gen/async", "/proxy/topaz/video/"


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({"model": "Reimagine", "output_width": "4000", "output_height": "2000"}, "0.32"),
        ({"model": "Reimagine", "output_width": "4000", "output_height": "2001"}, "0.64"),
        # What is not asked may be as large as the vendor makes it.
        ({"model": "Reimagine"}, "10.24"),
        ({"model": "Bloom 2", "output_height": "1000"}, "1.8304"),
        ({"model": "Wonder 3.5", "output_height": "32000"}, "3.6608"),
    ],
)
def test_the_most_that_a_picture_can_cost_at_topaz(body, most):
    assert quote(PICTURE, body).most == micros(most)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"model": "Redefine"}, "'Redefine' has no price here"),
        ({}, "model must be one of"),
        ({"model": "Reimagine", "output_width": "0"}, "output_width must be"),
        ({"model": "Reimagine", "output_width": "32000", "output_height": "32000"}, "256 mega"),
        ({"model": "Reimagine", "webhook_url": "https://a/b"}, "webhook_url has no price here"),
        ({"model": "Reimagine", "outputWidth": "9000"}, "outputWidth has no price here"),
    ],
)
def test_what_has_no_price_at_topaz_is_refused(body, says):
    with pytest.raises(InvalidRequest, match=says):
        quote(PICTURE, body)


@pytest.mark.parametrize(
    ("body", "credits_used", "usd"),
    [
        ({"model": "Reimagine", "output_width": "4096", "output_height": "4096"}, 4, "0.96"),
        ({"model": "Bloom 2", "output_width": "4096", "output_height": "4096"}, 5, "0.9152"),
        ({"model": "Reimagine"}, 12, "0.96"),
        ({"model": "Reimagine"}, None, "0.32"),
        ({"model": "Reimagine"}, 10**6, "10.24"),
    ],
)
def test_a_picture_whose_size_was_not_asked_costs_by_its_credits(body, credits_used, usd):
    price, held = operation(PICTURE).price, quote(PICTURE, body)
    assert price.settle(held.inputs, Evidence(end={"credits": credits_used})) == micros(usd)


def test_a_films_price_is_never_more_than_its_estimate_says():
    price = catalogue().find("PATCH", "/proxy/topaz/video/q1/accept").operation.price
    held = asyncio.run(price.quote(Asked(told={"estimates": {"cost": [38.5, 40]}})))
    assert held.most == micros("3.2")
    for end, usd in (
        ({"estimates": {"cost": [39, 40]}}, "3.12"),
        ({"estimates": {"cost": ["x", None]}}, "3.08"),
        ({}, "3.08"),
    ):
        assert price.settle(held.inputs, Evidence(end=end)) == micros(usd)
    for told in (None, {}, {"estimates": {"cost": []}}, {"estimates": {"cost": [0, True, -1]}}):
        with pytest.raises(InvalidRequest, match="no estimate"):
            asyncio.run(price.quote(Asked(told=told)))


async def begun(stage, member, **source) -> str:
    body = next(e for e in entries("topaz") if e["path"] == NEW_FILM)["body"]
    body = {**body, "source": {**body["source"], **source}}
    made = await stage.post(NEW_FILM, member, json=body)
    assert made.status == 200, made.body
    return str(made.json()["requestId"])


async def test_a_film_goes_its_four_steps(stage):
    member = await stage.member(micros=RICH)
    film = f"{NEW_FILM}{await begun(stage, member)}"
    assert stage.wallet(member) == (RICH, 0)
    assert stage.calls(member) == []

    accepted = await stage.ask("PATCH", f"{film}/accept", by=member)
    assert accepted.status == 202, accepted.body
    assert stage.wallet(member) == (RICH, micros("0.32"))
    (place,) = accepted.json()["urls"]
    put = await stage.ask("PUT", place, data=b"a film")
    wrong = {"uploadResults": [{"partNum": 1, "eTag": '"another"'}]}
    refused = await stage.ask("PATCH", f"{film}/complete-upload", by=member, json=wrong)
    assert (refused.status, refused.type) == (400, "provider_rejected")
    parts = {"uploadResults": [{"partNum": 1, "eTag": put.headers["etag"]}]}
    done = await stage.ask("PATCH", f"{film}/complete-upload", by=member, json=parts)
    assert done.status == 202
    end = await until(
        lambda: stage.get(f"{film}/status", member), lambda a: a.json()["status"] == "complete"
    )
    delivered = await stage.get(end.json()["download"]["url"])

    assert delivered.body[4:8] == b"ftyp"
    spent(stage, member, "0.24")
    again = await stage.ask("PATCH", f"{film}/accept", by=member)
    assert again.status in (202, 400), "answered as before, or refused by the vendor"
    spent(stage, member, "0.24")


@pytest.mark.parametrize("heard", [True, False])
async def test_a_film_that_must_come_in_parts_is_given_up_at_once(stage, monkeypatch, heard):
    """No node puts parts: it would fail after its credits were set aside, for hours."""
    member = await stage.member(micros=RICH)
    name = await begun(stage, member, size=900_000_000)
    exchange = Relay.exchange

    async def deaf(self, outgoing):
        if outgoing.method == "DELETE" and not heard:
            raise Lost("no answer")
        return await exchange(self, outgoing)

    monkeypatch.setattr(Relay, "exchange", deaf)

    refused = await stage.ask("PATCH", f"{NEW_FILM}{name}/accept", by=member)

    assert (refused.status, refused.type) == (422, "provider_rejected")
    assert "several parts" in refused.json()["message"]
    assert stage.wallet(member) == (RICH, 0)
    assert [call["outcome"] for call in stage.calls(member)] == ["refused"]
    facts = stage.vendor.desks["topaz"].jobs.find(name).facts
    assert facts.get("cancelled", False) is heard


async def test_a_film_is_its_workspaces_own_and_what_fails_before_costs_nothing(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    poor = await stage.member(micros=1)
    film = f"{NEW_FILM}{await begun(stage, member)}"
    polls = stage.vendor.counts("topaz")["polls"]
    for who, method, step, status in (
        (other, "PATCH", "accept", 404),
        (None, "PATCH", "accept", 401),
        (other, "PATCH", "complete-upload", 404),
        (other, "GET", "status", 404),
    ):
        refused = await stage.ask(method, f"{film}/{step}", by=who)
        assert refused.status == status, refused.body
        check_refusal(refused)
    assert stage.vendor.counts("topaz")["polls"] == polls, "nobody's film was asked for"

    refused = await stage.ask("PATCH", f"{NEW_FILM}{await begun(stage, poor)}/accept", by=poor)
    assert refused.status == 402
    for failure, status in (("poll_status=500", 502), ("poll_drop", 502), ("poll_status=401", 403)):
        stage.vendor.fail_next("topaz", failure, times=2)
        refused = await stage.ask("PATCH", f"{film}/accept", by=member)
        assert refused.status == status, (failure, refused.body)
        check_refusal(refused)
        stage.vendor.desks["topaz"].plans.questions.clear()
    assert stage.wallet(member) == (RICH, 0)
    assert stage.vendor.counts("topaz")["submits"] == 0


async def test_a_filter_without_a_price_is_refused_before_the_vendor_is_told(stage):
    member = await stage.member()
    for filters in ([{"model": "prob-4"}], [], None, [7], [{"model": "slf-1"}] * 9):
        refused = await stage.post(NEW_FILM, member, json={"filters": filters})
        assert (refused.status, refused.type) == (400, "invalid_request"), filters
        check_refusal(refused)
    assert "/video/" not in stage.vendor.counts("topaz")["by_path"]


@pytest.mark.parametrize(
    ("code", "status", "type_"),
    [(412, 403, "provider_disabled"), (425, 429, "provider_rate_limited")],
)
async def test_topaz_has_statuses_of_its_own(stage, code, status, type_):
    sample = sample_of(f"/proxy/{PICTURE}")
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next("topaz", f"code={code}")
    refused = await send(stage, member, sample.entry)
    assert (refused.status, refused.type) == (status, type_)
    spent(stage, member, "0")


async def test_a_picture_is_asked_for_where_it_lies_by_its_owner_once_it_is_paid_for(stage):
    sample = sample_of(f"/proxy/{PICTURE}")
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    end = await call(stage, member, sample)
    where = f"/proxy/topaz/image/v1/download/{end.json()['process_id']}"
    assert (await stage.get(where, other)).status == 404
    kept = await stage.get(f"/v1/calls/{stage.calls(member)[-1]['id']}/result", member)
    assert kept.json()["ask"] == {"method": "GET", "path": where, "body": None}
    told = await stage.get(where, member)
    assert told.status == 200, told.body
    delivered = await stage.get(told.json()["download_url"])
    assert delivered.body.startswith(b"\x89PNG")
    spent(stage, member, "0.32")
