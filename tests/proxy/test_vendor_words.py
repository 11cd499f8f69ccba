"""What a vendor says is cleaned, covered, or not believed before a member reads or pays it."""

from __future__ import annotations

import asyncio
import uuid

import orjson
import pytest
from aiohttp import web
from proxy_stage import ECHO, IMAGE, ULTRA, VENDOR_KEY, answering, check_refusal

from proxy import memory
from proxy.credentials import Account, Redactor

FLUX2 = "/proxy/bfl/flux-2-pro/generate"
FLUX3 = "/proxy/bfl/v1/flux-3-video"


def job():
    """Return a submit's answer: each job has an id of its own."""
    return {"id": uuid.uuid4().hex}


def vendor(submit=None, poll=None):
    """Return a vendor that answers submits and polls with these."""

    async def answer(request: web.Request) -> web.StreamResponse:
        said = submit if request.method == "POST" else poll
        return said() if callable(said) else web.json_response(said)

    return answer


async def test_a_failed_jobs_words_about_our_account_stay_here(stage, settings):
    failed = {
        "id": "j",
        "status": "Error",
        "details": {
            "reason": "Your account acc_77 is out of credits. Top up at the billing page.",
            "field": "prompt: too long",
        },
    }
    member = await stage.member()
    async with answering(vendor(job(), failed)) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        polled = await stage.get(url)

    assert polled.json()["status"] == "Error"
    assert b"acc_77" not in polled.body
    assert b"billing" not in polled.body
    assert polled.json()["details"]["field"] == "prompt: too long"
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize("word", ["Pending", "Generating", "Error", "Content Moderated"])
async def test_what_is_not_paid_for_is_not_in_any_answer(stage, settings, word):
    said = {"id": "j", "status": word, "result": {"sample": "https://x.bfl.ai/part.png"}}
    member = await stage.member()
    async with answering(vendor(job(), said)) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        answers = [await stage.get(url) for _ in range(2)]

    ended = word not in ("Pending", "Generating")
    for polled in answers:
        assert polled.json()["status"] == ("Error" if ended else "Pending")
        assert b"part.png" not in polled.body
    assert stage.spent(member) == 0


async def test_what_runs_says_nothing_of_our_account(stage, settings):
    said = {"id": "j", "status": "Pending", "details": "The account acc_77 is low on credits"}
    member = await stage.member()
    async with answering(vendor(job(), said)) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        polled = await stage.get(url)
    assert polled.json()["status"] == "Pending"
    assert b"acc_77" not in polled.body


