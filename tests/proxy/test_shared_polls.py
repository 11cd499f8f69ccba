"""However many ask for a job, in however many processes, the vendor is asked once at a time."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from proxy_stage import ULTRA, ULTRA_MICROS, answering, in_thread, serving

from apikeys import keys
from common.errors import RateLimited
from proxy import looking, pollers, recent, tasks
from proxy.dialect import Said

PENDING = {"status": "Pending", "result": None}


class Vendor:
    """Takes one job; says what it is told to say of it, and counts how often it was asked."""

    def __init__(self) -> None:
        self.polls = 0
        self.job = uuid.uuid4().hex
        self.says: object = PENDING
        self.seconds = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response({"id": self.job})
        self.polls += 1
        await asyncio.sleep(self.seconds)
        return web.json_response(self.says)


@pytest.mark.slow
async def test_thirty_polls_by_token_are_one_question(stage, settings):
    vendor, member = Vendor(), await stage.member()
    async with answering(vendor.answer) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]

        polled = await asyncio.gather(*(stage.get(url) for _ in range(30)))

        assert {answer.json()["status"] for answer in polled} == {"Pending"}
        assert vendor.polls == 1
        await asyncio.sleep(1.1)
        assert (await stage.get(url)).json()["status"] == "Pending"
        assert vendor.polls == 2, "the interval of this vendor is a second"


async def test_another_process_asks_no_second_question(stage, settings):
    from config.asgi import Application

    vendor, member = Vendor(), await stage.member()
    async with answering(vendor.answer) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        async with serving(Application()) as (host, port):
            there = url.replace(stage.url, f"http://{host}:{port}")
            vendor.says = {**PENDING, "progress": 0.5}
            first = await stage.get(url)

            second = await stage.get(there)

            assert first.json() == second.json() == vendor.says, (
                "what one was told, the other knows"
            )
            assert vendor.polls == 1
            keys.used._seen.clear()  # As the stage does: no thread shall write it at the end.


async def test_who_polls_without_a_credential_does_so_only_so_often(stage, settings, monkeypatch):
    """With a token, or with what might be one; who shows a key polls on."""
    monkeypatch.setattr(pollers, "by_token", pollers.Pollers())
    monkeypatch.setattr(pollers, "AT_ONCE", 5)
    monkeypatch.setattr(pollers, "PER_SECOND", 20)
    vendor, member = Vendor(), await stage.member()
    async with answering(vendor.answer) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]
        wrong = url[:-1] + ("0" if url[-1] != "0" else "1")

        polled = [await stage.get(each) for each in (url, wrong) * 10]

        assert [answer.status for answer in polled[:5]] == [200, 404, 200, 404, 200]
        refused = [answer for answer in polled if answer.status == 429]
        assert len(refused) >= 10
        assert (refused[0].type, refused[0].headers["retry-after"]) == ("rate_limited", "1")
        own = url.partition("&token=")[0]
        assert {(await stage.get(own, member)).status for _ in range(10)} == {200}
        await asyncio.sleep(0.1)
        assert (await stage.get(url)).status == 200, "after a while it may again"


def test_no_crowd_of_addresses_is_remembered_without_end(monkeypatch):
    monkeypatch.setattr(pollers, "REMEMBERED", 3)
    monkeypatch.setattr(pollers, "AT_ONCE", 1)
    monkeypatch.setattr(pollers, "PER_SECOND", 0)
    polls = pollers.Pollers()
    for address in "abcd":
        polls.check(address)

    assert len(polls._left) == 3
    with pytest.raises(RateLimited):
        polls.check("d")
    polls.check("a")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40)), max_size=60))
def test_what_vendors_said_lately_has_a_bound(said):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "REMEMBERED", 4)
        patch.setattr(recent, "REMEMBERED_BYTES", 100)
        lately, newest = recent.Recent(), {}
        for job, size in said:
            newest[job] = Said(200, b"x" * size)
            lately.note(job, newest[job])
            assert lately.fresh(job, 60) is newest[job]

        kept = {job: each for job in newest if (each := lately.fresh(job, 60)) is not None}
        assert all(each is newest[job] for job, each in kept.items())
        assert len(kept) <= 4
        assert sum(len(each.body) for each in kept.values()) == lately._size <= 100


async def test_a_poll_that_comes_while_another_is_under_way_waits_for_its_answer(stage, settings):
    vendor, member = Vendor(), await stage.member()
    vendor.seconds = 0.3
    vendor.says = {"status": "Ready", "result": {"sample": "https://x.bfl.ai/1"}}
    async with answering(vendor.answer) as settings.VENDOR_BASE_URL:
        url = (await stage.post(ULTRA, member, json={"prompt": "x"})).json()["polling_url"]

        polled = await asyncio.gather(*(stage.get(url) for _ in range(5)))

        assert {answer.json()["status"] for answer in polled} == {"Ready"}
        assert vendor.polls == 1
        assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)


async def test_a_silent_vendor_holds_the_follower_for_a_bounded_time(stage, settings, monkeypatch):
    """Its jobs stay due; a neighbour's job is settled in the same round."""
    monkeypatch.setattr(looking, "ASK_SECONDS", 0.5)
    silent, member = await stage.member(), await stage.member()
    vendor = Vendor()
    vendor.seconds = 30
    async with answering(vendor.answer) as settings.VENDOR_BASE_URL:
        await stage.post(ULTRA, silent, json={"prompt": "x"})
    settings.VENDOR_BASE_URL = stage.vendor.url + "/{vendor}"
    await stage.post(ULTRA, member, json={"prompt": "x"})
    async with answering(vendor.answer) as base:
        stage.do(
            "UPDATE proxy_job SET poll_url = %s WHERE workspace_id = %s", base, silent.workspace
        )
        for each in (silent, member):
            stage.due(each)
        monkeypatch.setattr("proxy.catalogue.Vendor.may_sign", lambda *_: True)
        began = time.monotonic()

        await in_thread(tasks.follow_jobs)

        assert time.monotonic() - began < 25
        assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)
        assert stage.wallet(silent) == (5_000_000, ULTRA_MICROS)
        (job,) = stage.rows(
            "SELECT * FROM proxy_job WHERE workspace_id = %s AND next_poll_at > now()"
            " + interval '30 seconds'",
            silent.workspace,
        )
        assert job["outcome"] == "", "it is asked again, once its lease is over"
    stage.do("DELETE FROM proxy_job WHERE workspace_id = %s", silent.workspace)
