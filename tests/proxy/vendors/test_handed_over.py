"""What vendors take by an upload of their own: in which order, for whose account, what fails.

That the same bytes arrive, at each of these vendors, is seen in `test_files_along.py`.
"""

from __future__ import annotations

import hashlib
import uuid

import pytest
from proxy_stage import in_thread
from sample_calls import file_of, put, sample_of, send
from vendor_calls import RICH

from proxy import along, handing, tasks, vendor_accounts
from proxy.catalogue import STORES
from proxy.vendors import VENDORS, catalogue
from uploads import shelf

HITPAW = "/proxy/hitpaw/api/photo-enhancer"
IMPORT = "/proxy/tripo/v2/openapi/import"
PLACE, STORE = "/hitpaw/api/oss/presign-put", "/hitpaw/uploads/"
STAFF = uuid.uuid4()


@pytest.fixture(autouse=True)
def nobody_fetches_here(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.UPLOADS_ARE_PUBLIC = "no"


async def kept(stage, member, content, name="a.png", kind="image/png"):
    asked = {"file_name": name, "content_type": kind}
    made = (await stage.post("/customers/storage", member, json=asked)).json()
    assert (await stage.ask("PUT", made["upload_url"], data=content)).status == 200
    return made["download_url"]


async def picture_of(stage, member):
    """Return the body of a call that names a picture of the member's."""
    entry = sample_of(HITPAW).entry
    url = await kept(stage, member, file_of("image/png"))
    return put(entry["body"], "img_url", url)


async def asked(stage, member, body):
    return await send(stage, member, sample_of(HITPAW).entry, body=body)


def steps(stage):
    """Return what HitPaw was asked, in its order, without the polls."""
    paths = [each.path for each in stage.vendor.requests("hitpaw")]
    return [path.partition("?")[0] for path in paths if not path.endswith("task-status")]


@pytest.fixture
async def second(stage, settings):
    """Have a second account with HitPaw."""
    platform = stage.application._platform

    def work():
        key = settings.VENDOR_SETTINGS["VENDOR_HITPAW_KEY"]
        vendor_accounts.add("hitpaw", "second", {"KEY": key}, by=STAFF, reason="a test")

    await in_thread(work)
    await platform.vault.renew(platform.books)
    yield
    stage.do("DELETE FROM proxy_vendoraccount")
    await platform.vault.renew(platform.books)


async def test_a_file_goes_to_its_place_once_the_call_is_held_for_and_then_is_named(stage):
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    seen = []

    async def held(*arguments):
        seen.append(stage.wallet(member)[1])
        return await over(*arguments)

    over, handing.over = handing.over, held
    try:
        answer = await asked(stage, member, body)
    finally:
        handing.over = over

    assert answer.status < 300, answer.body
    assert seen == [sample_of(HITPAW).most], "its hold stands before anything is sent"
    place, store, call = steps(stage)[-3:]
    assert (place, call) == (PLACE, "/hitpaw/api/photo-enhancer")
    assert store.startswith(STORE)


async def test_who_has_no_credits_has_nothing_sent(stage):
    member = await stage.member(micros=0)
    body = await picture_of(stage, member)
    before = steps(stage)

    answer = await asked(stage, member, body)

    assert answer.status == 402
    assert steps(stage) == before


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("upload_status=400", 400, "provider_rejected"),
        ("upload_status=401", 403, "provider_disabled"),
        ("upload_status=402", 403, "provider_disabled"),
        ("upload_status=429", 429, "provider_rate_limited"),
        ("upload_status=500", 502, "provider_error"),
        ("upload_status=504", 502, "provider_error"),
        ("upload_nonjson", 502, "provider_error"),
        ("upload_drop", 502, "provider_error"),
        ("upload_cut", 502, "provider_error"),
        ("store_status=403", 502, "provider_error"),
        ("store_status=500", 502, "provider_error"),
        ("store_drop", 502, "provider_error"),
    ],
)
async def test_whatever_goes_wrong_with_a_file_nothing_is_bought(stage, failure, status, type_):
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    before = stage.vendor.counts("hitpaw")["submits"]
    stage.vendor.fail_next("hitpaw", failure)

    answer = await asked(stage, member, body)

    assert (answer.status, answer.type) == (status, type_), answer.body
    assert stage.wallet(member) == (RICH, 0)
    assert [call["outcome"] for call in stage.calls(member)] == ["refused"]
    assert stage.vendor.counts("hitpaw")["submits"] == before
    assert (await asked(stage, member, body)).status < 300, "the next try is a new one"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_an_account_that_is_not_served_gives_way_and_the_next_gets_the_file_anew(
    stage, second, status
):
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    first = len(steps(stage))
    stage.vendor.fail_next("hitpaw", f"upload_status={status}")

    answer = await asked(stage, member, body)

    assert answer.status < 300, answer.body
    told = steps(stage)[first:]
    assert [path for path in told if not path.startswith(STORE)] == [
        PLACE,
        PLACE,
        "/hitpaw/api/photo-enhancer",
    ]


