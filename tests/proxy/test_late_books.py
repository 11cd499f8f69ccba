"""The books are away just when a vendor's result is to be written: it is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web
from config.asgi import Application
from proxy_stage import (
    CENT,
    ECHO,
    IMAGE,
    STREAM,
    ULTRA,
    ULTRA_MICROS,
    VENDOR_KEY,
    Answer,
    Stage,
    answering,
    check_refusal,
    eventually,
    serving,
)

from apikeys import keys
from common.errors import Unavailable
from proxy import late, replay

BODY = b'{"prompt": "a lighthouse", "seed": 5}'
LARGE = STREAM + "?bytes=1500000"
DELIVERIES = [
    pytest.param(IMAGE, id="streamed"),
    pytest.param(LARGE, id="streamed-to-a-file"),
    pytest.param(ECHO, id="whole"),
    pytest.param(ULTRA, id="job"),
]


class Switch:
    """Lets no result into the books until they are `back`; new calls still come in."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tried = asyncio.Event()
        self.loses_answers = False
        """Whether what is asked takes effect all the same."""
        self._away = True
        self._monkeypatch = monkeypatch
        books = stage.application._platform.books
        for lane in (books._settle, books._accept):
            monkeypatch.setattr(lane, "ask", self._before(lane.ask))

    def _before(self, ask: Any) -> Any:
        async def asked(what: Any) -> Any:
            if self._away and self.loses_answers:
                await ask(what)
            self._tried.set()
            if self._away:
                raise Unavailable("The books are away.")
            return await ask(what)

        return asked

    async def next_try(self) -> None:
        """Wait until a result is brought to the books once more."""
        self._tried.clear()
        await asyncio.wait_for(self._tried.wait(), 10)

    def patience(self, seconds: float) -> None:
        self._monkeypatch.setattr(late, "LATE_SECONDS", seconds)

    def back(self) -> None:
        """The books are back, and there is time enough to write what is owed."""
        self.patience(30)
        self._away = False


@pytest.fixture
async def books(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Switch]:
    switch = Switch(stage, monkeypatch)
    switch.patience(0.05)
    yield switch
    switch.back()


async def rarely_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, about: str = ""
) -> Callable[[], None]:
    """Let no statement of the rare paths about that through, until what is returned is called.

    What a process must know before its first call, it knows.
    """
    platform = stage.application._platform
    await platform.vault.ready(platform.books)
    lane = platform.books._other
    ask, away = lane.ask, [True]

    async def asked(what: Any) -> Any:
        if away and about in what[0]:
            raise Unavailable("The books are away.")
        return await ask(what)

    monkeypatch.setattr(lane, "ask", asked)
    return away.clear


async def ask(stage: Stage, path: str, member: Any, *more: str) -> Answer:
    return Answer(*await stage.raw(stage.request(path, BODY, member, *more), seconds=20))


async def refused(stage: Stage, path: str, member: Any, *more: str) -> None:
    """A try that the member does not get the result of."""
    if path == LARGE:  # Its first parts are on their way: all that can be done is to break it off.
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(stage, path, member, *more)
    else:
        answer = await ask(stage, path, member, *more)
        assert answer.status == 503
        assert answer.headers["retry-after"].isdigit()
        check_refusal(answer)


async def check_charged_once(stage: Stage, path: str, member: Any, given: Answer) -> None:
    if path == ULTRA:
        await stage.poll_until_end(orjson.loads(given.body)["polling_url"])
    if path == LARGE:
        assert given.body == (bytes(range(256)) * 5860)[:1_500_000]
    (call,) = stage.calls(member)
    price = {ULTRA: ULTRA_MICROS, ECHO: 1000}.get(path, CENT)
    assert given.headers["call-id"] == str(call["id"])
    assert call["charged_micros"] == stage.spent(member) == price
    assert stage.wallet(member) == (5_000_000 - price, 0)
    assert stage.vendor.counts(path.split("/")[2])["submits"] == 1


@pytest.mark.parametrize("path", DELIVERIES)
@pytest.mark.parametrize("asks", ["after", "before"])
async def test_the_next_try_is_given_what_was_paid_for(stage, books, path, asks):
    """Whether it asks after the books are back, or waits for them to come back."""
    member = await stage.member()
    await refused(stage, path, member)
    assert stage.calls(member) == []

    if asks == "after":
        books.back()
    books.patience(30)
    again = asyncio.create_task(ask(stage, path, member))
    await books.next_try()
    books.back()

    given = await again
    assert given.status == 200
    assert given.headers["idempotent-replayed"] == "true"
    assert given.headers["x-comfy-credits-used"]
    await check_charged_once(stage, path, member, given)


@pytest.mark.parametrize("path", DELIVERIES)
async def test_a_try_before_the_books_are_back_is_sent_away_again(stage, books, path):
    member = await stage.member()
    await refused(stage, path, member)

    second = await ask(stage, path, member)
    books.back()
    third = await ask(stage, path, member)

    assert second.status == 503
    assert (third.status, third.headers["idempotent-replayed"]) == (200, "true")
    await check_charged_once(stage, path, member, third)


@pytest.mark.parametrize("path", DELIVERIES)
async def test_what_was_written_although_its_answer_was_lost_is_given(stage, books, path):
    member = await stage.member()
    books.loses_answers = True
    await refused(stage, path, member)

    books.back()
    given = await ask(stage, path, member)

    assert (given.status, given.headers["idempotent-replayed"]) == (200, "true")
    await check_charged_once(stage, path, member, given)


