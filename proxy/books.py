"""The proxy's lanes to the books: whoever waits for a phase of a call goes in its next statement.

What is asked in each phase, and what comes of it, is in `phases.py`; here is what must be insisted
on while the database is away, and what is owed to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import psycopg

from apikeys import paces
from common import logs
from common.errors import Maintained, Unauthorized, Unavailable
from common.lanes import Lane, Lost
from credits.books import holds, turns
from desk import maintenance
from proxy import phases, sql
from proxy.late import Late, pauses
from proxy.phases import Accept, FindJob, Found, Place, Placed, Settle, Settled, barred, document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from apikeys.callers import Caller
    from common.money import Micros
    from proxy.alive import Alive
    from proxy.answers import PendingAnswer
    from proxy.catalogue import Asset, Use

HOLD_MARGIN_SECONDS = 60
"""A hold outlives its vendor's time limit by this; then the sweep frees it."""
UNHEARD_SECONDS = 6
"""After that a statement has ended whose connection was lost (`statement_timeout`)."""

Done = TypeVar("Done")
Owed = TypeVar("Owed", Settle, Accept)


class Books:
    """The lanes of one process. Every ask is safe to repeat."""

    def __init__(self, alive: Alive | None = None) -> None:
        """With `alive`, holds are in the name of this process, and freed soon after its death."""
        self._alive = alive
        self._place: Lane[Place, Placed | Exception] = Lane("place", phases.place)
        self._settle: Lane[Settle, Settled | None] = Lane("settle", phases.settle)
        self._accept: Lane[Accept, bool] = Lane("accept", phases.accept)
        self._find: Lane[FindJob, Found] = Lane("find-job", phases.find)
        self._other: Lane[tuple[str, tuple[Any, ...]], list[tuple[Any, ...]] | Exception] = Lane(
            "other", phases.query
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
