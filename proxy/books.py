"""The proxy's lanes to the books: each phase of a call is one statement for all who wait.

The statements themselves are in `proxy/sql.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import psycopg
from django.utils.translation import gettext_noop

from apikeys import budgets, keys, paces
from common import logs, metrics
from common.db import rows
from common.errors import (
    AccessDisabled,
    BudgetExceeded,
    Maintained,
    NotFound,
    PlatformError,
    Unauthorized,
    Unavailable,
)
from common.lanes import Lane, Lost, away, deserved
from common.money import show
from common.told import kept
from credits.books import elsewhere, holds, limits, turns
from desk import maintenance
from proxy import sql
from proxy.late import Late, pauses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from apikeys.callers import Asked, Caller
    from common.db import Db
    from common.money import Micros
    from proxy.alive import Alive
    from proxy.answers import PendingAnswer
    from proxy.catalogue import Asset, Use

Row = tuple[Any, ...]
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""As JSON writes it; behind an odd backslash it is none."""
NO_NODES = gettext_noop("This key may not call nodes (scope proxy). Use another key.")
NOT_THIS = kept("This key may not call %(vendor)s. Use another key.")
NOT_HERE = kept("This workspace does not allow %(vendor)s. Its owner says which providers it does.")
OVER_CALL = kept("This call can cost %(amount)s, more than this key may spend on one call.")
HOLD_MARGIN_SECONDS = 60
"""A hold outlives its vendor's time limit by this; then the sweep frees it."""
RENEWALS = 3
"""So often are budgets looked up anew for one ask: mostly once, in a period's first moment."""
UNHEARD_SECONDS = 6
"""After that a statement has ended whose connection was lost (`statement_timeout`)."""

Done = TypeVar("Done")
Owed = TypeVar("Owed", "Settle", "Accept")


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


