"""What a vendor is: a name, a credential, a way of refusing, and routes; one file of them each.

A route's function answers as the vendor would when all is well, or raises RefusedError. It knows
nothing of failures of the wire, counting or credentials: the server does those for all vendors.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import orjson
from aiohttp import web

from sandbox.failures import Failures, of_question
from sandbox.far_side import Desk, Seen
from sandbox.jobs import Job
from sandbox.media import Media, render

Body = Mapping[str, object]


class Kind(Enum):
    """What a request is for, and so how it is counted and what failures it may have."""

    SUBMIT = "submit"
    POLL = "poll"
    RESULT = "result"  # Where the files of a finished job are.
    TOKEN = "token"  # noqa: S105 (the word, not one)
    UPLOAD = "upload"  # Where a file may be put before it is named.
    STORE = "store"  # Its content.
    DOWNLOAD = "download"
    FREE = "free"
    UNKNOWN = "unknown"

    @property
    def prefix(self) -> str | None:
        """What its failures are written with; None when it has none of its own."""
        has_own = self in {Kind.POLL, Kind.RESULT, Kind.TOKEN, Kind.UPLOAD, Kind.STORE}
        return f"{self.value}_" if has_own else None


class RefusedError(Exception):
    """The vendor says no: a status, and what its dialect puts beside it."""

    def __init__(self, status: int, detail: object = None) -> None:
        """Refuse with a status; without a detail the vendor has a usual one."""
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


Credential = Callable[[Desk, web.Request], RefusedError | None]
"""Whether a request may come in: None, or how it is refused. Asked only where there is a key."""


def in_header(name: str, *, prefix: str = "", refused: int = 401) -> Credential:
    """Want the sandbox's key in a header; a repeated header is no credential."""

    def check(desk: Desk, request: web.Request) -> RefusedError | None:
        shown = request.headers.getall(name, [])
        wanted = prefix + (desk.settings.key or "")
        if len(shown) == 1 and hmac.compare_digest(shown[0].encode(), wanted.encode()):
            return None
        return RefusedError(refused)

    return check


def anybody(_: Desk, __: web.Request) -> RefusedError | None:
    """Want nothing."""
    return None


@dataclass(slots=True)
class Answer:
    """What goes back: bytes, or pieces whose total length is known beforehand."""

    body: bytes | AsyncIterator[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    length: int = 0
    chunked: bool = False

    @classmethod
    def json(cls, content: object, *, status: int = 200) -> "Answer":
        """Answer with JSON."""
        return cls(orjson.dumps(content), status=status)


@dataclass(slots=True)
class Exchange:
    """One request to a vendor, as its route's function sees it."""

    request: web.Request
    desk: Desk
    seen: Seen
    kind: Kind
    failures: Failures
    raw: bytes = b""
    body: Body | None = None
    """The body, where it is a JSON object."""

    @property
    def here(self) -> str:
        """What an address for the caller itself begins with: the one it came to."""
        return f"{self.request.scheme}://{self.request.host}"

    @property
    def public(self) -> str:
        """What an address for the caller's own clients begins with."""
        return self.desk.settings.public_url or self.here

    def find_job(self, job_id: str) -> Job | None:
        """Find a job; its poll failures are from now on this exchange's own."""
        return self.heed(self.desk.jobs.find(job_id))

    def heed(self, job: Job | None) -> Job | None:
        """Take over what a job's submit said of questions such as this one."""
        if job is not None and self.kind.prefix:
            self.failures = of_question(job.failures, self.kind.prefix) | self.failures
        return job


@dataclass(frozen=True, slots=True)
class Route:
    """One address of a vendor. Its path is relative to the vendor's base address."""

    method: str
    path: str
    kind: Kind
    serve: Callable[[Exchange], Awaitable[Answer]]
    credential: Credential | None = None  # Where it isn't the vendor's usual one.
    reads_body: bool = True  # False leaves the body for `serve` to stream, whatever its size.
    instead: "Callable[[web.Request], Route | None] | None" = None
    """Which route it really is, where a header tells and not the address; None: this one."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A supplier: what credential it wants, how it refuses, and what can be asked."""

    name: str
    credential: Credential
    refuse: Callable[[int, object], Answer]
    routes: tuple[Route, ...]
    failures: frozenset[str] = frozenset()
    """Which failures it can have beside those of every submit."""
    in_its_words: Callable[[int | None], RefusedError] | None = None
    """A refusal by the vendor's own error code, or its commonest; for `code` and `inside`."""
    inside_status: int = 200
    """The status of an answer whose body says no."""
    ids: frozenset[str] = frozenset({"id"})
    """What its answers call the ids that a caller needs; for `no_id`."""
    bases: tuple[str, ...] = ()
    """Further addresses of the vendor's: `gemini` makes it `/vertexai-gemini`, too."""


async def delivery(media: Media) -> Answer:
    """Answer with a file."""
    return Answer(await asyncio.to_thread(render, media), content_type=media.content_type)
