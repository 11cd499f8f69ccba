"""Every vendor and operation that can be called. What is not here is a 404."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from django.conf import settings

from common.cached import from_settings
from common.errors import InvalidRequest, ProviderDisabled, UnknownRoute
from proxy.credentials import Account, account_of
from proxy.pricing import FREE, Price

if TYPE_CHECKING:
    from fractions import Fraction

    from proxy.again import KnownBy
    from proxy.along import How
    from proxy.asked import Asked
    from proxy.credentials import Scheme
    from proxy.dialect import Judged, Said
    from proxy.inputs import Input

Asset = tuple[str, str]
"""What a vendor's id is of, and the id: ("task", "8f3c...")."""
Use = Asset | tuple[str, str, str]
"""An id that a request names. With "public" after it, it may be one of the vendor's public ones:
of a library of styles or voices, which nobody here has made."""
PUBLIC = "public"
STORES = (
    "amazonaws.com",
    "storage.googleapis.com",
    "r2.cloudflarestorage.com",
    "aliyuncs.com",
    "blob.core.windows.net",
)
"""Whose stores vendors have uploads put into, at addresses that they sign."""


@from_settings
def moved_to(vendor: str, base: str = "") -> str:
    """Return the address that the operator put in the place of a vendor's own, empty if none."""
    setting = f"VENDOR_{vendor}_{base}_BASE_URL" if base else f"VENDOR_{vendor}_BASE_URL"
    template = str(settings.VENDOR_SETTINGS.get(setting.upper(), "") or settings.VENDOR_BASE_URL)
    return template.replace("{vendor}", f"{vendor}-{base}" if base else vendor).rstrip("/")


def is_moved_alone(vendor: str) -> bool:
    """Whether the operator put an address in the place of this vendor's, not only of everyone's."""
    return bool(settings.VENDOR_SETTINGS.get(f"VENDOR_{vendor}_BASE_URL".upper()))


class Kind(enum.Enum):
    """What an operation does with its hold."""

    SYNC = "sync"
    """The answer is the result."""
    SUBMIT = "submit"
    """The answer names a job; the hold stays open until the job ends."""
    POLL = "poll"
    """Asks for a job; never costs anything, and is never refused for money."""
    RESULT = "result"
    """Gives what a job made, to its owner only, and only if it is paid for."""
    UPLOAD = "upload"
    """Gives the vendor a file; the id that it answers belongs to the workspace. Costs nothing."""
    STEP = "step"
    """A part of a job that another operation pays for."""
    CANCEL = "cancel"
    """Asks the vendor to end a job; how it ended is then polled."""
    FREE = "free"
    """Passed through for a key that may call the vendor; nothing is held, charged or recorded."""


class Takes(enum.Enum):
    """What a request's body is."""

    JSON = "json"
    """Read whole, up to a limit."""
    FORM = "form"
    """Multipart or urlencoded: its fields are read, its files wait on disk."""
    STREAM = "stream"
    """Passed through as it comes; nothing depends on it."""


class Gives(enum.Enum):
    """What an answer's body is."""

    JSON = "json"
    """Read whole, up to a limit, and judged: a vendor may say no inside a 200."""
    BYTES = "bytes"
    """Passed through as it comes."""
    LINES = "lines"
    """JSON lines, passed through one by one; the last one settles."""


class SeveralJobs(InvalidRequest):
    """A poll asks for more than one job."""


@dataclass(frozen=True, slots=True)
class Named:
    """Where a request names the job it is about: a part of its path, its query, or its body."""

    where: str
    name: str
    separator: str = ""
    """By which the vendor takes several ids at once, where it does; here it is always one."""

    def of(self, asked: Asked) -> str:
        """Return the vendor's id, or raise InvalidRequest."""
        place: Mapping[str, Any] = {
            "path": asked.parts,
            "query": asked.query,
            "body": asked.body,
        }[self.where]
        found = place.get(self.name, "")
        if not isinstance(found, str) or not found or len(found) > 1000 or "\x00" in found:
            raise InvalidRequest(f"{self.name} must be the id of a job.")
        if self.separator and self.separator in found:
            raise SeveralJobs(f"{self.name} must be one id: please ask for one job at a time.")
        return found