@pytest.mark.parametrize("path", DELIVERIES)
async def test_with_a_key_it_is_the_same(stage, books, path):
    member = await stage.member()
    await refused(stage, path, member, "Idempotency-Key: abc")

    books.back()
    given = [await ask(stage, path, member, "Idempotency-Key: abc") for _ in range(2)]

    for answer in given:
        assert (answer.status, answer.headers["idempotent-replayed"]) == (200, "true")
    await check_charged_once(stage, path, member, given[0])


@pytest.mark.parametrize("path", DELIVERIES)
async def test_a_short_absence_is_waited_out(stage, books, path):
    """What is delivered late is delivered: the next equal call is a new one."""
    member = await stage.member()
    books.patience(30)
    first = asyncio.create_task(ask(stage, path, member))
    await books.next_try()
    books.back()

    given = await first

    assert given.status == 200
    assert "idempotent-replayed" not in given.headers
    await check_charged_once(stage, path, member, given)
    second = await ask(stage, path, member)
    assert second.status == 200
    assert "idempotent-replayed" not in second.headers


@pytest.mark.parametrize("path", [IMAGE, ECHO, ULTRA])
async def test_who_leaves_while_the_books_are_away_gets_the_answer_later(stage, books, path):
    """Nobody could be told of the leaving, but the next try waits for what is owed."""
    member = await stage.member()
    books.patience(30)
    _, writer = await stage.open()
    writer.write(stage.request(path, BODY, member))
    await books.next_try()
    # So the claim of its intention fails, as it does while the books are away.
    stage.do(
        "UPDATE credits_hold SET intent = gen_random_uuid() WHERE account_id = %s",
        member.workspace,
    )
    writer.transport.abort()
    again = asyncio.create_task(ask(stage, path, member))
    await books.next_try()
    books.back()

    given = await again

    assert (given.status, given.headers["idempotent-replayed"]) == (200, "true")
    await check_charged_once(stage, path, member, given)


@pytest.mark.parametrize("path", [IMAGE, ECHO, ULTRA])
async def test_what_is_owed_is_no_new_call_at_another_process_either(
    stage, books, path, monkeypatch
):
    """Its hold keeps the intention that a key names, until the result is written."""
    monkeypatch.setattr(replay, "WAIT_SECONDS", 0.1)
    member = await stage.member()
    await refused(stage, path, member, "Idempotency-Key: abc")
    headers = {**member.headers, "Idempotency-Key": "abc", "Content-Type": "application/json"}

    async with serving(Application()) as (host, port):
        there = await stage.ask("POST", f"http://{host}:{port}{path}", data=BODY, headers=headers)
        books.back()
        await stage.settled(member) if path != ULTRA else None
        given = await ask(stage, path, member, "Idempotency-Key: abc")
        keys.used._seen.clear()

    assert (there.status, there.type) == (409, "idempotency_in_flight")
    await check_charged_once(stage, path, member, given)


@pytest.mark.parametrize("path", [IMAGE, ECHO, ULTRA])
async def test_an_answer_that_was_lost_while_the_books_are_away_is_told_as_lost(
    stage, path, monkeypatch
):
    """A 503 would have its client come again, and the vendor be paid twice."""
    member = await stage.member()
    back = await rarely_away(stage, monkeypatch)
    stage.vendor.fail_next(path.split("/")[2], "drop_after")

    answer = await ask(stage, path, member, "Idempotency-Key: abc")

    assert (answer.status, answer.type) == (422, "outcome_unknown")
    (hold,) = stage.holds(member)
    assert hold["intent"] is not None
    back()
    await eventually(lambda: stage.holds(member)[0]["intent"] is None or None)
    assert (await ask(stage, path, member, "Idempotency-Key: abc")).status == 200, "a new call"


async def test_a_certain_refusal_is_told_and_frees_its_hold_all_the_same(stage, monkeypatch):
    """That it cannot be counted at its first try is no reason to keep the member's money."""
    member = await stage.member()
    back = await rarely_away(stage, monkeypatch)
    stage.vendor.fail_next("sandbox", "status=429")

    answer = await ask(stage, IMAGE, member)

    assert (answer.status, answer.type) == (429, "provider_rate_limited")
    assert stage.wallet(member) == (5_000_000, 0)
    back()


async def test_a_finding_that_cannot_be_written_holds_no_result_back(stage, monkeypatch, settings):
    settings.VENDOR_SETTINGS = {"VENDOR_VERTEXAI_KEY": VENDOR_KEY}
    member = await stage.member()
    back = await rarely_away(stage, monkeypatch, "credits_finding")
    said = {"candidates": [{"content": {"parts": [{"text": "a fox"}]}, "finishReason": "STOP"}]}
    body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}

    async def answer_it(_: web.Request) -> web.Response:
        return web.json_response(said)

    async with answering(answer_it) as settings.VENDOR_BASE_URL:
        answer = await stage.post("/proxy/vertexai/gemini/gemini-2.5-flash", member, json=body)

    assert (answer.status, answer.json()) == (200, said)
    assert stage.wallet(member) == (5_000_000 - stage.spent(member), 0)
    assert stage.spent(member) > 0
    back()


async def test_what_failed_is_not_kept(stage, books):
    member = await stage.member()
    stage.vendor.fail_next("sandbox", "status=500")
    await refused(stage, IMAGE, member)

    books.back()
    again = await ask(stage, IMAGE, member)

    assert again.status == 200
    assert "idempotent-replayed" not in again.headers
    assert stage.spent(member) == CENT
