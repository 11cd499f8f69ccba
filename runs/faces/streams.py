"""Events of a run as a stream: read from its rows, twice a second, until it has ended.

    event: status | progress | preview | output        data: JSON

The last frame is the status in which it ended; what it made comes before. Rows are read, and not
notifications, so that a lost one costs half a second; no connection is kept between two looks.
"""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson
from asgiref.sync import sync_to_async

from apikeys.models import ApiKey
from common import db
from common.errors import NotFound, RateLimited
from runs import address, core
from runs.faces import jobs
from runs.models import ENDED, Preview

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from rest_framework.request import Request

    from runs.models import Run, RunEvent

MOST: Final = 8
"""So many of one key at once, in one process."""
LOOK_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 15.0
STILL_SECONDS: Final = 30.0
"""How often it is looked whether the credential is one still."""
KINDS: Final = ("status", "progress")
"""What is told of its events: its worker's own messages are not read for it."""
_open: Counter[str] = Counter()


class TooManyStreams(RateLimited):
    """As many streams of a key are open as may be."""

    code = "too_many_streams"


class Place:
    """One of the streams that a key may have; given back once."""

    def __init__(self, who: str) -> None:
        self._who: str | None = who

    def leave(self) -> None:
        """Let another have it."""
        if self._who is not None:
            _open[self._who] -= 1
            if _open[self._who] <= 0:
                del _open[self._who]
            self._who = None

    def __del__(self) -> None:
        """Give it back where nobody ever read the stream."""
        self.leave()


def take(who: str) -> Place:
    """Return a place for one more stream, or raise TooManyStreams."""
    if _open[who] >= MOST:
        raise TooManyStreams(
            f"{MOST} streams of this key are open. Close one.", headers={"Retry-After": "5"}
        )
    _open[who] += 1
    return Place(who)


class _Reader:
    """Looks at a run again and again, and says what is new as frames."""

    def __init__(self, request: Request, run: Run) -> None:
        self._request = request
        self._workspace, self._run = run.workspace_id, run.pk
        self._after = -1
        self._seen: Any = None
        self._checked = time.monotonic()

    def look(self) -> tuple[bytes, bool]:
        """Return frames for what is new, and whether it has ended; nothing once the key has."""
        try:
            return (b"", True) if self._is_over() else self._look()
        except NotFound:
            return b"", True  # Its workspace was deleted meanwhile.
        finally:
            db.give_back()

    def _is_over(self) -> bool:
        """Whether the credential of whoever listens is none any more: looked at now and then."""
        key = self._request.auth
        if not isinstance(key, ApiKey) or time.monotonic() - self._checked < STILL_SECONDS:
            return False
        self._checked = time.monotonic()
        return not address.is_living(key)

    def _look(self) -> tuple[bytes, bool]:
        run = core.standing(self._workspace, self._run)
        if self._after < 0:
            return self._first(run)
        parts: list[bytes] = []
        found = core.events_after(self._workspace, self._run, self._after, kinds=KINDS)
        for event in found:
            self._after = event.pk
            if self._is_end(event):  # It may have come after the run was read.
                run = core.standing(self._workspace, self._run)
                return b"".join([*parts, self._end(run)]), True
            parts += self._of(event, run)
        parts += self._preview(run.pk)
        return b"".join(parts), False

    def _first(self, run: Run) -> tuple[bytes, bool]:
        if run.state in ENDED:
            return self._end(run), True
        found = core.events_after(self._workspace, self._run, kinds=KINDS, limit=100_000)
        # What was noted up to its state is told by its state.
        self._after = next((e.pk for e in reversed(found) if not self._is_end(e)), 0)
        parts = [self._status(run)]
        if known := jobs.progress(run.progress):
            parts.append(frame("progress", known))
        return b"".join([*parts, *self._preview(run.pk)]), False

    def _is_end(self, event: RunEvent) -> bool:
        return event.kind == "status" and event.data.get("status") in ENDED

    def _end(self, run: Run) -> bytes:
        made = jobs.outputs(self._request, run)
        return b"".join([*(frame("output", each) for each in made), self._status(run)])

    def _status(self, run: Run) -> bytes:
        place = core.queue_position(run)
        said = {"status": jobs.status(run)}
        return frame("status", said if place is None else {**said, "queue_position": place})

    def _of(self, event: RunEvent, run: Run) -> list[bytes]:
        if event.kind == "status":
            return [self._status(run)]
        if event.kind == "progress" and (known := jobs.progress(event.data)):
            return [frame("progress", known)]
        return []

    def _preview(self, run_id: UUID) -> list[bytes]:
        found = Preview.objects.filter(run_id=run_id).first()
        if found is None or found.at == self._seen:
            return []
        self._seen = found.at
        data = base64.b64encode(bytes(found.data)).decode()
        said = {"node_id": found.node_id, "content_type": found.content_type}
        return [frame("preview", {**said, "data_base64": data})]


def frames(request: Request, run: Run, place: Place) -> AsyncIterator[bytes]:
    """Yield frames until the run has ended."""
    return told(_Reader(request, run).look, place)


async def told(
    look: Callable[[], tuple[bytes, bool]], place: Place, *, seconds: float = math.inf
) -> AsyncIterator[bytes]:
    """Yield the frames of look after look, until one says that it was the last, or time is over.

    A comment goes out where there is nothing to say for long. The place is given back at the end.
    """
    begun = spoke = time.monotonic()
    try:
        while time.monotonic() - begun < seconds:
            said, has_ended = await sync_to_async(look)()
            if said:
                yield said
                spoke = time.monotonic()
            elif time.monotonic() - spoke > QUIET_SECONDS:
                yield b": still here\n\n"
                spoke = time.monotonic()
            if has_ended:
                return
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        place.leave()


def frame(event: str, data: dict[str, Any]) -> bytes:
    """Return one frame."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), orjson.dumps(data))