@dataclass(frozen=True, slots=True)
class Ask:
    """How the vendor is asked for a job: kept with it, so that anybody can ask again."""

    url: str
    method: str = "GET"
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A vendor's long-running task: what its submit says, how it is polled, what a poll says."""

    poll: str
    """The path of the operation that polls it."""
    job_id: Callable[[Any], str | None]
    """From the submit's JSON."""
    judge: Callable[[Said], Judged | None]
    """What a poll's answer means; None if it says nothing (a bad moment, asked again later)."""
    pending: Callable[[str], Any]
    """What we say in the vendor's words while it cannot be asked for a moment."""
    failed: Callable[[str, str], Any]
    """What we say in the vendor's words of an id whose job ended without a result, and why."""
    results: Callable[[Any], Iterable[str]] = lambda _: ()
    """The addresses of what was delivered, in the answer that told of it."""
    ask: Callable[[Route, Any, Account], Ask | None] | None = None
    """From the submit's answer and the account that it was made under, if it is not the poll
    operation with the job's id."""
    rewrite: Callable[[Any, str], Any] | None = None
    """The submit's answer with its polling URL replaced by ours: for clients that poll what they
    are given, without a credential."""
    assets: Callable[[Any], Iterable[Asset]] = lambda _: ()
    """Further ids of the submit's answer or the end's that belong to its workspace."""
    also_polled: tuple[str, ...] = ()
    """Paths of others that clients poll it by."""
    scope: str = "task"
    measured: str = ""
    """What of the delivered file decides the price: `seconds` or `frames` of an MP4, `pixels` of a
    picture, or nothing."""
    stated: Callable[[Any], Fraction | None] = lambda _: None
    """The same as the end itself says it; the file is measured only where that says nothing."""
    interval_seconds: float = 2.0
    """The vendor is not asked more often than this, whoever polls."""
    deadline_seconds: int = 3600
    """How long it may take before we stop following it."""
    kept_seconds: int = 3 * 24 * 3600
    """How long the vendor keeps the result after the end."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a vendor sells, or does beside it, at a path under `/proxy/`."""

    method: str
    path: str
    """Below `/proxy/`; `{name}` parts match one segment."""
    upstream: str
    """The path at the vendor; `{name}` parts as in `path`."""
    price: Price = FREE
    kind: Kind = Kind.SYNC
    takes: Takes = Takes.JSON
    gives: Gives = Gives.JSON
    job: Job | None = None
    """Of a submit."""
    names: Named | None = None
    """Where a poll or a result names its job. Of a submit: its job was made before, for nothing;
    the vendor is asked for it first, and the price reads what that says (`Asked.told`)."""
    scope: str = "task"
    """What the id in `names` is of."""
    sends: str = ""
    """The method at the vendor, where it is another."""
    public: bool = False
    """Of a poll: an id that is no job of ours is looked up as it is, if `uses` allows it."""
    of_call: bool = False
    """Of a result: whether the call that made it was its payment. Else there was a job, and while
    that is remembered it tells whether it was paid for; then nothing is given any more."""
    measures: tuple[Input, ...] = ()
    """Files in a request whose length, or size, decides the price: measured where they are here."""
    uses: Callable[[Asked], Iterable[Use]] | None = None
    """Ids of earlier calls in a request: they must be its workspace's own."""
    makes: Callable[[Any], Iterable[Asset]] | None = None
    """Ids in the answer that are its workspace's own from now on."""
    along: Mapping[str, How] | None = None
    """The same as `Vendor.along`, where this operation differs from the others."""
    prepare: Callable[[Asked, Mapping[str, Any]], dict[str, Any] | None] | None = None
    """The JSON or the form's fields as the vendor wants them, from what was asked and the inputs
    of the price: a limit injected, fields dropped or renamed. None, or where it returns None: sent
    as it came."""
    sends_form: bool = False
    """Whether it is sent as a multipart form, whatever it came as; of a JSON, what is prepared: a
    list is several fields."""
    file_names: Mapping[str, str] = field(default_factory=dict)
    """What the vendor calls fields of a form that are files, where clients call them otherwise."""
    repeated: tuple[str, ...] = ()
    """Fields of a form that may come several times: each is a list of texts in the body."""
    locate: Callable[[Vendor, Account, Mapping[str, str]], str] | None = None
    """Its URL at the vendor, without a query, from the operator's account and the parts of the
    path, where `upstream` at its base is not all of it."""
    upstream_of: Callable[[Asked], str] | None = None
    """The path at the vendor where the body decides it."""
    reply: Callable[[Any], Any] | None = None
    """The answer's JSON as clients of every generation read it. None: given as it came."""
    undo: Callable[[Asked], Ask] | None = None
    """What gives back at the vendor what an answer set aside that is refused here: a path of its
    base. It is said once, and nothing is charged whether or not it is heard."""
    known_by: KnownBy | None = None
    """How the vendor knows a request again, so that a lost answer can be asked for once more."""
    reports: Callable[[Any], bool] = lambda _: True
    """Whether an answer says what the price is made of; of a job its end, where the submit did not
    say the price. One that does not is charged by the rule's own estimate, and leaves a finding."""
    delivers: Callable[[Any], bool] = lambda _: True
    """Whether the JSON of an answer that is the result holds one. One that does not costs nothing,
    whatever its status."""
    judge_head: Callable[[Callable[[bytes], str]], Judged | None] | None = None
    """Of an operation that gives bytes: what the head of an answer means, from what it says under
    a header's name; None if it is a result."""
    judge_line: Callable[[Any], Judged | None] | None = None
    """What a line means, of an operation that gives lines, with what was noted before; None if
    more come."""
    note_line: Callable[[Any], dict[str, Any]] = lambda _: {}
    """What a line tells that the end is judged and settled by."""
    reply_line: Callable[[Any], Any] = lambda line: line
    """A line as clients read it; None: it is kept from them."""
    query: tuple[str, ...] = ()
    """Query parameters that are passed on; all others are dropped."""
    headers: tuple[str, ...] = ()
    """Request headers, in lower case, that are passed on beside the usual few."""
    base: str = ""
    """Which of the vendor's bases it is at."""
    credential: Scheme | None = None
    """If it is not the vendor's usual one."""
    timeout_seconds: int = 600
    """Longer than the vendor's own."""
    answer_limit_bytes: int = 64 << 20
    """Of an answer that is read whole."""
    price_version: str = ""
    title: str = ""
    """What it is called in a history, like `BFL Flux 1.1 [pro] Ultra`."""

    @property
    def name(self) -> str:
        """What it is called in records and logs, like `bfl/flux-pro-1.1-ultra/generate`."""
        return self.path


