"""Several accounts with a vendor: which one a call goes under, and when it is sent under another.

The vendor stands on a raw socket. Whoever asks first is treated as the test says, the next is
served: so it shows what is sent twice.
"""

from __future__ import annotations

import asyncio
import io
import re
import uuid

import aiohttp
import orjson
import pytest
from proxy_stage import ECHO, IMAGE, ULTRA, ULTRA_MICROS, eventually, in_thread
from wire_vendor import OK, sized, vendor_that

from proxy import vendor_accounts
from proxy.credentials import Account
from proxy.vault import RESTING, Vault
from proxy.vendors import catalogue

FIRST, SECOND, THIRD, FOURTH = (f"secret-of-account-{n}" for n in range(4))
DONE = sized(b'{"usage":{"units":1}}')
STAFF = uuid.uuid4()
SECRET = re.compile(rb"secret-of-account-\d")


def refusing(status, body=b"{}", more=b""):
    head = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\n" % status
    return head + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Far:
    """What the vendor was sent, and what it says: by the order in which accounts come."""

    def __init__(self, *said):
        self.said = list(said)
        self.keys = []
        self.bodies = []

    async def __call__(self, vendor, visit):
        while True:
            try:
                whole = await visit.request()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            self.keys.append(SECRET.search(whole)[0].decode())
            self.bodies.append(whole.partition(b"\r\n\r\n")[2])
            said = self.said.pop(0) if self.said else DONE
            if said is None:
                visit.reset()
                return
            if callable(said):
                await said(visit)
                return
            await visit.say(said)
            if not said.endswith((b"}", b">")):  # It is not whole.
                visit.hang_up()
                return


@pytest.fixture
async def written(stage, settings):
    """Write an account, and have this process know it; none is left behind."""
    platform = stage.application._platform

    async def write(vendor, name, key=SECOND, **more):
        def work():
            vendor_accounts.add(vendor, name, {"KEY": key}, by=STAFF, reason="a test")
            for verb, value in more.items():
                getattr(vendor_accounts, verb)(vendor, name, value, by=STAFF, reason="a test")

        await in_thread(work)
        await platform.vault.renew(platform.books)

    settings.VENDOR_SETTINGS = {"VENDOR_SANDBOX_KEY": FIRST, "VENDOR_BFL_KEY": FIRST}
    write.platform = platform
    yield write
    for table in ("proxy_vendoraccount", "proxy_vendorswitch"):
        stage.do(f"DELETE FROM {table}")


async def moved(stage, settings, far, path=ECHO, **request):
    """Make a call against that far side; return its answer."""
    member = await stage.member()
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        return member, await stage.post(path, member, **(request or {"json": {"prompt": "x"}}))


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_what_one_account_is_refused_the_next_one_does(stage, settings, written, status):
    await written("sandbox", "second")
    far = Far(refusing(status))

    member, answer = await moved(stage, settings, far)

    assert (answer.status, answer.json()) == (200, {"usage": {"units": 1}})
    assert sorted(far.keys) == [FIRST, SECOND]
    assert far.bodies[0] == far.bodies[1] == b'{"prompt": "x"}'
    assert stage.wallet(member) == (5_000_000 - 1_000, 0)
    (call,) = stage.calls(member)
    used = {FIRST: "default", SECOND: "second"}[far.keys[1]]
    assert (call["outcome"], call["facts"]["account"]) == ("delivered", used)


async def test_what_one_process_is_refused_all_let_rest_and_say_it_once(stage, settings, written):
    """Two further processes know of a 402 within one reading, and of the mending after it."""
    await written("sandbox", "second")
    platform = written.platform
    vendor = catalogue().vendors["sandbox"]
    operation = next(each for each in vendor.operations if each.path == "sandbox/v1/echo")
    others = [Vault(), Vault()]
    far = Far(*[refusing(402)] * 2)
    told = "SELECT xmin::text, value FROM shared_cache WHERE key = %s"

    _, answer = await moved(stage, settings, far)
    assert (answer.status, answer.type) == (403, "provider_disabled"), "both are refused"
    await eventually(lambda: len(stage.row(told, RESTING)["value"]) == 2)
    before = stage.row(told, RESTING)
    await moved(stage, settings, Far(refusing(402), refusing(402)))
    await asyncio.sleep(0.2)

    assert stage.row(told, RESTING) == before, "no call writes it anew"
    for other in others:
        await other.renew(platform.books)
        assert all(other.is_resting(each) for each in other.in_order(vendor, operation))
    await written("sandbox", "second", THIRD)
    await others[0].renew(platform.books)
    assert not any(others[0].is_resting(each) for each in others[0].in_order(vendor, operation))
    assert stage.rows(told, RESTING) == []


async def test_a_rest_that_others_tell_of_is_over_when_they_say(stage, written):
    await written("sandbox", "second")
    platform, other = written.platform, Vault()
    account = Account("sandbox", {"KEY": SECOND}, frozenset(), "second")

    await platform.vault.tell(platform.books, account, 0.2)
    await other.renew(platform.books)
    assert other.is_resting(account)
    await asyncio.sleep(0.25)

    assert not other.is_resting(account)
    await other.renew(platform.books)
    assert not other.is_resting(account)