async def test_a_call_that_is_refused_hands_its_files_to_the_next_account(stage, second):
    """The first account took the file, and is out of credit once it is asked for the work."""
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    first = len(steps(stage))
    stage.vendor.fail_next("hitpaw", "status=402")

    answer = await asked(stage, member, body)

    assert answer.status < 300, answer.body
    told = steps(stage)[first:]
    assert told.count(PLACE) == 2
    assert len([path for path in told if path.startswith(STORE)]) == 2
    (call,) = stage.calls(member) or stage.holds(member)
    assert call is not None


async def test_a_place_elsewhere_gets_nothing(stage):
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    stage.vendor.desks["hitpaw"].overlay = {"data": {"upload_url": "http://127.0.0.1:9/x"}}

    answer = await asked(stage, member, body)

    assert (answer.status, answer.type) == (502, "provider_error")
    assert stage.wallet(member) == (RICH, 0)


async def test_a_file_that_is_gone_meanwhile_is_told(stage, monkeypatch):
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)

    def gone(_):
        raise FileNotFoundError

    monkeypatch.setattr(shelf, "opened", gone)

    answer = await asked(stage, member, body)

    assert (answer.status, answer.type) == (404, "not_found")
    assert stage.wallet(member) == (RICH, 0)


async def test_a_hold_that_ended_meanwhile_buys_nothing(stage):
    """Its time was over while the file went: the vendor has the file, and nothing else."""
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    before = stage.vendor.counts("hitpaw")["submits"]
    over = handing.over

    async def late(platform, route, given, account, renew):
        stage.over(member)
        await in_thread(tasks.sweep_holds)
        await over(platform, route, given, account, renew)

    handing.over = late
    try:
        answer = await asked(stage, member, body)
    finally:
        handing.over = over

    assert answer.status == 503
    assert stage.vendor.counts("hitpaw")["submits"] == before
    assert stage.wallet(member) == (RICH, 0)


async def test_what_costs_nothing_is_handed_over_too(stage):
    member = await stage.member(micros=RICH)
    content = file_of("video/mp4") + b"a model"
    url = await kept(stage, member, content, "a.glb", "model/gltf-binary")

    answer = await stage.post(IMPORT, member, json={"url": url, "format": "glb"})

    assert answer.status < 300, answer.body
    assert stage.vendor.requests("tripo")[-1].files == [hashlib.sha256(content).hexdigest()]
    stage.vendor.fail_next("tripo", "upload_status=500")
    refused = await stage.post(IMPORT, member, json={"url": url, "format": "glb"})
    assert (refused.status, refused.type) == (502, "provider_error")


async def test_a_sound_of_heygen_is_an_asset_by_a_name_of_its_own(stage):
    member = await stage.member(micros=RICH)
    sound = file_of("audio/wav", 3)
    url = await kept(stage, member, sound, "a.wav", "audio/wav")
    entry = sample_of("/proxy/heygen/v3/videos").entry
    body = {k: v for k, v in entry["body"].items() if k not in ("script", "voice_id")}

    answer = await send(stage, member, entry, body={**body, "audio_url": url})

    assert answer.status < 300, answer.body
    assert stage.vendor.requests("heygen")[-1].files == [hashlib.sha256(sound).hexdigest()]


async def test_a_file_larger_than_the_vendor_takes_is_refused_before_the_hold(stage, monkeypatch):
    member = await stage.member(micros=RICH)
    body = await picture_of(stage, member)
    how = along.Uploaded("/x", lambda _: {}, ("x",), "x", most_bytes=10)
    monkeypatch.setattr(along, "how_of", lambda *_: how)

    answer = await asked(stage, member, body)

    assert (answer.status, answer.type) == (413, "body_too_large")
    assert stage.holds(member) == []
    assert stage.calls(member) == []


def test_a_vendor_learns_the_ending_of_a_file_and_not_its_name():
    from proxy.inputs import Ours

    def called(key, kind):
        return along.filename(Ours("1", key, kind, 1, None))

    assert called("1/Holiday of Anna.PNG", "image/png") == "input.png"
    assert called("1/secret", "video/mp4") == "input.mp4"
    assert called("1/x.../../etc", "application/x-unheard") == "input"


def test_places_are_looked_for_at_vendors_and_their_stores_only(settings):
    settings.VENDOR_BASE_URL = ""
    hitpaw = catalogue().vendors["hitpaw"]
    assert hitpaw.address() == "https://api-base.hitpaw.com"
    for store in STORES:
        assert hitpaw.may_store(f"https://bucket.{store}/x?signed=1")
    for elsewhere in (
        "https://evil.example/x",
        "https://amazonaws.com.evil.example/x",
        "http://bucket.amazonaws.com/x",
        "https://user@bucket.amazonaws.com/x",
        "https://169.254.169.254/x",
        "ftp://bucket.amazonaws.com/x",
    ):
        assert not hitpaw.may_store(elsewhere)


def test_every_upload_is_at_an_address_of_its_vendors_own():
    found = [
        (vendor.name, how)
        for vendor in VENDORS
        for takes in (vendor.along, *(each.along or {} for each in vendor.operations))
        for how in takes.values()
        if isinstance(how, along.Uploaded)
    ]
    assert {name for name, _ in found} == {
        "beeble", "bria", "heygen", "higgsfield", "hitpaw", "tripo", "wavespeed",
    }  # fmt: skip
    assert all(how.at.startswith("/") for _, how in found)
