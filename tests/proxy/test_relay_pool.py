"""A connection that is kept for the next call is one on which nothing came and nothing ended."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from wire_vendor import (
    OK,
    answers,
    get,
    outcome,
    post,
    relaying,
    sized,
    vendor_that,
    whole,
)

from proxy.relay import Lost, Outgoing, Refused
from proxy.wire import dialing, pool

HERS = sized(b'{"for": "alice"}')
STRAY = sized(b'{"for": "nobody"}')
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


# --- B7: one answer too many --------------------------------------------------------------------


@pytest.mark.parametrize("stray", [STRAY, TIMEOUT, b"\r\n", b"H"])
@pytest.mark.parametrize("moment", ["same packet", "10 ms later", "just before the next"])
async def test_one_answer_too_many_reaches_nobody(moment, stray):
    async def vendor_says_too_much(vendor, visit):
        while True:
            asked = await visit.request()
            vendor.requests.append(asked)
            answer = sized(b'{"for": "%b"}' % asked.rpartition(b"\r\n\r\n")[2])
            if moment == "same packet":
                answer += stray
            await visit.say(answer)
            if moment == "10 ms later":
                await visit.say(pause=0.01)
                await visit.say(stray)

    async with vendor_that(vendor_says_too_much) as vendor, relaying() as relay:
        for member in (b"alice", b"bob", b"alice", b"bob"):
            assert await whole(relay, post(vendor.url, member)) == b'{"for": "%b"}' % member
            if moment == "10 ms later":
                await asyncio.sleep(0.05)
            elif moment == "just before the next":
                vendor.visits[-1].say_now(stray)  # No turn of the loop between this and the next.
        assert len(vendor.visits) == 4
        assert len(vendor.requests) == 4


async def test_an_answer_too_many_behind_a_large_one_that_was_read_slowly():
    """Reading was paused when the answer ended, so what follows lies in the kernel."""
    body = bytes(3 << 20)

    async def behave(vendor, visit):
        while True:
            asked = await visit.request()
            await visit.say(sized(body if b"alice" in asked else b"bob's") + STRAY)

    async with vendor_that(behave) as vendor, relaying() as relay:
        for _ in range(3):
            reply = await relay.exchange(post(vendor.url, b"alice"))
            await asyncio.sleep(0.02)
            assert await reply.read() == body
            assert await whole(relay, post(vendor.url, b"bob")) == b"bob's"


async def test_what_ended_while_it_was_idle_is_not_used():
    async def one_each(vendor, visit):
        vendor.requests.append(await visit.request())
        await visit.say(HERS)
        visit.hang_up()

    async with vendor_that(one_each) as vendor, relaying() as relay:
        for _ in range(5):
            assert await outcome(relay, post(vendor.url)) == "answered"
            await asyncio.sleep(0.02)
        assert len(vendor.requests) == 5


async def test_answers_at_once_have_connections_of_their_own_and_give_them_back():
    async def echo(vendor, visit):
        while True:
            asked = await visit.request()
            await asyncio.sleep(0.02)
            await visit.say(sized(asked.rpartition(b"\r\n\r\n")[2]))

    async with vendor_that(echo) as vendor, relaying() as relay:
        for _ in range(3):
            bodies = [b"%d" % number for number in range(20)]
            asked = [whole(relay, post(vendor.url, body)) for body in bodies]
            assert await asyncio.gather(*asked) == bodies
        assert len(vendor.visits) == 20


# --- A connection that the vendor closes just as it is used --------------------------------------


def closes_kept_ones(how):
    async def behave(vendor, visit):
        vendor.requests.append(await visit.request())
        if visit.number == 0:
            await visit.say(HERS)
            vendor.requests.append(await visit.request())
            if how == "half":
                await visit.say(OK)
            visit.reset() if how == "reset" else visit.hang_up()
            return
        await visit.say(HERS)

    return behave


@pytest.mark.parametrize("how", ["end", "reset", "half"])
async def test_what_must_not_be_done_twice_is_lost(how):
    async with vendor_that(closes_kept_ones(how)) as vendor, relaying() as relay:
        assert await outcome(relay, post(vendor.url)) == "answered"
        assert await outcome(relay, post(vendor.url)) == "lost"
        assert len(vendor.requests) == 2, "it was not sent again"


@pytest.mark.parametrize(("how", "came", "requests"), [("end", "answered", 3),
                         ("reset", "answered", 3), ("half", "lost", 2)])  # fmt: skip
async def test_a_question_is_asked_once_more_if_nothing_of_its_answer_came(how, came, requests):
    async with vendor_that(closes_kept_ones(how)) as vendor, relaying() as relay:
        assert await outcome(relay, get(vendor.url)) == "answered"
        assert await outcome(relay, get(vendor.url)) == came
        assert len(vendor.requests) == requests
        assert len(vendor.visits) == (2 if came == "answered" else 1)


async def test_a_question_is_not_asked_a_third_time_nor_again_on_a_new_connection():
    async def behave(vendor, visit):
        vendor.requests.append(await visit.request())
        if visit.number == 0:
            await visit.say(HERS)
            vendor.requests.append(await visit.request())
        visit.hang_up()

    async with vendor_that(behave) as vendor, relaying() as relay:
        assert await outcome(relay, get(vendor.url)) == "answered"
        assert await outcome(relay, get(vendor.url)) == "lost"
        assert await outcome(relay, get(vendor.url)) == "lost"
        assert len(vendor.requests) == 4


async def test_silence_on_a_kept_connection_is_no_reason_to_ask_again():
    async def behave(vendor, visit):
        vendor.requests.append(await visit.request())
        await visit.say(HERS)
        vendor.requests.append(await visit.request())
        await visit.ended()

    async with vendor_that(behave) as vendor, relaying() as relay:
        assert await outcome(relay, get(vendor.url)) == "answered"
        assert await outcome(relay, get(vendor.url, silence_seconds=0.1)) == "lost"
        assert len(vendor.requests) == 2


# --- How long, and how many ----------------------------------------------------------------------


async def test_an_old_connection_is_for_questions_only(monkeypatch):
    monkeypatch.setattr(pool, "SURE_SECONDS", 0.05)
    async with vendor_that(answers(HERS)) as vendor, relaying() as relay:
        await whole(relay, post(vendor.url))
        await asyncio.sleep(0.1)
        await whole(relay, get(vendor.url))
        assert len(vendor.visits) == 1
        await asyncio.sleep(0.1)
        await whole(relay, post(vendor.url))
        assert len(vendor.visits) == 2


async def test_an_idle_connection_ends(monkeypatch):
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.1)
    ended = []

    async def behave(vendor, visit):
        await visit.request()
        await visit.say(HERS)
        ended.append(await visit.ended())

    async with vendor_that(behave) as vendor, relaying() as relay:
        await whole(relay, get(vendor.url))
        await asyncio.sleep(0.3)
        assert ended == [True]
        await whole(relay, get(vendor.url))
        assert len(vendor.visits) == 2


async def test_it_is_kept_for_less_than_the_vendor_says_that_it_keeps_it():
    for seconds, visits in ((1, 2), (5, 1)):
        answer = sized(
            b"1", b"Connection: keep-alive\r\nKeep-Alive: timeout=%d, max=9\r\n" % seconds
        )
        async with vendor_that(answers(answer)) as vendor, relaying() as relay:
            for _ in range(2):
                await whole(relay, get(vendor.url))
            assert len(vendor.visits) == visits


async def test_a_reply_that_is_given_up_gives_no_connection_back():
    async with vendor_that(answers(sized(bytes(1 << 20)))) as vendor, relaying() as relay:
        for number in range(3):
            reply = await relay.exchange(post(vendor.url))
            reply.close()
            reply.close()
            with pytest.raises(Lost):
                await reply.read()
            assert len(vendor.visits) == number + 1


async def test_a_call_that_is_cancelled_ends_its_connection():
    ended = []

    async def never(vendor, visit):
        await visit.request()
        ended.append(await visit.ended())

    async with vendor_that(never) as vendor, relaying() as relay:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(relay.exchange(post(vendor.url)), 0.1)
        await asyncio.sleep(0.05)
        assert ended == [True]


async def test_connections_are_bounded_in_all(monkeypatch):
    monkeypatch.setattr(pool, "MOST_OPEN", 2)

    async def slow(vendor, visit):
        while True:
            await visit.request()
            await asyncio.sleep(0.1)
            await visit.say(HERS)

    async with (
        vendor_that(slow) as vendor,
        vendor_that(answers(HERS)) as another,
        relaying() as relay,
    ):
        came = await asyncio.gather(*(outcome(relay, post(vendor.url)) for _ in range(3)))
        assert sorted(came) == ["answered", "answered", "refused"]
        assert await outcome(relay, post(another.url)) == "answered", "an idle one makes room"


async def test_after_its_end_nothing_is_asked():
    async with vendor_that(answers(HERS)) as vendor:
        async with relaying() as relay:
            await whole(relay, post(vendor.url))
        assert await outcome(relay, post(vendor.url)) == "refused"


async def test_whoever_waits_when_it_ends_reads_that_it_is_lost():
    async def never(vendor, visit):
        await visit.ended()

    async with vendor_that(never) as vendor, relaying() as relay:
        asked = asyncio.ensure_future(outcome(relay, post(vendor.url)))
        await asyncio.sleep(0.05)
        await relay.close()
        assert await asked == "lost"


# --- No connection -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://no-such-host.invalid",
        "http://a..b",
        "http://" + "a" * 70 + ".example",
        "http://[::1",
        "http://127.0.0.1:99999",
        "http://user:secret@127.0.0.1:1",
        "http://",
        "ftp://127.0.0.1:1",
        "file:///etc/passwd",
        "http://127.0.0.1:1/ HTTP/1.1\r\nX: 1\r\n\r\n",
        "http://127.0.0.1:1/\u732b",
    ],
)
async def test_what_cannot_be_asked_is_refused(url):
    async with relaying() as relay:
        with pytest.raises(Refused):
            await relay.exchange(Outgoing("GET", url, {}, silence_seconds=5))


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nb", "a\rb", "a\0b", "\u732b"])
async def test_a_header_that_would_be_two_is_refused(value):
    async with vendor_that(answers(HERS)) as vendor, relaying() as relay:
        with pytest.raises(Refused):
            await relay.exchange(Outgoing("GET", vendor.url, {"accept": value}))
        assert vendor.visits == []


async def test_a_connection_that_does_not_come_about_in_time_is_refused(monkeypatch):
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        filling = [socket.socket() for _ in range(3)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        async with relaying() as relay:
            began = time.monotonic()
            assert await outcome(relay, post(f"http://127.0.0.1:{port}")) == "refused"
            assert time.monotonic() - began < 9  # Where it waits as long as it usually may: ten.
        for one in filling:
            one.close()


async def test_an_address_that_hesitates_is_overtaken_by_the_next(monkeypatch):
    """A name of which the first address leads nowhere, the second to the vendor."""
    async with vendor_that(answers(HERS)) as vendor, relaying() as relay:
        port = int(vendor.url.rpartition(":")[2])
        with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
            nowhere = full.getsockname()
            filling = [socket.socket() for _ in range(3)]
            for one in filling:
                one.setblocking(False)
                one.connect_ex(nowhere)

            async def look_up(host, _port):
                assert host == "vendor.example"
                return [
                    (socket.AF_INET, nowhere),
                    (socket.AF_INET, ("127.0.0.1", 1)),
                    (socket.AF_INET, ("127.0.0.1", port)),
                ]

            monkeypatch.setattr(dialing, "_look_up", look_up)
            began = time.monotonic()
            assert await whole(relay, post("http://vendor.example")) == b'{"for": "alice"}'
            assert time.monotonic() - began < 9  # Where it waits for the first: ten.
            for one in filling:
                one.close()


async def test_small_parts_do_not_wait_for_one_another():
    async with vendor_that(answers(HERS)) as vendor:
        where = ("127.0.0.1", int(vendor.url.rpartition(":")[2]))
        with await dialing.first_of([(socket.AF_INET, where)]) as door:
            assert door.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_slow_look_up_is_not_begun_again(monkeypatch):
    monkeypatch.setattr(dialing, "ADDRESSES_SECONDS", 0)
    asked = []

    async with vendor_that(answers(HERS, close=True)) as vendor, relaying() as relay:
        port = int(vendor.url.rpartition(":")[2])

        async def look_up(host, _port):
            asked.append(host)
            await asyncio.sleep(1)
            return [(socket.AF_INET, ("127.0.0.1", port))]

        async def later(seconds):
            await asyncio.sleep(seconds)
            return await outcome(relay, post("http://vendor.example"))

        monkeypatch.setattr(dialing, "_look_up", look_up)
        assert await asyncio.gather(*map(later, (0, 0.02, 0.04))) == ["answered"] * 3
        assert len(asked) == 1
        assert await later(0) == "answered"
        assert len(asked) == 2, "what is old is looked up anew"


async def test_no_proxy_of_the_environment_is_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with vendor_that(answers(HERS)) as vendor, relaying() as relay:
        assert await outcome(relay, post(vendor.url)) == "answered"
