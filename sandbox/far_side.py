"""What the sandbox remembers of each vendor: counts, the last requests, planned failures, jobs.

All of it is bounded, and `reset()` forgets all of it. The control API and the tests that run the
sandbox in their own process call the same functions here.
"""

import hashlib
import hmac
import os
import secrets
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from sandbox.failures import Plans
from sandbox.jobs import Jobs
from sandbox.uploads import Uploads

REQUESTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between one sandbox and another."""

    key: str | None = None
    """The credential; unset: none is asked for."""
    secret: str | None = None
    """Its other half, for vendors whose credential is a pair that signs."""
    job_seconds: float = 0.3
    link_seconds: float = 600.0
    """How long a link to a result lives, at vendors whose links die."""
    token_seconds: float = 3600.0
    """How long an access token lives, at vendors that hand out tokens."""
    service_account: str | None = None
    """The key file of the account that may sign in; unset: one of the sandbox's own."""
    public_url: str | None = None
    jobs_kept: int = 100_000

    @classmethod
    def from_environment(cls) -> Self:
        """Read the SANDBOX_ variables; what isn't set keeps its default."""
        return cls(
            key=os.environ.get("SANDBOX_KEY") or None,
            secret=os.environ.get("SANDBOX_SECRET") or None,
            job_seconds=float(os.environ.get("SANDBOX_JOB_SECONDS") or 0.3),
            link_seconds=float(os.environ.get("SANDBOX_LINK_SECONDS") or 600),
            token_seconds=float(os.environ.get("SANDBOX_TOKEN_SECONDS") or 3600),
            service_account=os.environ.get("SANDBOX_SERVICE_ACCOUNT") or None,
            public_url=os.environ.get("SANDBOX_PUBLIC_URL") or None,
        )


@dataclass(slots=True)
class Seen:
    """One request as it arrived; `size` and `sha256` stay empty when its body was not read."""

    method: str
    path: str
    headers: dict[str, str]
    size: int | None = None
    sha256: str | None = None
    files: list[str] = field(default_factory=list)
    """Digests of the files that came within it."""

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """Note a request before its body is read; a repeated header keeps all its values."""
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            name_there = name.lower()
            before = headers.get(name_there)
            headers[name_there] = value if before is None else f"{before}, {value}"
        return cls(request.method, request.path_qs, headers)

    def note_body(self, raw: bytes) -> None:
        """Note the size and digest of a body, not the body."""
        self.size = len(raw)
        self.sha256 = hashlib.sha256(raw).hexdigest()


@dataclass(slots=True)
class Tally:
    """What one vendor was asked, in numbers, and the last requests in full but for their bodies."""

    submits: int = 0
    accepted: int = 0
    polls: int = 0
    downloads: int = 0
    refused_credentials: int = 0
    by_path: Counter[str] = field(default_factory=Counter)
    requests: deque[Seen] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))

    def counts(self) -> dict[str, object]:
        """Give the numbers, as the control API does."""
        return {
            "submits": self.submits,
            "accepted": self.accepted,
            "polls": self.polls,
            "downloads": self.downloads,
            "refused_credentials": self.refused_credentials,
            "by_path": dict(self.by_path),
        }


class Desk:
    """One vendor's memory."""

    overlay: dict[str, Any]
    """Laid over the JSON of what is delivered: for who needs a certain usage in the answers."""

    def __init__(self, settings: Settings) -> None:
        """Begin knowing nothing."""
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget counts, requests, planned failures, jobs, and whatever was sealed before."""
        self._sealing_key = secrets.token_bytes(32)
        self.overlay: dict[str, Any] = {}
        self.tally = Tally()
        self.plans = Plans()
        self.uploads = Uploads()
        self.jobs = Jobs(seconds=self.settings.job_seconds, kept=self.settings.jobs_kept)

    def seal(self, text: str) -> str:
        """Make a seal that nobody else can put on this text: for links and tokens that expire."""
        return hmac.new(self._sealing_key, text.encode(), hashlib.sha256).hexdigest()

    def is_sealed(self, text: str, seal: str) -> bool:
        """Whether a seal is this text's own."""
        return hmac.compare_digest(self.seal(text).encode(), seal.encode())


class FarSide:
    """A running sandbox, as its own process sees it; KeyError for a vendor it doesn't have."""

    def __init__(self, settings: Settings, vendors: tuple[str, ...]) -> None:
        """Give each vendor an empty desk."""
        self.url = ""
        self.desks = {name: Desk(settings) for name in vendors}

    def fail_next(self, vendor: str, *failures: str, times: int = 1) -> None:
        """Let the next `times` submits (or polls) fail so; UnknownFailureError plans nothing."""
        self.desks[vendor].plans.add(failures, times=times)

    def counts(self, vendor: str) -> dict[str, object]:
        """Give one vendor's numbers."""
        return self.desks[vendor].tally.counts()

    def requests(self, vendor: str) -> list[Seen]:
        """Give one vendor's last requests, oldest first."""
        return list(self.desks[vendor].tally.requests)

    def reset(self) -> None:
        """Be as freshly started."""
        for desk in self.desks.values():
            desk.reset()
