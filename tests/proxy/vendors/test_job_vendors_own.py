"""What is peculiar to a vendor whose work is a job: its translations, its withdrawn, its words."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import aiohttp
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

DASHSCOPE = "wan/api/v1/services/aigc"
WAN = f"{DASHSCOPE}/video-generation/video-synthesis"
H3 = {"model": "MiniMax-H3"}
FILM = "heygen/v3/videos"


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
        ("ltx/v1/text-to-video", {"model": "ltx-2-fast", "duration": 6}, "2026-08-15.*LTX 2.5"),
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
        ("minimax/video_generation", {"model": "MiniMax-Hailuo-02", "duration": 10}, "0.56"),
        ("minimax/video_generation", {"model": "MiniMax-Hailuo-02", "resolution": "1080P"},
         "0.49"),
        ("minimax/video_generation", {"model": "S2V-01"}, "0.65"),
        # Seven pictures, two of them beyond five, and a video of reference of up to 15 seconds.
        ("minimax/v2/video_generation",
         {**H3, "duration": 4, "resolution": "2K",
          "content": [{"type": "image_url"}] * 7 + [{"type": "video_url"}]}, "3.6465"),
        ("minimax/v2/h3_context_ir", {**H3, "content": [{"type": "image_url"}] * 4}, "0.11"),
        ("vidu/img2video", {"model": "viduq2-turbo", "duration": 1}, "0.04"),
        ("vidu/img2video", {"model": "viduq2-turbo", "duration": 8, "resolution": "1080p"},
         "0.525"),
        ("vidu/start-end2video", {"model": "viduq2-turbo", "duration": 1}, "0.05"),
        ("vidu/img2video", {"model": "viduq3-pro", "duration": 16, "resolution": "2K"}, "3.2"),
        ("vidu/reference2video", {"model": "viduq2", "duration": 1, "audio": True}, "0.2"),
        ("vidu/text2video", {"model": "viduq1"}, "0.4"),
        ("vidu/multiframe", {"model": "viduq2-turbo", "resolution": "1080p",
                             "image_settings": [{"duration": 2}, {"duration": 5}]}, "0.65"),
        ("pixverse/video/text/generate", {"duration": 8, "quality": "360p"}, "0.9"),
        ("pixverse/video/text/generate", {"motion_mode": "fast", "quality": "720p"}, "1.2"),
        (WAN, {"model": "wan2.6-t2v", "input": {}}, "0.75"),
        (WAN, {"model": "wan2.6-t2v", "input": {}, "parameters": {"size": "832*480"}}, "0.25"),
        (WAN, {"model": "wan2.6-t2v", "input": {},
               "parameters": {"size": "832*480", "resolution": "1080P"}}, "0.75"),
        (WAN, {"model": "wan2.6-r2v", "input": {"reference_video_urls": ["https://a/b"]},
               "parameters": {"size": "1280*720", "duration": 10}}, "1.5"),
        (WAN, {"model": "wan2.7-videoedit", "input": {"media": [{"type": "video"}]},
               "parameters": {"resolution": "720P", "duration": 0}}, "2"),
        (WAN, {"model": "happyhorse-1.0-video-edit", "input": {"media": [{"type": "video"}]},
               "parameters": {"resolution": "1080P"}}, "7.2"),
        (f"{DASHSCOPE}/text2image/image-synthesis",
         {"model": "wan2.5-t2i-preview", "parameters": {"n": 4}}, "0.12"),
        ("bria/v2/video/edit/green_screen", {}, "3"),
        ("synclabs/v2/generate", {"model": "sync-3"}, "114.114"),
        ("beeble/v1/switchx/generations", {"generation_type": "image", "max_resolution": 720},
         "0.143"),
        ("beeble/v1/switchx/generations", {"generation_type": "video", "max_resolution": 721},
         "3.432"),
        ("ltx/v2/text-to-video", {"model": "ltx-2-5-fast", "duration": 10,
                                  "resolution": "2160x3840"}, "4.29"),
        ("ltx/v2/audio-to-video", {"model": "ltx-2-5-pro"}, "4.862"),
        # A script is held as if it were spoken slowly, with all its pauses.
        (FILM, {"type": "avatar", "engine": {"type": "avatar_iii"}, "script": "x" * 150},
         "1.23838"),
        (FILM, {"type": "avatar", "engine": {"type": "avatar_iv"}, "script": "x" * 150,
                "voice_settings": {"speed": 0.5}}, "3.81524"),
        (FILM, {"type": "image", "script": 'Well <break time="90s"/> hello <break time="500ms"/>'},
         "7.007"),
        (FILM, {"type": "image", "audio_url": "https://a/b.mp3"}, "42.9"),
        (FILM, {"type": "image", "audio_url": "https://a/b.mp3", "script": "hello"}, "42.9"),
        (FILM, {"type": "avatar"}, "57.2286"),
        ("heygen/v3/video-translations", {"output_languages": ["German"], "mode": "precision"},
         "171.6858"),
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
        ("minimax/video_generation",
         {"model": "MiniMax-Hailuo-02", "resolution": "1080P", "duration": 10}),
        ("minimax/v2/video_generation", {**H3, "content": [{"type": "model_url"}]}),
        ("vidu/img2video", {"model": "viduq2-pro", "audio": True}),
        ("vidu/text2video", {"model": "viduq2", "is_rec": True}),
        ("vidu/text2video", {"model": "viduq2", "resolution": "4k"}),
        ("pixverse/video/text/generate", {"model": "v5"}),
        ("pixverse/video/text/generate", {"duration": 6}),
        ("pixverse/video/text/generate", {"sound_effect_switch": True}),
        (WAN, {"model": "wan2.6-t2v", "input": {}, "parameters": {"size": "4000*4000"}}),
        (WAN, {"model": "wan2.6-t2v", "input": {}, "parameters": {"n": 2}}),
        (WAN, {"model": "wan2.7-r2v", "input": {"media": [{"type": "film"}]}}),
        ("bria/v2/image/edit", {"images": ["a", "b"]}),
        ("bria/v2/image/edit/gen_fill", {"num_results": 4}),
        ("synclabs/v2/generate", {"model": "lipsync-2-pro"}),
        ("ltx/v2/text-to-video", {"model": "ltx-2-3-fast", "duration": 6}),
        ("ltx/v2/text-to-video", {"model": "ltx-2-5-pro", "resolution": "3840x2160"}),
        (FILM, {"type": "image", "resolution": "4k", "script": "x"}),
        (FILM, {"type": "cinematic_avatar", "script": "x"}),
        (FILM, {"type": "avatar", "engine": {"type": "avatar_vi"}}),
        ("heygen/v3/video-translations", {"output_languages": ["German", "French"]}),
        ("heygen/v3/avatars", {"type": "digital_twin"}),
    ],
)  # fmt: skip
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
        ("minimax/video_generation", "inside=1008", 403, "provider_disabled"),
        ("minimax/video_generation", "inside=1026", 422, "content_blocked"),
        ("minimax/video_generation", "inside=1002", 429, "provider_rate_limited"),
        ("minimax/video_generation", "inside=2013", 422, "provider_rejected"),
        ("minimax/video_generation", "inside=1033", 422, "outcome_unknown"),
        ("minimax/v2/video_generation", "status=422", 422, "content_blocked"),
        ("vidu/text2video", "code=402", 403, "provider_disabled"),
        ("vidu/text2video", "code=422", 422, "content_blocked"),
        ("pixverse/video/text/generate", "inside", 403, "provider_disabled"),
        ("pixverse/video/text/generate", "inside=10003", 403, "provider_disabled"),
        ("pixverse/video/text/generate", "inside=500044", 429, "provider_rate_limited"),
        ("pixverse/video/text/generate", "inside=500054", 422, "content_blocked"),
        ("pixverse/video/text/generate", "inside=400017", 422, "provider_rejected"),
        ("pixverse/video/text/generate", "inside=99999", 422, "outcome_unknown"),
        (WAN, "code=402", 403, "provider_disabled"),
        (WAN, "code=422", 422, "content_blocked"),
        ("bria/v2/image/edit", "code=460", 422, "provider_rejected"),
        ("bria/v2/image/edit", "code=506", 422, "provider_rejected"),
        ("ltx/v2/text-to-video", "code=422", 422, "content_blocked"),
        ("ltx/v2/text-to-video", "code=529", 429, "provider_rate_limited"),
        ("ltx/v1/text-to-video", "code=402", 403, "provider_disabled"),
        (FILM, "code=402", 403, "provider_disabled"),
        (FILM, "code=422", 422, "content_blocked"),
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
        ("pixverse/video/text/generate", {"Resp": {"status": 10}}, ("Resp", "status"), 5),
        ("pixverse/video/text/generate", {"Resp": {"status": 7}}, ("Resp", "status"), 7),
        (WAN, {"output": {"task_status": "SUSPENDED"}}, ("output", "task_status"), "RUNNING"),
        ("bria/v2/image/edit", {"status": "UNKNOWN"}, ("status",), "ERROR"),
        ("synclabs/v2/generate", {"status": "FAILED", "error_code": "x"}, ("errorCode",), "x"),
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
    member = await stage.member(micros=RICH)
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("file", b"a picture", filename="x.png", content_type="image/png")
    kept = await stage.post("/proxy/krea/assets", member, data=data)
    assert kept.status == 200
    assert kept.json()["image_url"].endswith(".png")
    assert (await stage.post("/proxy/krea/assets", data=data)).status == 401
    assert stage.calls(member) == []


# --- MiniMax, Vidu, PixVerse, Wan ---------------------------------------------------------------


def test_a_subject_is_sent_as_the_vendor_of_today_reads_it():
    body = {"model": "S2V-01", "subject_reference": [{"image": "https://a/b.png"}]}
    translated = sent("minimax/video_generation", {**body, "callback_url": "https://evil"})
    assert translated == {
        **body,
        "subject_reference": [{"type": "character", "image": ["https://a/b.png"]}],
    }


async def test_a_file_of_minimax_is_given_to_its_owner_once_it_is_paid_for(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    sample = sample_of("/proxy/minimax/video_generation").entry
    taken = await stage.post(sample["path"], member, json=sample["body"])
    assert taken.json()["base_resp"]["status_code"] == 0
    poll = f"/proxy/minimax/query/video_generation?task_id={taken.json()['task_id']}"
    job = stage.vendor.desks["minimax"].jobs.find(taken.json()["task_id"])
    file = f"/proxy/minimax/files/retrieve?file_id={job.alias}"

    early = await stage.get(file, member)
    end = await stage.get(poll, member)
    found = await stage.get(file, member)

    assert early.status == 404
    assert end.json()["file_id"] == job.alias
    assert (await stage.get(found.json()["file"]["download_url"])).status == 200
    refused = await stage.get(file, other)
    assert refused.status == 404
    check_refusal(refused)
    spent(stage, member, "0.28")


async def test_references_are_charged_by_the_seconds_that_the_end_tells(stage):
    member = await stage.member(micros=RICH)
    content = [{"type": "text", "text": "x"}, {"type": "video_url", "video_url": {"url": "u"}}]
    body = {**H3, "duration": 6, "resolution": "2K", "content": content}
    taken = await stage.post("/proxy/minimax/v2/video_generation", member, json=body)
    assert stage.wallet(member)[1] == micros("3.9039")  # 6 + 15 seconds.
    path = f"/proxy/minimax/v2/query/video_generation/{taken.json()['task_id']}"
    assert (await stage.get(path, member)).json()["task"]["status"] == "succeeded"
    spent(stage, member, "2.0449")  # 6 + 5.


async def test_an_edit_of_wan_is_charged_by_the_seconds_of_both(stage):
    member = await stage.member(micros=RICH)
    body = {
        "model": "wan2.6-r2v",
        "input": {"prompt": "x", "reference_video_urls": ["https://a/b.mp4"]},
        "parameters": {"size": "1280*720", "duration": 5},
    }
    taken = await stage.post(f"/proxy/{WAN}", member, json=body)
    assert stage.wallet(member)[1] == micros("1")
    await stage.get(f"/proxy/wan/api/v1/tasks/{taken.json()['output']['task_id']}", member)
    spent(stage, member, "0.7")


async def test_a_picture_that_did_not_come_is_not_charged(stage):
    member = await stage.member(micros=RICH)
    body = {
        "model": "wan2.5-t2i-preview",
        "input": {"prompt": "sandbox:cost"},
        "parameters": {"n": 3},
    }
    taken = await stage.post(f"/proxy/{DASHSCOPE}/text2image/image-synthesis", member, json=body)
    assert stage.wallet(member)[1] == micros("0.09")
    await stage.get(f"/proxy/wan/api/v1/tasks/{taken.json()['output']['task_id']}", member)
    spent(stage, member, "0.06")


async def test_a_picture_is_its_workspaces_own(stage):
    """Every request has an id of its own: the vendor answers the same one as before."""
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field("image", b"a picture", filename="x.png", content_type="image/png")
    kept = await stage.post("/proxy/pixverse/image/upload", member, data=data)
    sample = sample_of("/proxy/pixverse/video/img/generate").entry
    body = {**sample["body"], "img_id": kept.json()["Resp"]["img_id"]}

    refused = await stage.post(sample["path"], other, json=body)
    first = await stage.post(sample["path"], member, json=body)
    second = await stage.post(sample["path"], member, json=body)

    assert refused.status == 404
    check_refusal(refused)
    assert stage.wallet(other) == (RICH, 0)
    assert first.json()["Resp"]["video_id"] != second.json()["Resp"]["video_id"]
    assert stage.wallet(member)[1] == micros("0.9")
    wrong = await stage.post(sample["path"], member, json={**body, "img_id": {"a": 1}})
    assert (wrong.status, wrong.type) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("luma/generations", {"keyframes": {"frame0": {"type": "generation", "id": "g1"}}}),
        ("luma_2/generations", {"type": "video", "model": "ray-3.2",
                                "source": {"generation_id": "g1"}}),
        ("luma_2/generations", {"image_ref": [{"generation_id": "g1"}]}),
        ("vidu/extend", {"model": "viduq2-pro", "video_creation_id": "c1"}),
    ],
)  # fmt: skip
async def test_nobody_goes_on_from_what_another_made(stage, path, body):
    member = await stage.member(micros=RICH)
    refused = await stage.post(f"/proxy/{path}", member, json={"prompt": "x", **body})
    assert refused.status == 404
    check_refusal(refused)
    assert stage.wallet(member) == (RICH, 0)


async def test_what_a_task_took_of_our_credits_is_not_told(stage):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/vidu/text2video").entry
    taken = await stage.post(sample["path"], member, json=sample["body"])
    end = await stage.get(f"/proxy/vidu/tasks/{taken.json()['task_id']}/creations", member)
    assert "credits" not in taken.json()
    assert "credits" not in end.json()
    assert end.json()["creations"][0]["cover_url"]


# --- Bria, sync.so, Beeble, LTX, HeyGen ---------------------------------------------------------


def test_what_bria_does_not_know_is_not_sent():
    body = {"image": "https://a/b.png", "seed": 7, "sync": True}
    assert sent("bria/v2/image/edit/remove_background", body) == {"image": "https://a/b.png"}
    assert sent("bria/v2/image/edit/expand", body) == {"image": "https://a/b.png", "seed": 7}
    assert sent("bria/v2/video/edit/green_screen", {"video": "u", "seed": 1}) == {"video": "u"}


async def test_the_address_that_our_key_opens_is_not_told(stage):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/bria/v2/image/edit").entry
    taken = await stage.post(sample["path"], member, json=sample["body"])
    assert taken.json()["status_url"] == ""


async def test_lips_are_charged_by_the_seconds_that_come_out(stage):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/synclabs/v2/generate").entry
    stage.vendor.fail_next("synclabs", "cost")
    taken = await stage.post(sample["path"], member, json=sample["body"])
    end = await stage.get(f"/proxy/synclabs/v2/generate/{taken.json()['id']}", member)
    assert end.json()["outputDuration"] == 5
    spent(stage, member, "0.95095")


async def test_two_members_calls_of_one_name_are_two(stage):
    """The account is everybody's: the vendor would answer the second with the first one's job."""
    sample = sample_of("/proxy/beeble/v1/switchx/generations").entry
    body = {**sample["body"], "idempotency_key": "mine"}
    ids = set()
    for _ in range(2):
        member = await stage.member(micros=RICH)
        ids.add((await stage.post(sample["path"], member, json=body)).json()["id"])
    assert len(ids) == 2


def test_frames_are_charged_by_begun_thirty():
    price = operation("beeble/v1/switchx/generations").price
    video = {"generation_type": "video", "max_resolution": 720}
    inputs = quote("beeble/v1/switchx/generations", video).inputs
    charged = {
        frames: price.settle(inputs, Evidence(end={}, measured={"frames": Fraction(frames)}))
        for frames in (1, 30, 31, 240)
    }
    unit = micros("0.143")
    assert charged == {1: unit, 30: unit, 31: 2 * unit, 240: 8 * unit}
    held = quote("beeble/v1/switchx/generations", video, source_uri=Fraction(61)).most
    assert held == 3 * unit


async def test_a_film_at_once_is_charged_as_it_is_delivered(stage):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/ltx/v1/text-to-video").entry
    answer = await stage.post(sample["path"], member, json=sample["body"])
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.body[4:8] == b"ftyp"
    spent(stage, member, "0.32")


async def test_a_film_asked_for_on_another_path_is_none(stage):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/ltx/v2/text-to-video").entry
    taken = await stage.post(sample["path"], member, json=sample["body"])
    other = f"/proxy/ltx/v2/image-to-video/{taken.json()['id']}"
    assert (await stage.get(other, member)).status == 404


async def test_an_avatar_is_its_workspaces_own_and_a_public_one_everybodys(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    sample = sample_of("/proxy/heygen/v3/avatars").entry
    made = await stage.post(sample["path"], member, json=sample["body"])
    own = made.json()["data"]["avatar_item"]["id"]
    looks = "/proxy/heygen/v3/avatars/looks"
    speaking = {"type": "avatar", "script": "hello", "voice_id": "v1"}

    seen = await stage.get(f"{looks}/{own}", member)
    public = await stage.get(f"{looks}/anna_public", other)
    unknown = await stage.get(f"{looks}/no-such-look", other)
    hidden = await stage.get(f"{looks}/{own}", other)
    stranger = await stage.get(f"{looks}/anna_public")
    answers = {
        (who is member, look): await stage.post(
            f"/proxy/{FILM}", who, json={**speaking, "avatar_id": look}
        )
        for who in (member, other)
        for look in (own, "anna_public")
    }

    assert seen.json()["data"]["status"] == "completed"
    assert public.json()["data"]["supported_api_engines"]
    assert (unknown.status, hidden.status, stranger.status) == (404, 404, 401)
    check_refusal(hidden)
    assert {case: answer.status for case, answer in answers.items()} == {
        (True, own): 200, (True, "anna_public"): 200,
        (False, own): 404, (False, "anna_public"): 200,
    }  # fmt: skip
    assert stage.calls(other) == []


def test_speech_that_does_not_say_how_long_it_is_is_charged_for_four_seconds():
    made = operation("heygen/v3/voices/speech")
    inputs = quote("heygen/v3/voices/speech", {"text": "x" * 150, "speed": 2}).inputs
    assert inputs == {"seconds": 10}
    assert made.price.settle(inputs, Evidence(end={})) == 3816
    assert made.price.settle(inputs, Evidence(end={"data": {"duration": 7.5}})) == 7154
    assert not made.reports({"data": {}})


# --- Moonvalley, Pika ---------------------------------------------------------------------------


async def test_a_vendor_that_is_gone_says_so_whether_or_not_there_is_a_key(stage, monkeypatch):
    for module in ("moonvalley", "google_account"):
        monkeypatch.setattr(f"proxy.vendors.{module}.moved_to", lambda vendor, base="": "")
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/moonvalley/prompts/text-to-video").entry
    refused = await stage.post(sample["path"], member, json=sample["body"])
    assert (refused.status, refused.type) == (403, "provider_disabled")
    assert "ended its service" in refused.json()["message"]
    check_refusal(refused)
    assert stage.calls(member) == []


async def test_a_form_is_priced_as_it_is_read(stage):
    member = await stage.member(micros=RICH)
    path = "/proxy/pika/generate/2.2/t2v"
    for fields, named in (
        ({"Duration": "10"}, "Duration"),
        ({"duration": "30"}, "duration"),
        ({"resolution": "4k"}, "resolution"),
        ({"sampleCount": "4"}, "sampleCount"),
    ):
        refused = await stage.post(path, member, data={"promptText": "x", **fields})
        assert (refused.status, refused.type) == (400, "invalid_request"), fields
        assert named in refused.json()["message"]
    assert stage.calls(member) == []
    form = {"promptText": "a fox", "duration": "10", "resolution": "720p"}
    assert (await stage.post(path, member, data=form)).status == 200
    assert stage.wallet(member)[1] == micros("0.6")
