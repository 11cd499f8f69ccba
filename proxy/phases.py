"""What the books are asked in each phase of a call, and what becomes of it: one statement for all.

A function here does a list of asks on a lane's connection (`books.py`) by a statement of `sql.py`,
and says of each what came of it, in words that a member reads.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from django.utils.translation import gettext_noop

from apikeys import budgets, keys
from common import logs, metrics
from common.db import rows
from common.errors import (
    AccessDisabled,
    BudgetExceeded,
    NotFound,
    PlatformError,
    Unauthorized,
    Unavailable,
)
from common.lanes import away, deserved
from common.money import show
from common.told import kept
from credits.books import elsewhere, limits, turns
from desk import maintenance
from proxy import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apikeys.callers import Asked
    from common.db import Db
    from proxy.catalogue import Asset, Use

Row = tuple[Any, ...]
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""As JSON writes it; behind an odd backslash it is none."""
NO_NODES = gettext_noop("This key may not call nodes (scope proxy). Use another key.")
NOT_THIS = kept("This key may not call %(vendor)s. Use another key.")
NOT_HERE = kept("This workspace does not allow %(vendor)s. Its owner says which providers it does.")
OVER_CALL = kept("This call can cost %(amount)s, more than this key may spend on one call.")
RENEWALS = 3
"""So often are budgets looked up anew for one ask: mostly once, in a period's first moment."""


@dataclass(slots=True)
class Place:
    """An ask to set money aside for a call."""

    hold: str
    vendor: str
    amount: int
    ttl: int
    intent: str
    keyed: bool
    memo: dict[str, Any]
    book: int = 0
    """The version of the price book that it was priced by."""
    assets: list[Use] | None = None
    """Ids of earlier calls that it uses: they must be its workspace's own."""
    digest: str | None = None
    sid: str | None = None
    workspace: str | None = None
    address: str | None = None
    """Who asks: see `callers.Asked`."""
    process: str | None = None
    paced: bool = False
    """Whether it has one of the calls that its key may begin in this minute."""
    n: int = 0
    """Its place in the batch it goes with."""

    @property
    def way(self) -> Asked:
        """As who asks is asked for alone."""
        return {
            "digest": self.digest,
            "sid": self.sid,
            "workspace": self.workspace,
            "address": self.address,
        }


@dataclass(frozen=True, slots=True)
class Placed:
    """What came of it: `placed`, `repeat` or `answered`; other verdicts were raised."""

    verdict: str
    wallet: str
    key: str
    """The id of the key; empty for a token."""
    old_pepper: bool = False
    """Whether the key still has its digest under an older pepper."""
    slots: tuple[int, int] | None = None
    """How many calls of this size may run at once, and do, itself among them; None: any number."""
    pace: dict[str, str] = field(default_factory=dict)
    """How its key's minute stands, as RateLimit fields, if there is a limit."""


@dataclass(slots=True)
class Settle:
    """An ask to end a hold and write its call. `charged` is 0 unless delivered."""

    hold: str
    wallet: str
    outcome: str
    charged: int = 0
    only_expired: bool = False
    silent: bool = False
    """Whether the history does not show it: a repeat of what it shows already."""
    reason: str = ""
    status: int = 0
    attempts: int = 1
    vendor_job_id: str = ""
    vendor_request_id: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    is_job: bool = False
    vendor: str = ""
    account: str = "default"
    assets: list[Asset] | None = None
    """Ids that it made: they are its workspace's own from now on."""
    answer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Micros that were charged, and that the house bears because more than the hold was due."""

    charged: int
    shortfall: int


@dataclass(slots=True)
class Accept:
    """An ask to remember a job, under a hold that now lasts until after its deadline."""

    hold: str
    ttl: int
    vendor: str
    operation: str
    scope: str
    vendor_job_id: str
    vendor_request_id: str
    poll_url: str
    poll_method: str
    poll_body: dict[str, Any] | None
    price: int | None
    most: int
    inputs: dict[str, Any]
    deadline: int
    first_poll: int
    kept_seconds: int
    account: str = "default"
    """Under which the vendor took it."""
    assets: list[Asset] | None = None
    answer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FindJob:
    """An ask for a job by the vendor's id, and for who the credential is (if one came)."""

    vendor: str
    scope: str
    job: str
    digest: str | None = None
    sid: str | None = None
    workspace: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    known: bool
    """Whether a living key came."""
    own: bool
    """Whether the job is that key's workspace's."""
    job: Row | None
    """A row of `sql.JOB_COLUMNS`; None if there is no such job."""


class Repriced(Unavailable):
    """It was priced by a version of the price book that does not hold any more. Nothing is held."""

    def __init__(
        self, message: str = "Prices are changing at this moment. Please try again."
    ) -> None:
        super().__init__(message)


def document(asks: Any) -> str:
    """Return the JSON of what is asked: the one parameter of each statement.

    No text in a database holds a NUL, and an id with one is nobody's: another sign stands there.
    """
    document = orjson.dumps(asks)
    if b"\\u0000" in document:
        document = NUL.sub(rb"\1\\ufffd", document)
    return document.decode()


