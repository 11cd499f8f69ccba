"""What is peculiar to a vendor whose work is a job: its translations, its withdrawn, its words."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import orjson
import pytest
from proxy_stage import check_refusal
from sample_calls import sample_of
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy import withdrawn
from proxy.asked import Asked, Evidence
from proxy.dialect import Said, Verdict
from proxy.vendors import catalogue


def operation(path):
    return catalogue().find("POST", f"/proxy/{path}").operation


def quote(path, body, **measured):
    asked = Asked(body=body, measured=measured)
    return asyncio.run(operation(path).price.quote(asked))


def sent(path, body):
    """Return the body that the vendor gets."""
    made = operation(path)
    asked = Asked(body=body)
    return made.prepare(asked, asyncio.run(made.price.quote(asked)).inputs) or body


def poll_of(path):
    found = catalogue().find("POST", f"/proxy/{path}")
    return found.vendor.poll(found.operation.job)


@pytest.fixture
def at_the_vendors_own_address(monkeypatch):
    monkeypatch.setattr(withdrawn.catalogue, "moved_to", lambda vendor, base="": "")


# --- Runway -------------------------------------------------------------------------------------


def test_alephs_pictures_stand_where_the_vendor_of_today_reads_them():
    body = {"model": "aleph2", "videoUri": "https://a/b", "promptText": "night"}
    given = [
        {"position": {"timestampSeconds": 2}, "uri": "https://a/1.png"},
        {"position": {"positionPercentage": 0.5}, "uri": "https://a/2.png"},
    ]

    translated = sent("runway/video_to_video", {**body, "promptImage": given})

    frames = [{"seconds": 2, "uri": "https://a/1.png"}, {"at": 0.5, "uri": "https://a/2.png"}]
    assert translated == {**body, "keyframes": frames}
    assert sent("runway/video_to_video", body) == body
    for wrong in ([{"uri": "x"}], "x", [1]):
        with pytest.raises(InvalidRequest, match="promptImage"):
            sent("runway/video_to_video", {**body, "promptImage": wrong})


async def test_aleph_takes_keyframes_and_costs_what_the_task_says_it_took(stage):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/runway/video_to_video").entry
    picture = {"position": {"timestampSeconds": 1}, "uri": "https://storage.example.com/1.png"}
    body = {**sample["body"], "promptImage": [picture], "promptText": "sandbox:cost=84"}

    taken = await stage.post(sample["path"], member, json=body)
    end = await stage.get(f"/proxy/runway/tasks/{taken.json()['id']}", member)

    assert taken.json().keys() == {"id"}
    assert end.json()["createdAt"]
    assert "cost" not in end.json()
    spent(stage, member, "1.2012")  # 84 credits are three seconds.


@pytest.mark.usefixtures("at_the_vendors_own_address")
@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("runway/image_to_video", {"model": "gen3a_turbo", "duration": 5}, "gen4_turbo"),
        ("luma/generations", {"model": "ray-1-6"}, "ray-2"),
    ],
)
def test_what_a_vendor_has_withdrawn_names_its_successor(path, body, says):
    with pytest.raises(InvalidRequest, match=f"withdrew {body['model']}.*{says}"):
        quote(path, body)


# --- Prices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        # Whatever is declared lowers no hold.
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"target_resolution": "4k", "duration": 1},
         "19.2"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", {"resolution": "1080p"},
         "70.0128"),
        ("runway/video_to_video", {"model": "aleph2"}, "12.012"),
        ("luma_2/generations", {"type": "video_edit", "model": "ray-3.2"}, "2.16"),
        ("luma_2/generations", {"type": "image_edit", "image_ref": [{}, {}]}, "0.0494"),
        ("luma/generations", {"resolution": "4k", "duration": "9s"}, "16.4"),
        ("krea/generate/image/krea/krea-2/large", {"moodboards": [{}]}, "0.07"),
        ("krea/generate/image/krea/krea-2/large", {"image_style_references": [{}]}, "0.065"),
    ],
)  # fmt: skip
def test_the_most_that_it_can_cost(path, body, most):
    assert quote(path, body).most == micros(most)


def test_a_measured_file_is_held_for_its_own_seconds():
    path = "higgsfield/higgsfield/genjutsu/motion-transfer/v1.0"
    held = {
        seconds: quote(path, {"resolution": "480p"}, video_url=Fraction(seconds)).most
        for seconds in (1, 10, 60)
    }
    assert held == {1: micros("1.81896"), 10: micros("4.5474"), 60: micros("13.6422")}


def test_an_edit_costs_by_what_is_delivered_within_the_published_range():
    made = quote("luma_2/generations", {"type": "video_edit", "model": "ray-3.2"})
    price = operation("luma_2/generations").price
    charged = {
        seconds: price.settle(
            made.inputs, Evidence(end={}, measured={"seconds": Fraction(seconds)})
        )
        for seconds in (2, 8, 40)
    }
    assert charged == {2: micros("1.08"), 8: micros("1.728"), 40: micros("2.16")}
    assert price.settle(made.inputs, Evidence(end={})) == micros("1.08")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("luma_2/generations", {"model": "uni-1", "n": 4}),
        ("luma_2/generations", {"model": "ray-3.2", "type": "video", "video": {"hdr": True}}),
        ("krea/generate/image/krea/krea-2/large", {"resolution": "4K"}),
        ("krea/generate/image/krea/krea-2/large", {"batch_size": 2}),
        ("runway/video_to_video", {"model": "aleph2", "outputFormat": "prores"}),
        ("runway/text_to_image", {"model": "gen4_image", "n": True}),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"target_resolution": "8k"}),
    ],
)
def test_what_has_no_price_is_refused(path, body):
    with pytest.raises(InvalidRequest, match="has no price here"):
        quote(path, body)


# --- Words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "failure", "status", "type_"),
    [
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=402", 403, "provider_disabled"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=400", 422, "provider_rejected"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=429", 429, "provider_rate_limited"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", "inside=500", 422, "outcome_unknown"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", "code=403", 403,
         "provider_disabled"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", "code=429", 429,
         "provider_rate_limited"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", "code=423", 502,
         "provider_error"),
    ],
)  # fmt: skip
async def test_a_vendors_own_words(stage, path, failure, status, type_):
    name = catalogue().find("POST", f"/proxy/{path}").vendor.name
    sample = sample_of(f"/proxy/{path}").entry
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next(name, failure)
    refused = await stage.post(sample["path"], member, json=sample["body"])
    assert (refused.status, refused.type) == (status, type_)
    check_refusal(refused)
    spent(stage, member, "0")


def test_not_enough_credits_is_the_operators_affair_whatever_its_status():
    said = Said(400, b'{"error": "You do not have enough credits to run this task."}')
    assert catalogue().vendors["runway"].judge(said).verdict is Verdict.OPERATOR


@pytest.mark.parametrize(
    ("path", "said", "word", "told"),
    [
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"data": {"status": "timeout"}},
         ("data", "status"), "failed"),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"data": {"status": "warming"}},
         ("data", "status"), "processing"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", {"status": "nsfw"},
         ("status",), "nsfw"),
        ("runway/image_to_video", {"status": "THROTTLED"}, ("status",), "THROTTLED"),
    ],
)  # fmt: skip
def test_a_word_that_clients_do_not_know_is_said_in_one_that_they_do(path, said, word, told):
    found = poll_of(path).reply(said)
    for name in word:
        found = found[name]
    assert found == told


def test_what_we_say_while_a_vendor_cannot_be_asked_has_what_clients_insist_on():
    for path, kind in (("luma/generations", "video"), ("luma/generations/image", "image")):
        told = operation(path).job.pending("g1")
        assert told["generation_type"] == kind
        assert told["created_at"]
        assert told["request"]["model"] == told["model"]
        orjson.dumps(told)
    assert operation("runway/image_to_video").job.pending("r1")["createdAt"]


async def test_a_picture_of_style_is_uploaded_as_it_is(stage):
    import aiohttp

    member = await stage.member(micros=RICH)
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("file", b"a picture", filename="x.png", content_type="image/png")
    kept = await stage.post("/proxy/krea/assets", member, data=data)
    assert kept.status == 200
    assert kept.json()["image_url"].endswith(".png")
    assert (await stage.post("/proxy/krea/assets", data=data)).status == 401
    assert stage.calls(member) == []