class Books:
    """The lanes of one process. Every ask is safe to repeat."""

    def __init__(self, alive: Alive | None = None) -> None:
        """With `alive`, holds are in the name of this process, and freed soon after its death."""
        self._alive = alive
        self._place: Lane[Place, Placed | Exception] = Lane("place", _place)
        self._settle: Lane[Settle, Settled | None] = Lane("settle", _settle)
        self._accept: Lane[Accept, bool] = Lane("accept", _accept)
        self._find: Lane[FindJob, Found] = Lane("find-job", _find)
        self._other: Lane[tuple[str, tuple[Any, ...]], list[tuple[Any, ...]] | Exception] = Lane(
            "other", _query
        )
        self._late = Late()
        self._shares = paces.Shares()
        self._taking = asyncio.Lock()

    async def connected(self) -> bool:
        """Return whether each lane has a connection to the database, or got one now."""
        return all(await asyncio.gather(*(lane.connected() for lane in self._lanes())))

    def _lanes(self) -> tuple[Lane[Any, Any], ...]:
        return self._place, self._settle, self._accept, self._find, self._other

    async def close(self) -> None:
        """Finish what waits, then close the connections."""
        await self._late.close()
        await asyncio.gather(*(lane.close() for lane in self._lanes()))
        if self._alive is not None:
            await self._alive.close()

    async def place(self, ask: Place, caller: Caller) -> Placed:
        """Set money aside for a caller, under what is known of it, or raise why not.

        One statement decides: the key lives and may, the intent is new, the wallet is not frozen
        and has enough. `repeat` and `answered` set nothing aside. What is still owed of the intent
        is waited for.
        """
        if self._late.owes:
            await self._late.none_of(ask.intent)
        refusal: Exception = Unauthorized("There is no pepper.")
        ways = caller.asked()
        # The newest again at the end: the key may be getting its new digest at this moment.
        for way in ways if len(ways) == 1 else [*ways, ways[0]]:
            ask.digest, ask.address = way["digest"], way["address"]
            ask.sid, ask.workspace = way["sid"], way["workspace"]
            ask.process = self._alive.name if self._alive is not None else None
            answer = await self._paced(ask, caller)
            if isinstance(answer, Placed):
                return answer if way is ways[0] else replace(answer, old_pepper=True)
            refusal = answer
            if not isinstance(answer, Unauthorized):
                break
        raise await self._told(refusal)

    async def _told(self, refusal: Exception) -> Exception:
        """Return a refusal; that of a maintenance with what staff say of it."""
        if not isinstance(refusal, Maintained):
            return refusal
        rows = await self.query(maintenance.SENTENCE)
        told = maintenance.refusal((rows[0][0], rows[0][1]) if rows else None)
        told.told = refusal.told
        return told

    async def _paced(self, ask: Place, caller: Caller) -> Placed | Exception:
        """Place it; where its key has a pace, with one of the calls of this minute.

        Without one it is asked for all the same: a repeat is answered, whatever the pace.
        """
        share = self._shares.of(caller.name)
        ask.paced = share is not None and share.take()
        answer = await self._placed(ask)
        if isinstance(answer, Placed) and answer.verdict == "pace":
            share = await self._share(ask, caller)
            if share is not None and not share.take():
                refusal = share.refusal()
                told = {"most": share.most, "left": 0, "resets_at": share.resets_at}
                refusal.told = turns.Answer(
                    0, answer.wallet, "pace", None, None, answer.key, None, told=told
                )
                return refusal
            ask.paced = True
            answer = await self._placed(ask)
        if share is not None and isinstance(answer, Placed):
            return replace(answer, pace=share.headers())
        return answer

    async def _share(self, ask: Place, caller: Caller) -> paces.Share | None:
        """Return what this process has of the minute's calls, more taken if need be."""
        async with self._taking:  # Of a crowd one takes, and the rest finds some.
            share = self._shares.of(caller.name)
            if share is not None and (share.is_used_up or share.has_some):
                return share
            asked_at = time.monotonic()
            found = await self.query(paces.TAKE, document(ask.way))
            return self._shares.note(caller.name, found, asked_at)

    async def _placed(self, ask: Place) -> Placed | Exception:
        try:
            answer = await self._place.ask(ask)
        except Lost as exc:
            answer = exc
        if isinstance(answer, Lost):  # It may have been placed, and nobody will use it.
            self._late.owe(self._withdraw(ask.hold), ask.intent)
        return answer

    async def _withdraw(self, hold: str) -> None:
        """Void the hold whose placing was not heard to succeed, if it did; nothing was sent for it.

        The server may have gone on with the statement for as long as one may take: so the last
        look is after that.
        """
        end = time.monotonic() + UNHEARD_SECONDS
        async for _ in pauses():
            over = time.monotonic() > end
            try:
                found = await self.query(holds.WALLET_OF, hold)
                if found:
                    reason = "The platform could not reach its books."
                    await self._settle.ask(Settle(hold, found[0][0], "refused", reason=reason))
            except Unavailable:
                continue
            if found or over:
                return

    async def settle(self, ask: Settle, *, pending: PendingAnswer | None = None) -> Settled | None:
        """End the hold and write the call, durably; None if it had ended before.

        While the database is away it goes on trying, after LATE_SECONDS in the background (then
        it raises Unavailable): a result that a vendor delivered is not forgotten as long as this
        process lives. Its answer is kept in the same commit if `pending` says so by then.
        """
        return await self._write(self._settle, ask, pending, self._settled)

    async def accept(self, ask: Accept, *, pending: PendingAnswer | None = None) -> bool:
        """Remember the job; False if its hold is not open any more, or if another call has it.

        Its end is paid for once. Insists as `settle` does.
        """
        return await self._write(self._accept, ask, pending, self._accepted)

    async def keep(self, call_id: str, pending: PendingAnswer) -> None:
        """Keep an answer that turned out to be undelivered after its call was written."""
        try:
            await self._keep(call_id, pending)
        except Unavailable:
            self._late.owe(self._insist(lambda: self._keep(call_id, pending)), pending.intent)

    async def _keep(self, call_id: str, pending: PendingAnswer) -> None:
        if pending.wanted and not pending.kept:
            row = await pending.stored()
            await self.query(sql.KEEP_LATER, call_id, orjson.dumps(row).decode())
            pending.kept = True

    @staticmethod
    async def _insist(work: Callable[[], Awaitable[object]]) -> None:
        """Try until the database answers."""
        async for _ in pauses():
            with contextlib.suppress(Unavailable):
                await work()
                return

    async def _write(
        self,
        lane: Lane[Owed, Done],
        ask: Owed,
        pending: PendingAnswer | None,
        before: Callable[[Owed], Awaitable[Done]],
    ) -> Done:
        try:
            done = await self._try(lane, ask, pending)
        except Unavailable:
            return await self._late.insist(self._again(lane, ask, pending, before), pending)
        if not done:
            _tell_too_late(ask)
        return done

    @staticmethod
    async def _try(lane: Lane[Owed, Done], ask: Owed, pending: PendingAnswer | None) -> Done:
        if pending is None or not pending.wanted:
            return await lane.ask(ask)
        ask.answer = await pending.stored()
        done = await lane.ask(ask)
        pending.kept = True
        return done

    async def _again(
        self,
        lane: Lane[Owed, Done],
        ask: Owed,
        pending: PendingAnswer | None,
        before: Callable[[Owed], Awaitable[Done]],
    ) -> Done:
        """Try until the database answers; return that, or what a try `before` came to.

        That one did take effect, though its answer was lost.
        """
        async for _ in pauses():
            try:
                done = await self._try(lane, ask, pending)
                if not done and (done := await before(ask)) and pending is not None:
                    pending.kept = False
                if done and pending is not None:
                    await self._keep(ask.hold, pending)
            except Unavailable:
                continue
            if not done:
                _tell_too_late(ask)
            return done
        raise AssertionError("pauses do not end")

    async def _settled(self, ask: Settle) -> Settled | None:
        rows = await self.query(sql.CHARGED, ask.hold, ask.outcome)
        return Settled(rows[0][0], 0) if rows else None

    async def _accepted(self, ask: Accept) -> bool:
        return bool(await self.query("SELECT 1 FROM proxy_job WHERE id = %s", ask.hold))

    async def find_job(self, vendor: str, scope: str, job: str, caller: Caller | None) -> Found:
        """Return what is known of a job, and of who asks for it."""
        if caller is None:
            return await self._find.ask(FindJob(vendor, scope, job))
        found = Found(known=False, own=False, job=None)
        for way in caller.asked():
            found = await self._find.ask(FindJob(vendor, scope, job, **way))
            if found.known:
                break
        return found

    async def may_call(self, vendor: str, caller: Caller, assets: Sequence[Use] = ()) -> str:
        """Return the caller's workspace; raise unless it lives, may call, and owns those ids."""
        verdict, workspace = "unauthorized", ""
        given = {"vendor": vendor, "amount": 0, "assets": list(assets) or None}
        for way in caller.asked():
            ((verdict, workspace),) = await self.query(sql.MAY_CALL, document({**given, **way}))
            if verdict != "unauthorized":
                break
        if verdict is not None:
            raise barred(verdict, vendor, 0)
        return workspace

    async def available(self, caller: Caller) -> int:
        """Return the micros that the caller's wallet has free now; 0 for who is unknown."""
        for way in caller.asked():
            if rows := await self.query(sql.AVAILABLE, document(way)):
                return int(rows[0][0])
        return 0

    async def own(
        self, vendor: str, workspace: str, assets: Sequence[Asset], *, account: str
    ) -> bool:
        """Have ids belong to a workspace, as made under an account; False if one is another's."""
        if not assets:
            return True
        rows = await self.query(sql.OWN, vendor, workspace, account, document(list(assets)))
        return len(rows) == len({tuple(asset) for asset in assets})

    async def made_under(self, vendor: str, assets: Sequence[Use]) -> set[str]:
        """Return the names of the accounts under which ids of a vendor's were made."""
        rows = await self.query(sql.MADE_UNDER, document([use[:2] for use in assets]), vendor)
        return {name for (name,) in rows}

    async def move(self, hold: str, ttl: int, *, account: str) -> bool:
        """Have a hold stand for a call under another account, from now on; False if it is over."""
        path = ["facts", "account"]
        return bool(await self.query(holds.MOVE, ttl, path, account, hold))

    async def place_for(
        self, wallet: str, *, hold: str, amount: Micros, memo: dict[str, Any]
    ) -> bool:
        """Set money aside on a wallet for a moment; False if it has not enough, or is frozen.

        Again for the same hold, while that is open, it changes nothing, and is True.
        """
        ask = {"n": 0, "hold": hold, "wallet": wallet, "amount": amount, "ttl": 60,
               "intent": None, "keyed": False, "memo": memo}  # fmt: skip
        try:
            rows = await self.query(sql.PLACE_FOR, document([ask]))
        except psycopg.errors.UniqueViolation:  # Its try before ended in the middle.
            return bool(await self.query(holds.WALLET_OF, hold))
        return bool(rows[0][2] == "placed")

    async def count_repeat(self, intent: str, call: str) -> bool:
        """Whether a refused call is a repeat of one that the history shows: then that counts it.

        While the database is away it is a row of its own: what is told does not change for it.
        """
        try:
            ((first,),) = await self.query(sql.REPEATED, intent, call)
            if first == call:
                return False
            await self.query(sql.COUNT_REPEAT, first)
        except Unavailable:
            return False
        return True

    async def charged(self, call: str) -> int | None:
        """Return what a delivered call was charged (micros); None if there is no such call."""
        rows = await self.query(sql.CHARGED, call, "delivered")
        return int(rows[0][0]) if rows else None

    async def claim(self, hold: str, intent: str, ttl: int) -> None:
        """Let an equal request join this call from now on: its client has left.

        Where an equal call did so before, that is the one which is joined.
        """
        await self.query(holds.CLAIM_INTENT, intent, hold, ttl)

    async def release(self, hold: str) -> None:
        """Let the next equal request be a new call, while this one's hold stays.

        While the database is away that is owed: it changes nothing of what is told now.
        """
        try:
            await self.query(holds.RELEASE_INTENT, hold)
        except Unavailable:
            again = self._insist(lambda: self.query(holds.RELEASE_INTENT, hold))
            self._late.owe(again, "")

    async def renew(self, hold: str, ttl: int) -> None:
        """Let a hold that is still open stand for so many seconds from now."""
        await self.query(holds.RENEW, ttl, hold)

    async def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement of the rare paths; return its rows (empty where it has none)."""
        answer = await self._other.ask((statement, parameters))
        if isinstance(answer, Exception):
            raise answer
        return answer


def _tell_too_late(ask: Settle | Accept) -> None:
    """Tell of a result that was to be paid for after its hold had ended: it is not handed out.

    A job is another matter: whoever sees its end settles it, and all but one come too late.
    """
    if isinstance(ask, Settle) and ask.charged and not ask.is_job:
        logs.line(level="error", event="settled_too_late", call=ask.hold, micros=ask.charged)


def document(asks: Any) -> str:
    """Return the JSON of what is asked: the one parameter of each statement.

    No text in a database holds a NUL, and an id with one is nobody's: another sign stands there.
    """
    document = orjson.dumps(asks)
    if b"\\u0000" in document:
        document = NUL.sub(rb"\1\\ufffd", document)
    return document.decode()


async def _place(db: Db, asks: Sequence[Place]) -> list[Placed | Exception]:
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


async def _settle(db: Db, asks: Sequence[Settle]) -> list[Settled | None]:
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


async def _accept(db: Db, asks: Sequence[Accept]) -> list[bool]:
    done = {row[0] for row in await rows(db, sql.ACCEPT, document(asks))}
    return [ask.hold in done for ask in asks]


async def _find(db: Db, asks: Sequence[FindJob]) -> list[Found]:
    asked = [{"n": n, **asdict(ask)} for n, ask in enumerate(asks)]
    return [
        Found(bool(known), bool(own), tuple(job) if job[0] else None)
        for known, own, *job in await rows(db, sql.FIND_JOBS, document(asked))
    ]


async def _query(
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