@dataclass(frozen=True, slots=True)
class Vendor:
    """A supplier: where it is, how we prove who we are, what it sells, how it says no."""

    name: str
    display: str
    base_url: str
    credential: Scheme
    operations: tuple[Operation, ...]
    bases: Mapping[str, str] = field(default_factory=dict)
    """Further addresses, by the names that operations call them."""
    hosts: tuple[str, ...] = ()
    """Domains that may get our credential, beside the bases."""
    file_hosts: tuple[str, ...] = ()
    """Domains from which a result may be fetched, without any credential."""
    along: Mapping[str, How] = field(default_factory=dict)
    """How it takes files within a request, where it cannot fetch them here: by the kind that their
    type begins with (`image`, `video`, `audio`, `model`). What is not there it must fetch."""
    judge: Callable[[Said], Judged | None] = lambda _: None
    """What an answer means where its status does not tell; None: see `dialect.by_status`."""
    says: Callable[[Any], str] = lambda _: ""
    """The sentence in an error body, for the member to read."""

    def account(self, operation: Operation | None = None) -> Account:
        """Return the environment's account, or raise ProviderDisabled if it has none."""
        scheme = self.scheme(operation)
        found = account_of(self.name, (*scheme.required, *scheme.optional), scheme.public)
        if problem := scheme.problem(found):
            raise ProviderDisabled(f"{self.display} {problem}")
        return found

    def scheme(self, operation: Operation | None = None) -> Scheme:
        """Return how requests of an operation are signed."""
        return (operation and operation.credential) or self.credential

    def poll(self, job: Job) -> Operation:
        """Return the operation that polls a job."""
        return next(
            each for each in self.operations if each.kind is Kind.POLL and each.path == job.poll
        )

    def address(self, base: str = "") -> str:
        """Return where the vendor is, by one of its bases."""
        own = self.bases[base] if base else self.base_url
        return moved_to(self.name, base) or own.rstrip("/")

    def may_sign(self, url: str) -> bool:
        """Whether a URL may get our credential: at one of the bases, or on a host of the vendor."""
        return self._is_at(url, self.hosts)

    def may_fetch(self, url: str) -> bool:
        """Whether a URL may be fetched without a credential, to measure what is delivered."""
        return self._is_at(url, (*self.hosts, *self.file_hosts))

    def may_store(self, url: str) -> bool:
        """Whether a member's file may be put at a URL that the vendor named for it."""
        return self._is_at(url, (*self.hosts, *self.file_hosts, *STORES))

    def _is_at(self, url: str, domains: tuple[str, ...]) -> bool:
        if not re.fullmatch(r"[!-~]+", url):
            return False  # A space or a line break would end the request line that it goes into.
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            own = [urlsplit(self.address(base)) for base in ("", *self.bases)]
        except ValueError:
            return False
        if any((parts.scheme, parts.netloc) == (base.scheme, base.netloc) for base in own):
            return True
        moved = self.address() != self.base_url.rstrip("/")
        if moved or parts.username or parts.scheme != "https":
            return False
        return any(host == domain or host.endswith("." + domain) for domain in domains)