async def place(db: Db, asks: Sequence[Place]) -> list[Placed | Exception]:
    """Set money aside for each, or say why not; nothing is placed where it raises."""

    async def run(some: Sequence[Place]) -> list[tuple[Any, ...]]:
        for n, ask in enumerate(some):
            ask.n = n
        return await rows(db, sql.PLACE, document(some))

    answers = await turns.in_turn(asks, run)
    for _ in range(RENEWALS):
        stale = [n for n, each in enumerate(answers) if _verdict_of(each) == "renew"]
        if not stale:
            break
        some = [asks[n] for n in stale]
        for n, answer in zip(stale, await _renewed(db, some, run), strict=True):
            answers[n] = answer
    return [
        deserved(answer, lost=db.closed) if isinstance(answer, Exception) else came_to(ask, answer)
        for ask, answer in zip(asks, answers, strict=True)
    ]


def _verdict_of(outcome: turns.Outcome) -> str:
    return outcome.verdict if isinstance(outcome, turns.Answer) else ""


async def _renewed(db: Db, asks: Sequence[Place], run: turns.Run[Place]) -> Sequence[turns.Outcome]:
    """Place what could not be before the budgets that it is under were looked up anew.

    Others of the batch were placed: what is raised here is an answer to these alone.
    """
    try:
        await budgets.renew(db, [ask.way for ask in asks])
        return await turns.in_turn(asks, run)
    except Exception as exc:
        return [exc] * len(asks)


def came_to(ask: Place, answer: turns.Answer) -> Placed | PlatformError:
    """Return what an ask came to, by the statement's word: placed, or a refusal in a sentence."""
    if answer.verdict in ("placed", "repeat", "answered", "pace"):
        slots = (answer.told["most"], answer.told["open"]) if answer.told else None
        return Placed(answer.verdict, answer.wallet, answer.facts or "", slots=slots)
    refusal = _refusal(ask, answer)
    refusal.told = answer
    return refusal


def _refusal(ask: Place, answer: turns.Answer) -> PlatformError:
    if answer.verdict == "repriced":
        return Repriced()
    if answer.verdict == "maintained":
        return maintenance.refusal(None)
    if answer.verdict == "renew":  # Somebody changes rules all the time.
        return away()
    if answer.verdict == "frozen":
        return elsewhere.refusal(answer.frozen or "")
    if answer.told is not None:
        return limits.refusal(answer.told, amount=ask.amount)
    return barred(answer.verdict, ask.vendor, ask.amount)


def barred(verdict: str, vendor: str, amount: int) -> PlatformError:
    """Return what the word means by which `callers.PAYER` refuses."""
    if verdict == "network":
        return AccessDisabled(keys.ELSEWHERE)
    if verdict == "scope":
        return AccessDisabled(NO_NODES)
    if verdict == "vendor":
        return AccessDisabled(NOT_THIS % {"vendor": vendor})
    if verdict == "vendor_here":
        return AccessDisabled(NOT_HERE % {"vendor": vendor})
    if verdict == "asset":
        return NotFound("This request names an id that is unknown, or another workspace's.")
    if verdict == "call_limit":
        return BudgetExceeded(OVER_CALL % {"amount": show(amount)})
    return Unauthorized("This API key or sign-in is unknown, expired or ended.")


async def settle(db: Db, asks: Sequence[Settle]) -> list[Settled | None]:
    """End each hold and write its call; None for one that had ended before."""
    # Two that end one hold at the same moment: the first wins, but an expiry gives way.
    first: dict[str, Settle] = {}
    for ask in asks:
        if ask.hold not in first or first[ask.hold].only_expired:
            first[ask.hold] = ask
    ended = await rows(db, sql.SETTLE, document(list(first.values())))
    done = {row[0]: Settled(row[1], row[2]) for row in ended}
    for ask in asks:
        if (settled := done.get(ask.hold)) is not None and settled.shortfall:
            # An alarm: an upper bound is wrong and must be mended; the house bears the rest.
            metrics.SHORTFALLS.inc()
            logs.line(level="error", event="shortfall", call=ask.hold, micros=settled.shortfall)
    return [done.get(ask.hold) if first[ask.hold] is ask else None for ask in asks]


async def accept(db: Db, asks: Sequence[Accept]) -> list[bool]:
    """Remember each job; False where its hold is not open any more, or another call has it."""
    done = {row[0] for row in await rows(db, sql.ACCEPT, document(asks))}
    return [ask.hold in done for ask in asks]


async def find(db: Db, asks: Sequence[FindJob]) -> list[Found]:
    """Return what is known of each job, and of who asks for it."""
    asked = [{"n": n, **asdict(ask)} for n, ask in enumerate(asks)]
    return [
        Found(bool(known), bool(own), tuple(job) if job[0] else None)
        for known, own, *job in await rows(db, sql.FIND_JOBS, document(asked))
    ]


async def query(
    db: Db, asks: Sequence[tuple[str, tuple[Any, ...]]]
) -> list[list[tuple[Any, ...]] | Exception]:
    """Run one after the other, each committed: an error is its own ask's alone.

    They are not run again for a neighbour's sake: to take an answer is not the same twice.
    """
    answers: list[list[tuple[Any, ...]] | Exception] = []
    for statement, parameters in asks:
        try:
            answers.append(await rows(db, statement, *parameters))
        except psycopg.Error as exc:
            if db.closed or db.broken:
                raise
            answers.append(deserved(exc))
    return answers
