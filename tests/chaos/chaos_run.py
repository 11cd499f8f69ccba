"""One run: everything is started, what was drawn is done, and in the end all is accounted for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from system_stack import STAFF

from tests.chaos.chaos_acts import AWAY, LeftOut, Troubles
from tests.chaos.chaos_clients import Clients, Member
from tests.chaos.chaos_house import House
from tests.chaos.chaos_moves import Moves
from tests.chaos.chaos_office import Office
from tests.chaos.chaos_proofs import Line, Proofs
from tests.chaos.draws import MEMBERS, PEOPLE, TROUBLE, Draw, head, noted

GIVEN = ("900", "900", "900", "60", "3")
"""Dollars: two of the members come to the end of theirs."""
assert len(GIVEN) == MEMBERS
SCOPES = ("proxy", "usage:read", "runs", "keys:manage")
REST_SECONDS = 900
RUN_ENDS = "SELECT count(*) AS n FROM runs_run WHERE ended_at IS NULL"
JOB_ENDS = "SELECT count(*) AS n FROM proxy_job WHERE ended_at IS NULL"
EVENT_ENDS = """
    SELECT (SELECT count(*) FROM credits_stripeevent WHERE processed_at IS NULL)
         + (SELECT count(*) FROM credits_refund WHERE state NOT IN ('succeeded', 'failed'))
         + (SELECT count(*) FROM credits_topup WHERE state = 'paid') AS n
"""
OF_PROCESSES = "SELECT count(*) AS n FROM credits_hold WHERE process_id IS NOT NULL"
LET_TIME_PASS = """
    UPDATE credits_hold SET placed_at = now() - interval '2 days',
           expires_at = now() - interval '1 minute' RETURNING id::text
"""


@dataclass
class Result:
    """What came of a run."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    account: list[Line] = field(default_factory=list)
    answered: int = 0
    told: list[str] = field(default_factory=list)
    """The account of the calls, line by line."""

    @property
    def is_right(self) -> bool:
        """Whether nothing was wrong, and each kind of money is the same inside and outside."""
        return not self.wrong and all(each.outside == each.books for each in self.account)


