"""An answer leaves in one write, in order, and whole before the connection closes."""

import asyncio

from config.gathered import Gathering


class Wire:
    """A transport that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")

    get_extra_info = is_closing = pause_reading = resume_reading = set_protocol = None


async def test_what_is_written_in_one_turn_leaves_together():
    wire = Wire()
    gathering = Gathering(wire)

    gathering.write(b"head ")
    gathering.write(b"body")
    assert wire.told == []
    await asyncio.sleep(0)
    gathering.write(b"more")
    await asyncio.sleep(0)

    assert wire.told == [b"head body", b"more"]


async def test_closing_sends_what_waits_first():
    wire = Wire()
    gathering = Gathering(wire)

    gathering.write(b"last words")
    gathering.close()
    await asyncio.sleep(0)

    assert wire.told == [b"last words", "close"]


async def test_an_abort_sends_nothing_more():
    wire = Wire()
    gathering = Gathering(wire)

    gathering.write(b"never")
    gathering.abort()
    await asyncio.sleep(0)

    assert wire.told == ["abort"]
