"""What a vendor is: a name, a credential, a way of refusing, and routes; one file of them each.

A route's function answers as the vendor would when all is well, or raises RefusedError. It knows
nothing of failures of the wire, counting or credentials: the server does those for all vendors.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import orjson
from aiohttp import web

from sandbox.failures import Failures, of_poll
from sandbox.far_side import Desk, Seen
from sandbox.jobs import Job

Body = Mapping[str, object]


class Kind(Enum):
    """What a request is for, and so how it is counted and what failures it may have."""

    SUBMIT = "submit"
    POLL = "poll"
    DOWNLOAD = "download"
    UNKNOWN = "unknown"


class RefusedError(Exception):
    """The vendor says no: a status, and what its dialect puts beside it."""

    def __init__(self, status: int, detail: object = None) -> None:
        """Refuse with a status; without a detail the vendor has a usual one."""
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


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
    failures: Failures
    body: Body | None = None

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
        job = self.desk.jobs.find(job_id)
        if job is not None:
            self.failures = of_poll(job.failures) | self.failures
        return job


@dataclass(frozen=True, slots=True)
class Route:
    """One address of a vendor. Its path is relative to the vendor's base address."""

    method: str
    path: str
    kind: Kind
    serve: Callable[[Exchange], Awaitable[Answer]]
    anonymous: bool = False
    reads_body: bool = True  # False leaves the body for `serve` to stream, whatever its size.


@dataclass(frozen=True, slots=True)
class Vendor:
    """A supplier: where its credential is looked for, how it refuses, and what can be asked."""

    name: str
    credential_header: str
    refuse: Callable[[int, object], Answer]
    routes: tuple[Route, ...]
    credential_prefix: str = ""
    refused_credential: int = 401
    has_jobs: bool = False