class Chaos:
    def __init__(
        self,
        folder: Path,
        seed: int,
        draws: Sequence[Draw],
        *,
        callers: int,
        say: Callable[[str], None],
        seconds: float | None = None,
        pause: float = 0,
        rest: float = REST_SECONDS,
    ) -> None:
        """With `seconds`, nothing is begun later; without, all that was drawn is done.

        `pause` is what a caller waits between two calls, `rest` how long all may take in the end.
        """
        self._draws, self._say = draws, say
        self._limit, self._pause, self._rest = seconds, pause, rest
        self._house = House(folder)
        self._journal = folder / "journal.jsonl"
        self._result = Result(seed)
        self._callers = callers
        self._begun = 0.0

    async def run(self) -> Result:
        """Do all of it, and leave nothing behind but the logs."""
        house, seed = self._house, self._result.seed
        self._journal.write_text(head(seed))
        try:
            await asyncio.to_thread(house.start)
            office = Office(house)
            members = await self._people(office)
            await asyncio.to_thread(house.await_machines)
            await asyncio.to_thread(house.await_serving)
            for line in house.left_out():
                self._say(f"left out: {line}")
            moves = Moves(house, office, members)
            clients = Clients(house.urls, members, seed, self._callers, pause=self._pause)
            proofs = Proofs(house, office, members, clients.ledger, moves)
            troubles = Troubles(house, members)
            self._begun = time.monotonic()
            calling = asyncio.create_task(clients.press())
            try:
                async with asyncio.TaskGroup() as lanes:
                    lanes.create_task(self._break(troubles, proofs))
                    lanes.create_task(self._move(moves))
            finally:
                clients.over.set()
                await calling
            took = time.monotonic() - self._begun
            await self._come_to_rest(office)
            rested = time.monotonic() - self._begun - took
            self._found(await proofs.at_the_end(), "the end")
            self._result.account = await proofs.account()
            await self._tell(clients, moves, took, rested)
        finally:
            with suppress(UnboundLocalError):
                office.close()
            await asyncio.to_thread(house.stop)
        return self._result

    # --- the two lanes ------------------------------------------------------------------------

    async def _break(self, troubles: Troubles, proofs: Proofs) -> None:
        for each in self._draws:
            if each.lane != TROUBLE or self._is_over():
                continue
            await self._wait_for(each)
            begun, outcome = self._seconds(), "done"
            try:
                await troubles.do(each.act, each.values)
            except LeftOut as why:
                outcome = f"left out: {why}"
            except AWAY:
                outcome = "the far side was away"
            await asyncio.to_thread(self._house.tend)
            wrong = await proofs.after_each()
            self._note(each, begun, outcome, wrong)
            self._found(wrong, each.told())

    async def _move(self, moves: Moves) -> None:
        """Begin what people do, whether or not what was begun before has ended."""
        doing: set[asyncio.Task[None]] = set()
        for each in self._draws:
            if each.lane == PEOPLE and not self._is_over():
                await self._wait_for(each)
                doing.add(asyncio.create_task(self._one_move(moves, each)))
        await asyncio.gather(*doing)

    async def _one_move(self, moves: Moves, each: Draw) -> None:
        begun = self._seconds()
        outcome = await moves.do(each.act, each.values)
        self._note(each, begun, outcome, [])

    async def _wait_for(self, each: Draw) -> None:
        await asyncio.sleep(max(0.0, each.at - self._seconds()))

    def _is_over(self) -> bool:
        return self._limit is not None and self._seconds() > self._limit

    def _seconds(self) -> float:
        return round(time.monotonic() - self._begun, 1)

    def _note(self, each: Draw, begun: float, outcome: str, wrong: list[str]) -> None:
        with self._journal.open("a") as journal:
            journal.write(
                noted(each, begun=begun, ended=self._seconds(), outcome=outcome, wrong=wrong)
            )
        mark = "WRONG" if wrong else outcome
        self._say(f"{begun:7.1f}  {each.number:>4}  {each.told()}: {mark}")

    def _found(self, wrong: list[str], where: str) -> None:
        for each in wrong:
            self._say(f"WRONG after {where}: {each}")
        self._result.wrong += wrong

    # --- before, and after --------------------------------------------------------------------

    async def _people(self, office: Office) -> list[Member]:
        """Have members, each with a key that calls and one that makes keys."""
        scopes = [word for name in SCOPES for word in ("--scope", name)]
        found = []
        for n, usd in enumerate(GIVEN):
            email = f"member{n}@example.org"
            gift = ("--credits", usd, "--by", STAFF, "--reason", "chaos", "--key", "calls")
            own = await self._made(office, "member", "add", email, *gift)
            other = await self._made(office, "member", "add", email, "--key", "makes", *scopes)
            ids = (own["user_id"], own["workspace_id"], own["api_key"], own["key_id"])
            found.append(Member(email, *ids, other["api_key"], int(usd) * 1_000_000))
        url = f"http://127.0.0.1:{self._house.machine_port}"
        await self._made(
            office, "worker", "add", "machine", url, "--accelerator", "cpu", "--slots", "2",
            "--per-second", "0.001", "--by", STAFF, "--reason", "chaos",
        )  # fmt: skip
        return found

    @staticmethod
    async def _made(office: Office, *words: str) -> dict[str, Any]:
        status, made = await office.told(*words)
        assert status == "done", made
        return dict(made)

    async def _come_to_rest(self, office: Office) -> None:
        """Have everything run, and wait until nothing is under way; then let all time be over.

        What is under way still when the rest is over is a fault, and is not waited for.
        """
        house, end = self._house, time.monotonic() + self._rest
        await asyncio.to_thread(house.tend)
        await asyncio.to_thread(house.await_serving)
        house.stripe.post("webhook/resend")
        for sql in (RUN_ENDS, JOB_ENDS, OF_PROCESSES, EVENT_ENDS):
            if left := await self._until_none(sql, office, end):
                self._found([f"{left} of this do not end: {sql.strip()}"], "the end")
        await asyncio.to_thread(house.query, LET_TIME_PASS)
        await office.insist("sweep")

    async def _until_none(self, sql: str, office: Office, end: float) -> int:
        while left := (await asyncio.to_thread(self._house.query, sql))[0]["n"]:
            if time.monotonic() > end:
                return int(left)
            if sql is EVENT_ENDS:
                await office.manage("money", "catch-up")
            await asyncio.sleep(1)
        return 0

    async def _tell(self, clients: Clients, moves: Moves, took: float, rested: float) -> None:
        ledger = clients.ledger
        unknown = [each.name for each in ledger.of("unknown")]
        (row,) = await asyncio.to_thread(
            self._house.query,
            "SELECT count(*) AS n FROM usage_call WHERE run_id = ANY (%s) AND charged_micros > 0",
            [unknown],
        )
        answered, refused = ledger.of("answered"), ledger.of("refused")
        again = sum(each.tries > 1 for each in answered)
        statuses = ", ".join(f"{n} x {s or 'none'}" for s, n in sorted(ledger.statuses.items()))
        done = Counter(f"{act} {outcome[:30]}" for act, outcome in moves.outcomes)
        meant, self._result.answered = len(ledger.intentions), len(answered)
        self._result.told = [
            f"calls meant     {meant:>8}   in {took:.0f} s, {60 * meant / took:.0f} a minute",
            f"  answered      {len(answered):>8}   {again} of them by a repeat; each charged once",
            f"  refused       {len(refused):>8}   nothing charged",
            f"  unknown       {len(unknown):>8}   {row['n']} of them charged, once",
            f"answers         {statuses}; {ledger.timeouts} waited for in vain",
            f"people's moves  {sum(done.values()):>8}   "
            + ", ".join(f"{n} x {what}" for what, n in sorted(done.items())),
            f"came to rest    {rested:>8.0f} s after the last of it",
        ]
