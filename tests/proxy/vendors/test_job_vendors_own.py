"""What is peculiar to a vendor whose work is a job: its translations, ids, lengths."""

from __future__ import annotations

from fractions import Fraction

import aiohttp
import pytest
from operations import DASHSCOPE, FILM, H3, WAN, operation, quote, sent
from proxy_stage import check_refusal
from sample_calls import sample_of
from vendor_calls import RICH, micros, spent

from common.errors import InvalidRequest
from proxy.asked import Evidence


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


# --- MiniMax, Vidu, PixVerse, Wan -----------------------------------------------------------------


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


# --- Bria, sync.so, Beeble, LTX, HeyGen -----------------------------------------------------------


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


# --- Moonvalley, Pika -----------------------------------------------------------------------------


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
