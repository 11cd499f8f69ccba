"""A body that is streamed goes at the vendor's pace, whole or not at all; answers may be early."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
import uvloop
from wire_vendor import OK, get, outcome, post, relaying, sized, vendor_that, whole

from proxy.relay import Lost

EARLY = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong"


async def in_parts(*parts, pause=0.0):
    for part in parts:
        yield part
        await asyncio.sleep(pause)


async def records(vendor, visit):
    """Answer when a chunked body has ended, or one of stated length is whole."""
    while True:
        head = await visit.reader.readuntil(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head:
            body = await visit.reader.readuntil(b"0\r\n\r\n")
        else:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await visit.reader.readexactly(length)
        vendor.requests.append(head + body)
        await visit.say(sized(b"1"))


@pytest.mark.parametrize("length", [None, 11])
async def test_a_streamed_body_arrives_whole(length):
    async with vendor_that(records) as vendor, relaying() as relay:
        for _ in range(2):
            body = in_parts(b"some ", b"", b"parts!")
            assert await whole(relay, post(vendor.url, body, length=length)) == b"1"
        assert len(vendor.visits) == 1, "both sides are whole: the connection is kept"
        sent = vendor.requests[0]
        if length is None:
            assert sent.endswith(b"\r\n\r\n5\r\nsome \r\n6\r\nparts!\r\n0\r\n\r\n")
            assert b"content-length" not in sent
        else:
            assert sent.endswith(b"\r\ncontent-length: 11\r\n\r\nsome parts!")
            assert b"transfer-encoding" not in sent


async def test_a_large_body_in_hand_arrives_whole():
    body = bytes(range(256)) * 40_000
    async with vendor_that(records) as vendor, relaying() as relay:
        for _ in range(2):
            assert await whole(relay, post(vendor.url, body)) == b"1"
        assert [sent.partition(b"\r\n\r\n")[2] for sent in vendor.requests] == [body, body]
        assert len(vendor.visits) == 1


@pytest.mark.parametrize(
    ("parts", "length"), [((b"123", b"456"), 5), ((b"123", b"4"), 5), ((b"123456",), 5), ((), 1)]
)
async def test_a_body_of_another_length_than_was_said_is_never_whole(parts, length):
    """Too long, the rest would be a request that somebody smuggled in."""
    seen = []

    async def behave(vendor, visit):
        head = await visit.reader.readuntil(b"\r\n\r\n")
        seen.append(await visit.reader.read())
        assert b"content-length: %d" % length in head

    async with vendor_that(behave) as vendor, relaying() as relay:
        asked = post(vendor.url, in_parts(*parts, pause=0.02), length=length)
        assert await outcome(relay, asked) == "lost"
        await asyncio.sleep(0.05)
        assert len(seen[0]) < length


async def test_a_body_that_breaks_off_is_lost_because_of_that():
    class Left(Exception):
        pass

    async def leaves():
        yield b"half"
        raise Left

    ended = []

    async def behave(vendor, visit):
        await visit.reader.readuntil(b"\r\n\r\n")
        ended.append(await visit.reader.read())

    async with vendor_that(behave) as vendor, relaying() as relay:
        with pytest.raises(Lost, match="Left") as caught:
            await relay.exchange(post(vendor.url, leaves()))
        assert isinstance(caught.value.__cause__.__cause__, Left)
        await asyncio.sleep(0.05)
        assert ended == [b"4\r\nhalf\r\n"], "it was not told as whole"


@pytest.mark.parametrize("body", ["streamed", "in hand"])
async def test_a_refusal_before_the_body_is_whole_is_read(body):
    taken = 0

    async def refuses(vendor, visit):
        await visit.reader.readuntil(b"\r\n\r\n")
        await visit.say(EARLY)
        vendor.requests.append(b"%d" % await visit.ended())

    async def parts():
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield bytes(1 << 16)

    async with vendor_that(refuses) as vendor, relaying() as relay:
        sent = parts() if body == "streamed" else bytes(64 << 20)
        reply = await relay.exchange(post(vendor.url, sent))
        assert (reply.status, await reply.read()) == (413, b"long")
        assert taken < 1000, "the rest was not sent"
        assert await outcome(relay, post(vendor.url)) == "answered"
        assert len(vendor.visits) == 2, "half a request is nothing to put another behind"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_refusal_is_read_though_its_vendor_hung_up_behind_it(new_loop):
    """The next part that was written would meet the reset, and the answer be lost."""

    async def work():
        with socket.create_server(("127.0.0.1", 0)) as vendor:
            vendor.settimeout(5)

            async def parts():
                yield b"part"
                door, _ = vendor.accept()
                door.sendall(EARLY)
                door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                door.close()  # No turn of the loop until the next part.
                while True:
                    yield b"part"

            async with relaying() as relay:
                url = f"http://127.0.0.1:{vendor.getsockname()[1]}"
                reply = await relay.exchange(post(url, parts()))
                assert (reply.status, await reply.read()) == (413, b"long")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())


async def test_a_refusal_while_the_client_has_yet_to_send():
    async def refuses(vendor, visit):
        await visit.reader.readuntil(b"\r\n\r\n")
        await visit.say(EARLY)
        await visit.ended()

    async def never():
        yield b"part"
        await asyncio.sleep(60)

    async with vendor_that(refuses) as vendor, relaying() as relay:
        reply = await asyncio.wait_for(relay.exchange(post(vendor.url, never())), 2)
        assert (reply.status, await reply.read()) == (413, b"long")


async def test_an_answer_may_begin_while_the_request_goes_on():
    async def echoes(vendor, visit):
        await visit.reader.readuntil(b"\r\n\r\n")
        await visit.say(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while (part := await visit.reader.readexactly(len(b"4\r\npart\r\n"))) != b"end":
            await visit.say(part)
            vendor.requests.append(part)
            if len(vendor.requests) == 3:
                break
        await visit.reader.readexactly(len(b"0\r\n\r\n"))
        await visit.say(b"0\r\n\r\n")

    async with vendor_that(echoes) as vendor, relaying() as relay:
        body = in_parts(*[b"part"] * 3, pause=0.05)
        reply = await relay.exchange(post(vendor.url, body))
        assert reply.status == 200
        assert await reply.read() == b"part" * 3


async def test_an_answer_that_is_whole_before_the_request_ends_it():
    async def hasty(vendor, visit):
        await visit.reader.readuntil(b"\r\n\r\n")
        await visit.say(sized(b"1"))
        await visit.ended()

    async with vendor_that(hasty) as vendor, relaying() as relay:
        for _ in range(2):
            body = in_parts(*[b"part"] * 100, pause=0.05)
            assert await asyncio.wait_for(whole(relay, post(vendor.url, body)), 2) == b"1"
        assert len(vendor.visits) == 2


async def test_the_vendors_pace_holds_the_client_back():
    given = 0

    async def parts():
        nonlocal given
        for _ in range(640):
            given += 1 << 16
            yield bytes(1 << 16)

    async def slow(vendor, visit):
        visit.writer.transport.pause_reading()
        await asyncio.sleep(0.3)
        vendor.requests.append(b"%d" % given)
        visit.writer.transport.resume_reading()
        await visit.reader.readuntil(b"\r\n\r\n")
        await visit.reader.readexactly(640 << 16)
        await visit.say(sized(b"1"))

    async with vendor_that(slow) as vendor, relaying() as relay:
        assert await whole(relay, post(vendor.url, parts(), length=640 << 16)) == b"1"
        assert int(vendor.requests[0]) < 16 << 20, "what the kernel's buffers take"


async def test_a_question_has_no_body_to_speak_of():
    async def behave(vendor, visit):
        vendor.requests.append(await visit.reader.readuntil(b"\r\n\r\n"))
        await visit.say(sized(b"1"))

    async with vendor_that(behave) as vendor, relaying() as relay:
        await whole(relay, get(vendor.url))
        assert b"content-length" not in vendor.requests[0]
        assert b"transfer-encoding" not in vendor.requests[0]
        assert vendor.requests[0].startswith(b"GET /v1/x?a=1 HTTP/1.1\r\nhost: 127.0.0.1:")


async def test_a_body_that_never_waits_notices_that_its_vendor_is_gone():
    """It is made faster than it is taken: without a look, it would spin for ever."""

    async def gone(vendor, visit):
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.reset()

    async def endless():
        while True:
            yield bytes(1 << 12)

    async with vendor_that(gone) as vendor, relaying() as relay:
        assert await asyncio.wait_for(outcome(relay, post(vendor.url, endless())), 5) == "lost"