async def test_work_that_is_elsewhere_was_done(stage, settings):
    """A 303 answers a POST that made something: no client is told to try again."""

    def elsewhere() -> web.Response:
        return web.Response(status=303, headers={"Location": "/made/1"})

    member = await stage.member()
    async with answering(vendor(elsewhere)) as settings.VENDOR_BASE_URL:
        answer = await stage.post(IMAGE, member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert stage.wallet(member)[1] > 0, "what it may have cost stays held"


@pytest.mark.parametrize("result", [None, {}, "", []])
async def test_a_ready_job_without_a_result_is_not_paid_for(stage, settings, result):
    said = {"id": "j", "status": "Ready", "result": result}
    member = await stage.member()
    async with answering(vendor(job(), said)) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        polled = await stage.get(url)
    assert polled.json()["status"] == "Error"
    assert stage.wallet(member) == (5_000_000, 0)


async def test_newer_status_words_read_as_pending(stage, settings):
    member = await stage.member()
    said = {"id": "j", "status": "Reasoning", "progress": 0.2}
    async with answering(vendor(job(), said)) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        polled = await stage.get(url)
    assert polled.json() == {**said, "status": "Pending"}


@pytest.mark.parametrize("path", [ECHO, IMAGE])
async def test_a_credential_that_the_vendor_echoes_is_covered(stage, settings, path):
    def echo() -> web.Response:
        kind = "application/json" if path == ECHO else "image/png"
        body = orjson.dumps({"usage": {"units": 1}, "you": f"Bearer {VENDOR_KEY}"})
        return web.Response(body=body, content_type=kind)

    member = await stage.member()
    async with answering(vendor(echo)) as settings.VENDOR_BASE_URL:
        answer = await stage.post(path, member, json={})

    assert answer.status == 200
    assert VENDOR_KEY.encode() not in answer.body
    assert b"*" * len(VENDOR_KEY) in answer.body
    assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.parametrize("path", [ECHO, IMAGE, ULTRA])
async def test_a_credential_that_a_header_echoes_is_covered(stage, settings, path):
    said = {"ETag": f'"{VENDOR_KEY}"', "X-Request-Id": f"r-{VENDOR_KEY}"}

    def echo() -> web.Response:
        kind = "image/png" if path == IMAGE else "application/json"
        body = orjson.dumps({**job(), "usage": {"units": 1}})
        return web.Response(body=body, content_type=kind, headers=said)

    member = await stage.member()
    async with answering(vendor(echo)) as settings.VENDOR_BASE_URL:
        answer = await stage.post(path, member, json={"prompt": "x"})

    covered = "*" * len(VENDOR_KEY)
    assert answer.status == 200
    assert answer.headers["etag"] == f'"{covered}"'
    assert VENDOR_KEY not in str(answer.headers)
    table = "proxy_job" if path == ULTRA else "usage_call"
    sql = f"SELECT vendor_request_id FROM {table} WHERE workspace_id = %s"
    assert stage.row(sql, member.workspace)["vendor_request_id"] == f"r-{covered}"


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_secret_that_is_cut_in_two_is_covered_too(cut):
    account = Account("x", {"KEY": VENDOR_KEY})
    body = f"--{VENDOR_KEY}--{VENDOR_KEY[:-1]}?".encode()
    redactor = Redactor(account)

    seen = redactor.feed(body[:cut]) + redactor.feed(body[cut:]) + redactor.end()

    assert seen == body.replace(VENDOR_KEY.encode(), b"*" * len(VENDOR_KEY))


def test_what_is_no_beginning_of_a_secret_passes_at_once():
    redactor = Redactor(Account("x", {"KEY": VENDOR_KEY}))
    assert redactor.feed(b"a line\n") == b"a line\n"
    assert redactor.end() == b""


@pytest.mark.parametrize("status", [204, 205, 206])
@pytest.mark.parametrize("path", [ECHO, IMAGE, ULTRA])
async def test_a_part_or_nothing_is_no_delivery(stage, settings, path, status):
    def part() -> web.Response:
        body = b"" if status in (204, 205) else b'{"id": "j", "usage": {"units": 1}}'
        return web.Response(status=status, body=body, content_type="application/json")

    member = await stage.member()
    async with answering(vendor(part)) as settings.VENDOR_BASE_URL:
        answer = await stage.post(path, member, json={"prompt": "x"})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize(("status", "said"), [(302, 502), (303, 422), (600, 422), (999, 422)])
async def test_only_what_says_that_nothing_was_done_is_tried_again(stage, settings, status, said):
    member = await stage.member()
    async with answering(vendor(lambda: web.Response(status=status))) as settings.VENDOR_BASE_URL:
        answer = await stage.post(ULTRA, member, json={"prompt": "x"})
    assert answer.status == said
    assert len(stage.holds(member)) == (said == 422)


@pytest.mark.parametrize("cost", [999_999_999, 1e300, 10**30])
async def test_a_cost_that_no_call_can_have_is_a_finding_and_not_revenue(stage, settings, cost):
    member = await stage.member()
    ready = {"id": "j", "status": "Ready", "result": {"sample": "https://x.bfl.ai/1"}}
    picture = "iVBORw0KGgo="
    async with answering(vendor({**job(), "cost": cost}, ready)) as settings.VENDOR_BASE_URL:
        made = await stage.post(FLUX2, member, json={"prompt": "x", "input_image": picture})
        await stage.get(made.json()["polling_url"])

    assert stage.spent(member) == 45_000, "our own rule: one megapixel for the reference"
    shortfalls = stage.rows(
        "SELECT 1 FROM credits_entry WHERE kind = 'shortfall' AND key = %s",
        f"shortfall:{made.headers['call-id']}",
    )
    assert shortfalls == []
    (call,) = stage.calls(member)
    found = stage.rows("SELECT * FROM credits_finding WHERE key = %s", f"absurd:bfl:{call['id']}")
    assert [row["kind"] for row in found] == (["vendor"] if cost < 10**12 else [])


async def test_a_file_that_cannot_be_measured_is_charged_by_the_minimum_and_found(stage, settings):
    member = await stage.member(micros=10_000_000)
    ready = {"id": "j", "status": "Ready", "result": {"sample": "https://odd.bfl.ai/v.mp4"}}
    asked = {"prompt": "x", "mode": "t2v", "duration": "auto"}
    async with answering(vendor(job(), ready)) as settings.VENDOR_BASE_URL:
        made = await stage.post(FLUX3, member, json=asked)
        await stage.get(made.json()["polling_url"])

    assert stage.spent(member) == 5 * 243_100
    (found,) = stage.rows("SELECT * FROM credits_finding WHERE key LIKE 'unmeasured:bfl:odd%%'")
    assert found["kind"] == "vendor"
    assert "minimum" in found["sentence"]


@pytest.mark.parametrize(
    "sample", ["https://[bad", "https://a\x00b/x", "https://a b/", "//", 7, ""]
)
async def test_an_address_that_is_none_is_no_reason_not_to_charge(stage, settings, sample):
    member = await stage.member(micros=10_000_000)
    ready = {"id": "j", "status": "Ready", "result": {"sample": sample}}
    asked = {"prompt": "x", "mode": "t2v", "duration": "auto"}
    async with answering(vendor(job(), ready)) as settings.VENDOR_BASE_URL:
        made = await stage.post(FLUX3, member, json=asked)
        polled = await stage.get(made.json()["polling_url"])

    assert (polled.status, polled.json()["result"]["sample"]) == (200, sample)
    assert stage.spent(member) == 5 * 243_100
    assert stage.wallet(member) == (10_000_000 - 5 * 243_100, 0)


@pytest.mark.parametrize("image", [[], False, 0, {}, 1.5, ["x"]])
async def test_a_reference_that_is_no_image_is_refused(stage, image):
    member = await stage.member()
    answer = await stage.post(FLUX2, member, json={"prompt": "x", "input_image": image})
    assert (answer.status, answer.type) == (400, "invalid_request")
    assert "input_image" in answer.json()["message"]
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("bfl")["submits"] == 0


async def test_an_answer_beyond_its_operations_limit_is_not_gathered(stage, settings, monkeypatch):
    member = await stage.member()
    big = {"usage": {"units": 1}, "pad": "x" * 2000}
    async with answering(vendor(big)) as settings.VENDOR_BASE_URL:
        await _with_a_small_limit(stage, member, monkeypatch)
    assert stage.wallet(member) == (5_000_000, 0)


async def _with_a_small_limit(stage, member, monkeypatch):
    import dataclasses

    from proxy.vendors import catalogue

    routes = catalogue()._exact
    route = routes["POST", ECHO]
    small = dataclasses.replace(route.operation, answer_limit_bytes=1000)
    monkeypatch.setitem(routes, ("POST", ECHO), dataclasses.replace(route, operation=small))
    answer = await stage.post(ECHO, member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown")


@pytest.mark.parametrize("path", [ECHO, "/proxy/sandbox/v1/free"])
async def test_an_answer_that_never_finds_room_is_lost_and_nobody_asks_for_it_again(
    stage, settings, path
):
    """The vendor did the work: a status that clients repeat would have it paid twice."""
    settings.BODY_MEMORY_BYTES = 400_000
    member = await stage.member()
    big = {"usage": {"units": 1}, "pad": "x" * 150_000}
    async with answering(vendor(big)) as settings.VENDOR_BASE_URL:
        answer = await stage.post(path, member, json={})

    assert (answer.status, answer.type) == (422, "outcome_unknown"), "more than the share of one"
    check_refusal(answer)
    assert stage.wallet(member) == (5_000_000, 0)
    assert memory.held.taken == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_waits_for_room_that_others_have(stage, settings, chunked):
    settings.BODY_MEMORY_BYTES = 400_000
    member = await stage.member()
    big = orjson.dumps({"usage": {"units": 1}, "pad": "x" * 90_000})

    async def answer(request: web.Request) -> web.StreamResponse:
        told = web.Response(body=big, content_type="application/json")
        if chunked:
            told.enable_chunked_encoding()
        return told

    others = [memory.held.reserve(f"other {n}", 99_000) for n in range(4)]
    async with answering(answer) as settings.VENDOR_BASE_URL:
        asked = asyncio.create_task(stage.post(ECHO, member, json={}))
        await asyncio.sleep(0.3)
        assert not asked.done()
        others[0].release()
        given = await asked

    assert (given.status, given.body) == (200, big)
    assert stage.wallet(member) == (5_000_000 - 1000, 0)
    for other in others:
        other.release()
    assert memory.held.taken == 0


@pytest.mark.parametrize(
    "said", ["application/json; charset=utf-7", "application/x-www-form-urlencoded", "text/plain"]
)
async def test_a_vendor_reads_a_body_as_what_it_was_priced_as(stage, settings, said):
    """As JSON it was priced: as a form, or in another charset, it might say something else."""
    member, seen = await stage.member(), []

    async def vendor(request):
        seen.append((request.headers["content-type"], await request.read()))
        return web.json_response({"id": uuid.uuid4().hex, "polling_url": "https://x.bfl.ai/v1"})

    body = b'{"prompt": "a fox"}'
    async with answering(vendor) as settings.VENDOR_BASE_URL:
        answer = await stage.post(ULTRA, member, data=body, headers={"Content-Type": said})

    assert answer.status == 200
    assert seen == [("application/json", body)]
