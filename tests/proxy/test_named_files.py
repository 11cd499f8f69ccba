"""Files of ours in a request: measured where they decide the price, sent along, their owner's."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image
from test_probing import film
from test_storage_door import offered, put

from proxy import probing

UPSCALE = "/proxy/bfl/v1/flux-tools/video-upscale-v1"
ERASE = "/proxy/bfl/v1/flux-tools/erase-v1"
RATE = 848_000
MAXIMUM = 120 * RATE
RICH = 200_000_000


def picture(width=2048, height=1024) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


async def kept(stage, member, content, name="a.mp4", **asked) -> str:
    made = await offered(stage, member, file_name=name, **asked)
    assert (await put(stage, made, content)).status == 200
    return made["download_url"]


def upscale(url, **more):
    return {"input_video": url, "creativity": 0, **more}


async def held_for(stage, member, body, path=UPSCALE):
    answer = await stage.post(path, member, json=body)
    assert answer.status == 200, answer.body
    (row,) = stage.rows(
        "SELECT amount_micros FROM credits_hold WHERE account_id = %s", member.workspace
    )
    return row["amount_micros"]


async def test_a_film_of_ours_is_held_by_its_length_and_measured_once(stage, monkeypatch):
    member = await stage.member(RICH)
    url = await kept(stage, member, film(frames=125))

    assert await held_for(stage, member, upscale(url)) == 6 * RATE

    async def never(*_, **__):
        raise AssertionError("it was measured before")

    monkeypatch.setattr(probing, "of_file", never)
    answer = await stage.post(UPSCALE, member, json=upscale(url, upscale_factor=3))
    assert answer.status == 200


@pytest.fixture(autouse=True)
def known_hosts(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url + "&x=1",
        lambda url: url.replace("127.0.0.1", "127.0.0.1.evil.example"),
        lambda url: url.replace("http://", "http://x@"),
        lambda url: url.replace("a.mp4", "b.mp4"),
        lambda _: "https://storage.example.com/in/0003.mp4",
    ],
)
async def test_an_address_that_we_did_not_hand_out_is_held_at_the_maximum(stage, change):
    member = await stage.member(RICH)
    url = await kept(stage, member, film())

    assert await held_for(stage, member, upscale(change(url))) == MAXIMUM


async def test_where_any_host_is_allowed_its_clients_word_lowers_nothing(stage, settings):
    settings.ALLOWED_HOSTS = ["*"]
    member = await stage.member(RICH)

    assert await held_for(stage, member, upscale(await kept(stage, member, film()))) == MAXIMUM


async def test_what_cannot_be_measured_is_held_at_the_maximum(stage):
    members = [await stage.member(RICH) for _ in range(2)]
    told = "SELECT * FROM credits_finding WHERE key = %s"
    key = "unmeasured_input:bfl/v1/flux-tools/video-upscale-v1:input_video"

    for member in members:
        url = await kept(stage, member, film()[:300])
        assert await held_for(stage, member, upscale(url)) == MAXIMUM

    (found,) = stage.rows(told, key)
    assert "input_video" in found["sentence"]
    assert not found["resolved_at"]


async def test_what_lies_elsewhere_is_no_finding(stage):
    """It is never fetched, so nobody knows whether it could be measured."""
    member = await stage.member(RICH)

    assert await held_for(stage, member, upscale("https://example.org/film.mp4")) == MAXIMUM

    assert stage.rows("SELECT * FROM credits_finding WHERE key LIKE 'unmeasured_input%%'") == []


async def test_a_film_in_base64_is_measured_too(stage):
    member = await stage.member(RICH)
    text = base64.b64encode(film(frames=125)).decode()

    assert await held_for(stage, member, upscale(text)) == 6 * RATE


async def test_anothers_file_is_not_there_nor_is_one_without_content(stage):
    owner, other = await stage.member(RICH), await stage.member(RICH)
    url = await kept(stage, owner, film())
    empty = (await offered(stage, other))["download_url"]

    for named in (url, empty):
        answer = await stage.post(UPSCALE, other, json=upscale(named))
        assert (answer.status, answer.type) == (404, "not_found")
    assert stage.holds(other) == []
    assert stage.vendor.counts("bfl")["submits"] == 0


async def test_nothing_is_measured_for_strangers(stage, monkeypatch):
    async def never(*_, **__):
        raise AssertionError("measured for a stranger")

    monkeypatch.setattr(probing, "of_base64", never)
    body = upscale(base64.b64encode(film()).decode())

    answer = await stage.post(UPSCALE, json=body, headers={"X-API-KEY": "comfyui-" + "0" * 64})

    assert answer.status == 401


async def test_a_picture_of_ours_is_priced_by_its_pixels(stage):
    member = await stage.member()
    url = await kept(stage, member, picture(), name="a.png")

    assert await held_for(stage, member, {"image": url, "mask": url}, ERASE) == 34_000


async def test_where_the_vendor_cannot_fetch_it_the_file_goes_along(stage, settings, monkeypatch):
    from proxy.relay import Relay

    settings.UPLOADS_ARE_PUBLIC = "no"
    member = await stage.member()
    content = picture()
    url = await kept(stage, member, content, name="a.png")
    sent = []
    exchange = Relay.exchange

    async def seen(self, outgoing):
        sent.append(outgoing.body)
        return await exchange(self, outgoing)

    monkeypatch.setattr(Relay, "exchange", seen)

    assert await held_for(stage, member, {"image": url, "mask": url}, ERASE) == 34_000

    body = json.loads(sent[0])
    assert base64.b64decode(body["image"]) == base64.b64decode(body["mask"]) == content


async def test_what_a_vendor_does_not_take_along_is_refused_before_the_hold(stage, settings):
    settings.UPLOADS_ARE_PUBLIC = "no"
    member = await stage.member(RICH)
    url = await kept(stage, member, film())

    answer = await stage.post(UPSCALE, member, json=upscale(url))

    assert (answer.status, answer.type) == (403, "misconfigured")
    assert "PUBLIC_URL" in answer.json()["message"]
    assert stage.holds(member) == []


async def test_files_too_large_for_one_request_are_refused_before_the_hold(stage, settings):
    settings.UPLOADS_ARE_PUBLIC = "no"
    settings.JSON_BODY_LIMIT_BYTES = 4096
    member = await stage.member()
    url = await kept(stage, member, picture(), name="a.png")

    answer = await stage.post(ERASE, member, json={"image": url, "mask": url})

    assert (answer.status, answer.type) == (413, "body_too_large")
    assert stage.holds(member) == []