@dataclass(frozen=True, slots=True)
class Route:
    """An operation that was found, with the parts of its path."""

    vendor: Vendor
    operation: Operation
    parts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The operation's name in records and logs."""
        return self.operation.path

    def url(self, account: Account, asked: Asked) -> str:
        """Return the URL at the vendor, without a query."""
        if self.operation.upstream_of is not None:
            return self.vendor.address(self.operation.base) + self.operation.upstream_of(asked)
        if self.operation.locate is not None:
            return self.operation.locate(self.vendor, account, self.parts)
        path = self.operation.upstream
        for name, value in self.parts.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return self.vendor.address(self.operation.base) + path


class Catalogue:
    """All operations, found by method and path."""

    def __init__(self, vendors: tuple[Vendor, ...]) -> None:
        self.vendors = {vendor.name: vendor for vendor in vendors}
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Vendor, Operation]] = []
        for vendor in vendors:
            for operation in vendor.operations:
                self._add(vendor, operation)

    def _add(self, vendor: Vendor, operation: Operation) -> None:
        path = f"/proxy/{operation.path}"
        if "{" in path:
            parts = re.split(r"\{(\w+)\}", path)
            pattern = "".join(
                f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)
            )
            self._patterns.append((operation.method, re.compile(pattern), vendor, operation))
        else:
            key = (operation.method, path)
            assert key not in self._exact, f"{key} is in the catalogue twice"
            self._exact[key] = Route(vendor, operation, {})

    def find(self, method: str, path: str) -> Route:
        """Return the route of a decoded path, matched exactly, or raise UnknownRoute."""
        route = self._exact.get((method, path))
        if route is not None:
            return route
        # A part that could climb or hide in the vendor's path is nobody's id.
        if not re.search(r"//|/\.\.?(/|$)|[%\\\x00-\x1f\x7f]", path):
            for wanted, pattern, vendor, operation in self._patterns:
                if wanted == method and (match := pattern.fullmatch(path)):
                    return Route(vendor, operation, match.groupdict())
        raise UnknownRoute(f"{method} {path[:200]} is not an operation of this platform.")

    def submit(self, vendor: str, name: str) -> Route | None:
        """Return the submit of that name, for a job that is remembered; None if it is gone."""
        found = self.vendors.get(vendor)
        for operation in found.operations if found else ():
            if operation.path == name and operation.job is not None:
                assert found is not None, "its operations were looked at"
                return Route(found, operation, {})
        return None


def asking(vendor: Vendor, poll: Operation, job_id: str) -> Ask:
    """Return how the vendor is asked by its poll operation for that id."""
    named = poll.names
    assert named is not None, f"{poll.path} names no job"
    url = vendor.address(poll.base) + poll.upstream
    if named.where == "path":
        return Ask(url.replace(f"{{{named.name}}}", quote(job_id, safe="")), poll.method)
    if named.where == "query":
        return Ask(f"{url}?{named.name}={quote(job_id, safe='')}", poll.method)
    return Ask(url, poll.method, {named.name: job_id})