NEVER_TWICE = {
    "it hung up after it had read": None,
    "it broke off in its head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "it broke off in its body": OK + b"Content-Length: 999\r\n\r\n{",
    "it broke off a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
    "it said nothing that is JSON": sized(b"<html>"),
    "it was done without a word": b"HTTP/1.1 204 Done\r\n\r\n",
    "a gateway gave up": refusing(504),
    "it failed": refusing(500),
    "it did not take the input": refusing(422),
    "it is no HTTP": b"hello\r\n\r\n",
    "it moved": refusing(303, more=b"Location: http://127.0.0.1:1/\r\n"),
    "there is too much of its head": OK + b"X: " + b"y" * (1 << 20),
}


@pytest.mark.parametrize("said", NEVER_TWICE.values(), ids=NEVER_TWICE)
async def test_nothing_else_is_ever_sent_again(stage, settings, written, said):
    await written("sandbox", "second")
    await written("sandbox", "third", THIRD)
    far = Far(said)

    member, answer = await moved(stage, settings, far)
    await asyncio.sleep(0.1)

    assert answer.status in (422, 502)
    assert len(far.keys) == 1, far.keys
    assert stage.spent(member) == 0


async def test_an_account_that_took_the_work_and_broke_off_is_the_only_one(
    stage, settings, written
):
    """A 200 that is cut, on its way through: nothing goes to another, though nothing was given."""

    async def cut(visit):
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n")
        visit.hang_up()

    await written("sandbox", "second")
    far = Far(cut)

    member, answer = await moved(stage, settings, far, IMAGE)

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert len(far.keys) == 1
    assert stage.spent(member) == 0


async def test_tries_are_bounded_and_each_account_has_one(stage, settings, written):
    for name, key in (("second", SECOND), ("third", THIRD), ("fourth", FOURTH)):
        await written("sandbox", name, key)
    far = Far(*[refusing(402)] * 9)

    member, answer = await moved(stage, settings, far)

    assert (answer.status, answer.type) == (403, "provider_disabled")
    assert len(far.keys) == len(set(far.keys)) == 3
    assert [call["outcome"] for call in stage.calls(member)] == ["refused"]


async def test_who_failed_rests_and_is_told_of_once(stage, settings, written):
    await written("sandbox", "second")
    far = Far(refusing(402))

    await moved(stage, settings, far)
    bad, good = far.keys
    for _ in range(5):
        await moved(stage, settings, far)

    assert far.keys[2:] == [good] * 5
    name = {FIRST: "default", SECOND: "second"}[bad]
    row = stage.row(
        "SELECT sentence FROM credits_finding WHERE key = %s", f"account:sandbox:{name}"
    )
    assert "402" in row["sentence"]
    assert bad not in row["sentence"]


async def test_what_streams_through_is_there_once(stage, settings, written):
    await written("sandbox", "second")
    far = Far(refusing(402))

    member = await stage.member()
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        answer = await stage.post(
            "/proxy/sandbox/v1/upload", member, data=b"x" * 1000,
            headers={"Content-Type": "application/octet-stream"},
        )  # fmt: skip

    assert answer.status == 403
    assert len(far.keys) == 1


async def test_a_form_is_written_anew_for_the_next_account(stage, settings, written):
    """Also the file that lies on disk, and whatever the first exchange still reads of it."""
    settings.VENDOR_SETTINGS = {"VENDOR_RODIN_KEY": FIRST}
    await written("rodin", "second")
    said = {"uuid": "u-1", "jobs": {"subscription_key": "s-1", "uuids": ["u-2"]}, "error": None}
    far = Far(refusing(401), sized(orjson.dumps(said)))
    picture = bytes(range(256)) * (2 << 12)
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("prompt", "a fox")
    form.add_field("tier", "Regular")
    form.add_field("images", io.BytesIO(picture), filename="a.png", content_type="image/png")

    member, answer = await moved(
        stage, settings, far, "/proxy/rodin/api/v2/rodin", data=form
    )  # fmt: skip

    assert answer.status == 200, answer.body
    assert sorted(far.keys) == [FIRST, SECOND]
    assert all(picture in body for body in far.bodies)
    job = stage.row("SELECT account FROM proxy_job WHERE workspace_id = %s", member.workspace)
    assert job["account"] == {FIRST: "default", SECOND: "second"}[far.keys[1]]


async def test_a_job_stays_with_the_account_that_took_it(stage, settings, written):
    """Its polls go there alone, though it gets no new calls, and though others would answer."""
    await written("bfl", "second")
    await in_thread(
        lambda: vendor_accounts.disable("bfl", "default", by=STAFF, reason="no more credit")
    )
    platform = written.platform
    await platform.vault.renew(platform.books)
    made = orjson.dumps({"id": "job-of-staff-1", "polling_url": "x"})
    ended = {
        "id": "job-of-staff-1",
        "status": "Ready",
        "result": {"sample": "http://127.0.0.1:1/a.png"},
    }
    far = Far(sized(made), sized(orjson.dumps(ended)))
    member = await stage.member()
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        answer = await stage.post(ULTRA, member, json={"prompt": "x"})
        assert answer.status == 200, answer.body
        await in_thread(lambda: _turn_round("bfl"))
        await platform.vault.renew(platform.books)
        polled = await stage.get(answer.json()["polling_url"])

    assert polled.json()["status"] == "Ready"
    assert far.keys == [SECOND, SECOND]
    assert stage.spent(member) == ULTRA_MICROS


def _turn_round(vendor):
    vendor_accounts.enable(vendor, "default", by=STAFF, reason="paid")
    vendor_accounts.disable(vendor, "second", by=STAFF, reason="a pause")


async def test_weights_share_calls(stage, settings, written):
    await written("sandbox", "second", weigh=300)
    far = Far()
    member = await stage.member()
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        for n in range(80):
            answer = await stage.post(ECHO, member, json={"prompt": f"{n}"})
            assert answer.status == 200

    assert 40 <= far.keys.count(SECOND) <= 77, "about three of four"


async def test_what_staff_write_takes_effect_without_a_restart(stage, settings, written):
    """The process reads it by itself, within seconds, and asks nothing for each call."""
    settings.VENDOR_SETTINGS = {}
    member = await stage.member()
    refused = await stage.post(ECHO, member, json={"prompt": "x"})
    assert (refused.status, refused.type) == (403, "provider_disabled")

    await in_thread(
        lambda: vendor_accounts.add("sandbox", "first", {"KEY": SECOND}, by=STAFF, reason="new")
    )
    known = written.platform.vault
    await eventually(lambda: known.has_written("sandbox") or None)
    far = Far()
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        answer = await stage.post(ECHO, member, json={"prompt": "x"})

    assert answer.status == 200
    assert far.keys == [SECOND]


async def test_a_secret_is_sealed_in_its_row_and_covered_in_answers(stage, settings, written):
    await written("sandbox", "second", "a-secret-of-account-9")
    settings.VENDOR_SETTINGS = {}
    rows = stage.rows("SELECT * FROM proxy_vendoraccount")
    events = stage.rows("SELECT * FROM audit_event WHERE target = 'sandbox/second'")
    far = Far(sized(b'{"usage":{"units":1},"you":"a-secret-of-account-9"}'))

    _, answer = await moved(stage, settings, far)

    assert b"secret-of-account" not in answer.body
    assert answer.json()["you"] == "*" * len("a-secret-of-account-9")
    assert "secret-of-account" not in f"{rows}{events}"
    assert events


@pytest.mark.parametrize("lines", [0, 1])
async def test_lines_move_on_until_the_vendor_works(stage, settings, written, lines):
    """A first line may say that the account has no credit; after another it is too late."""
    settings.VENDOR_SETTINGS = {"VENDOR_SONILO_KEY": FIRST}
    await written("sonilo", "second")
    begun = orjson.dumps({"type": "title", "title": "Piano"}) + b"\n"
    error = orjson.dumps({"type": "error", "code": "trial_exhausted", "message": "no"}) + b"\n"
    body = begun * lines + error
    far = Far(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body,
        refusing(422),
    )
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("prompt", "calm piano")
    form.add_field("duration", "30")

    member, _ = await moved(stage, settings, far, "/proxy/sonilo/t2m/generate", data=form)

    assert len(far.keys) == len(set(far.keys)) == (1 if lines else 2)
    assert stage.spent(member) == 0


async def test_words_inside_a_200_move_a_call_too(stage, settings, written):
    settings.VENDOR_SETTINGS = {"VENDOR_MINIMAX_KEY": FIRST}
    await written("minimax", "second")
    said = {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    made = {"task_id": "task-that-moved", "base_resp": {"status_code": 0, "status_msg": "success"}}
    far = Far(sized(orjson.dumps(said)), sized(orjson.dumps(made)))
    clip = {"model": "MiniMax-Hailuo-02", "prompt": "waves", "duration": 6, "resolution": "768P"}

    _, answer = await moved(
        stage, settings, far, "/proxy/minimax/video_generation", json=clip
    )  # fmt: skip

    assert (answer.status, answer.json()["task_id"]) == (200, "task-that-moved")
    assert sorted(far.keys) == [FIRST, SECOND]
    assert b"insufficient" not in answer.body


async def test_what_is_free_moves_on_too_and_no_further(stage, settings, written):
    await written("sandbox", "second")
    done, broken = Far(refusing(429)), Far(refusing(500))

    _, answer = await moved(stage, settings, done, "/proxy/sandbox/v1/free")
    _, failed = await moved(stage, settings, broken, "/proxy/sandbox/v1/free")

    assert (answer.status, failed.status) == (200, 502)
    assert sorted(done.keys) == [FIRST, SECOND]
    assert len(broken.keys) == 1
