"""All that the fake remembers: objects, events, requests, keys, planned failures, its clock.

Every change of an object passes through `change()`, which gives what an event tells of before, and
every event through `emit()`. `reset()` forgets everything but the settings it was started with.
"""

import copy
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sandbox.stripe.wire import Json, Refusal

API_VERSION = "2026-10-28.endive"
REQUESTS_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between one fake and another."""

    key: str | None = None
    webhook_url: str | None = None
    webhook_secrets: tuple[str, ...] = ()
    public_url: str | None = None
    state: Path | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """Read the FAKE_STRIPE_ variables; two webhook secrets are parted by a comma."""
        given = os.environ.get("FAKE_STRIPE_WEBHOOK_SECRET", "")
        return cls(
            key=os.environ.get("FAKE_STRIPE_KEY") or None,
            webhook_url=os.environ.get("FAKE_STRIPE_WEBHOOK_URL") or None,
            webhook_secrets=tuple(each.strip() for each in given.split(",") if each.strip()),
            public_url=os.environ.get("FAKE_STRIPE_PUBLIC_URL") or None,
            state=Path(kept) if (kept := os.environ.get("FAKE_STRIPE_STATE")) else None,
        )


@dataclass(slots=True)
class Webhook:
    """Where events are posted, and what goes wrong on the way."""

    url: str | None = None
    secrets: list[str] = field(default_factory=list)
    duplicate: int = 0
    reorder: bool = False
    delay_seconds: float = 0.0
    drop_next: int = 0
    drop_all: bool = False
    retry_seconds: list[float] = field(default_factory=lambda: [0.1, 0.3, 1.0, 3.0])
    timeout_seconds: float = 10.0
    signed_ahead_seconds: int = 0
    events: list[str] = field(default_factory=lambda: ["*"])
    enabled: bool = True
    thin: bool = False

    def wants(self, kind: str) -> bool:
        """Whether an event of that kind is sent."""
        return bool(self.url) and self.enabled and bool({"*", kind} & set(self.events))


@dataclass(slots=True)
class Planned:
    """How the next matching requests fail; see `control.py` for the names."""

    name: str
    value: float = 0.0
    method: str = "POST"
    path: str = ""
    times: int = 1


@dataclass(slots=True)
class Switches:
    """What the world is like: taxes, how refunds of cards begin, what our balance is kept in."""

    tax_percent: int = 10
    balance_currency: str = "usd"
    refunds: str = "succeeded"
    methods: list[str] = field(default_factory=lambda: ["card", "link", "us_bank_account"])


class Desk:
    """A running fake, as its own process sees it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""
        self.posted: Callable[[], None] = lambda: None
        self.reset()

    def reset(self) -> None:
        """Be as freshly started."""
        self.objects: dict[str, Json] = {}
        self.behaviours: dict[str, str] = {}
        self.keys: dict[tuple[str, str], Any] = {}
        self.requests: deque[Json] = deque(maxlen=REQUESTS_KEPT)
        self.deliveries: deque[Json] = deque(maxlen=REQUESTS_KEPT)
        self.planned: list[Planned] = []
        self.switches = Switches()
        self.skew_seconds = 0
        self.invoices_numbered = 0
        self.asking: Json = {"id": None, "idempotency_key": None}
        self.webhook = Webhook(
            url=self.settings.webhook_url, secrets=list(self.settings.webhook_secrets)
        )
        self.outbox: list[Json] = []

    @property
    def public_url(self) -> str:
        """What the addresses of pages begin with."""
        return (self.settings.public_url or self.url).rstrip("/")

    def now(self) -> int:
        """Give the fake's own time, in whole seconds."""
        return int(time.time()) + self.skew_seconds

    def add(self, thing: Json) -> Json:
        """Remember a new object."""
        self.objects[thing["id"]] = thing
        return thing

    def all(self, kind: str) -> list[Json]:
        """Give the objects of a kind, newest first."""
        return [
            each
            for each in reversed(self.objects.values())
            if each["object"] == kind and not each.get("deleted")
        ]

    def find(self, kind: str, name: str, *, param: str | None = None) -> Json:
        """Give an object; without it, 404 for one in the path and 400 for one in a parameter."""
        found = self.objects.get(name)
        if found is None or found["object"] != kind or found.get("deleted"):
            message = f"No such {kind.rsplit('.', 1)[-1].replace('_', ' ')}: '{name}'"
            status = 404 if param is None else 400
            raise Refusal(status, message, code="resource_missing", param=param or "id")
        return found

    def change(self, thing: Json, **fields: Any) -> Json:
        """Change an object, and give what its event calls `previous_attributes`."""
        before: Json = {}
        for name, value in fields.items():
            if thing.get(name) != value:
                before[name] = _before(thing.get(name), value)
                thing[name] = value
        return before

    def emit(self, kind: str, thing: Json, before: Json | None = None) -> Json:
        """Write an event with a snapshot of the object, and have it delivered."""
        data: Json = {"object": copy.deepcopy(shown(thing))}
        if before is not None:
            data["previous_attributes"] = copy.deepcopy(before)
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 1 if self.webhook.wants(kind) else 0,
            "request": dict(self.asking),
            "type": kind,
        }
        self.add(event)
        if self.webhook.wants(kind):
            self.outbox.append(event)
            self.posted()
        return event

    def fail_next(
        self, name: str, value: float = 0.0, *, times: int = 1, method: str = "POST", path: str = ""
    ) -> None:
        """Let the next matching requests fail so."""
        self.planned.append(Planned(name, value, method, path, times))

    def planned_for(self, method: str, path: str) -> Planned | None:
        """Take the failure that was planned for this request, if one was."""
        for each in self.planned:
            if each.method in ("*", method) and path.startswith(each.path):
                each.times -= 1
                if each.times <= 0:
                    self.planned.remove(each)
                return each
        return None


def new_id(prefix: str) -> str:
    """Make an identifier as Stripe's look."""
    return f"{prefix}_{secrets.token_hex(12)}"


def shown(thing: Json) -> Json:
    """Leave out what is ours; Stripe's own names begin with a letter."""
    return {name: value for name, value in thing.items() if not name.startswith("_")}


def _before(old: Any, new: Any) -> Any:
    """Of a nested object Stripe tells only what differs; a name that is new was null."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(old)
    names = [*old, *(name for name in new if name not in old)]
    return {n: copy.deepcopy(old.get(n)) for n in names if old.get(n) != new.get(n)}
