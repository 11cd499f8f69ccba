"""Lines pass as they come; the one that says the end is paid for before it is given."""

from __future__ import annotations

import aiohttp
import orjson
import pytest
from aiohttp import web
from proxy_stage import CENT, VENDOR_KEY, answering, check_refusal

from proxy import memory

LINES = "/proxy/sandbox/v1/lines"
RICH = 5_000_000
ACCOUNT = {"error": "Your account acc_77 is out of credits."}


def saying(*said, breaks_off=False):
    """Return a vendor that sends each as a line, or bytes as they are."""

    async def answer(request: web.Request) -> web.StreamResponse:
        sent = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await sent.prepare(request)
        for each in said:
            await sent.write(each if isinstance(each, bytes) else orjson.dumps(each) + b"\n")
        if breaks_off:
            request.transport.abort()
        return sent

    return answer


@pytest.fixture
async def ask(stage, settings):
    """Ask for lines that a vendor says; return the member, the answer and its lines."""

    async def asked(*said, **how):
        member = await stage.member()
        async with answering(saying(*said, **how)) as settings.VENDOR_BASE_URL:
            return member, await stage.post(LINES, member, json={})

    return asked


async def test_what_comes_behind_the_end_is_nobodys(stage, ask):
    member, answer = await ask({"line": 0}, {"line": 9}, {"line": 10})

    assert answer.body == b'{"line":0}\n{"line":9}\n'
    assert stage.wallet(member) == (RICH - CENT, 0)


async def test_the_end_need_not_end_in_a_line_feed_and_lines_may_be_cut_anywhere(stage, ask):
    member, answer = await ask(b'{"li', b'ne":0}', b'\n{"line"', b":9}")

    assert answer.body == b'{"line":0}\n{"line":9}\n'
    assert stage.wallet(member) == (RICH - CENT, 0)


async def test_a_first_line_that_says_no_is_a_refusal(stage, ask):
    member, answer = await ask({"error": "too long"})

    assert (answer.status, answer.type) == (422, "provider_rejected")
    assert "too long" in answer.json()["message"]
    check_refusal(answer)
    assert stage.wallet(member) == (RICH, 0)


async def test_a_later_line_that_says_no_is_the_last_and_costs_nothing(stage, ask):
    member, answer = await ask({"line": 0}, ACCOUNT, {"line": 9})

    first, last = answer.body.splitlines()
    assert orjson.loads(first) == {"line": 0}
    assert list(orjson.loads(last)) == ["error"]
    assert b"acc_77" not in last
    assert stage.wallet(member) == (RICH, 0)
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("failed", 0)
    assert "acc_77" not in call["reason"]


async def test_a_refusals_words_about_our_account_stay_here(stage, ask):
    member, answer = await ask(ACCOUNT)

    assert answer.status == 422
    assert b"acc_77" not in answer.body
    (call,) = stage.calls(member)
    assert "acc_77" not in call["reason"]


@pytest.mark.parametrize("breaks_off", [True, False])
async def test_lines_without_an_end_broke_off_and_cost_nothing(stage, settings, breaks_off, caplog):
    member = await stage.member()
    vendor = saying({"line": 0}, {"line": 1}, breaks_off=breaks_off)
    async with answering(vendor) as settings.VENDOR_BASE_URL:
        with pytest.raises(aiohttp.ClientError):
            await stage.post(LINES, member, json={})

    assert stage.wallet(member) == (RICH, 0)
    assert not caplog.records  # It is no failure of ours.


async def test_a_line_that_goes_on_counts_in_the_memory_of_bodies(stage, ask, settings):
    settings.BODY_MEMORY_BYTES = 2 << 20
    member, answer = await ask(*[b"x" * 100_000] * 20, {"line": 9})

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    assert stage.wallet(member) == (RICH, 0)
    assert memory.held.of == {}


async def test_a_secret_in_a_line_is_covered(stage, ask):
    _, answer = await ask({"line": 0, "key": VENDOR_KEY}, {"line": 9})

    assert VENDOR_KEY.encode() not in answer.body
