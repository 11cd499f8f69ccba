"""The program that carries runs: it leads workers, each led by one such program at a time.

Who leads a worker holds a lock of the database on it, for as long as its connection lives. So a
program that dies leaves its workers to the next one at once, which goes on from the rows. Where a
connection is lost the program stops leading, and begins anew; nothing is ended twice by two that
overlap for a moment, for each step is a guarded change of the run's row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg
from django import db as django_db
from django.utils import timezone
from django.utils.translation import gettext_noop

from common import db as databases
from common import logs
from runs import assets, books, collecting, events, frames, scheduler, scrubbing, workers
from runs.carrying import AWAY_SECONDS, OUR_FAULT, Carrier
from runs.ending import Verdict, finish
from runs.models import ON_A_WORKER, Run, State, Worker
from runs.native import Away, Native
from runs.proxied import Proxied

if TYPE_CHECKING:
    from common.db import Db

log = logging.getLogger("runs")
LEAD = "SELECT pg_try_advisory_lock(hashtext('runs.worker'), %s)"
UNLEAD = "SELECT pg_advisory_unlock(hashtext('runs.worker'), %s)"
TICK_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 10.0
NODES_SECONDS: Final = 300.0
ADOPT_SECONDS: Final = 10.0
TIDY_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 10.0
"""So long the connection that holds the locks may take to say that it lives."""
AGAIN_SECONDS: Final = 2.0
MISSES: Final = 3
TAKEN_AWAY: Final = gettext_noop("The machine of this run was taken away. Nothing was charged.")


class Leader:
    """Leads one worker: looks how it is, gives it runs while it has room, and carries them."""

    def __init__(self, worker: Worker, *, away_seconds: float = AWAY_SECONDS) -> None:
        self.nudge = asyncio.Event()
        self._worker = worker
        self._away_seconds = away_seconds
        self._native = _speaking(worker)
        self._carriers: dict[str, Carrier] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: set[str] = set()
        """Prompts that were given up: a machine that was away may work on them still."""
        self._probed = self._nodes_read = -float("inf")
        self._is_up = False
        self._doubts = 0
        self._adopted = -float("inf")
        self._claiming = asyncio.Lock()
        self._wiping: asyncio.Task[None] | None = None

    async def lead(self) -> None:
        """Lead it until cancelled."""
        listening = asyncio.create_task(self._listen())
        try:
            while not listening.done():  # It ends by a mistake of ours alone.
                await self._adopt()
                await self._probe()
                await self._fill()
                self._wipe()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self.nudge.wait()
                self.nudge.clear()
            listening.result()
        finally:
            wiping = (self._wiping,) if self._wiping else ()
            for task in (listening, *wiping, *self._tasks):
                task.cancel()
            await asyncio.gather(listening, *wiping, *self._tasks, return_exceptions=True)
            await self._native.close()

    async def _adopt(self) -> None:
        """Carry what the worker has and nobody here carries.

        At first that is what another left. Later it is what a claim gave it whose leader was gone
        when it came about, or what ended here by a mistake: each would hold its slot for ever.
        """
        if time.monotonic() - self._adopted < ADOPT_SECONDS:
            return
        self._adopted = time.monotonic()
        async with self._claiming:
            for run_id in await books.aside(scheduler.on_worker, self._worker.pk):
                run = await books.aside(books.now, run_id)
                is_here = run.worker_id == self._worker.pk and run.state in ON_A_WORKER
                if is_here and str(run.prompt_id) not in self._carriers:
                    self._carry(run)

    async def _fill(self) -> None:
        while self._is_up:
            async with self._claiming:
                run = await books.aside(scheduler.claim, self._worker.pk)
            if run is None:
                return
            self._carry(run)

    def _wipe(self) -> None:
        """Begin to wipe what ended runs left there, unless that is under way."""
        if self._is_up and (self._wiping is None or self._wiping.done()):
            self._wiping = asyncio.create_task(self._wiped())

    async def _wiped(self) -> None:
        try:
            await scrubbing.scrub(self._native, self._worker)
        except Away:
            return  # It is tried again.
        except Exception as exc:
            if not databases.is_passing(exc):
                log.exception("what runs left on %s is not wiped", self._worker.name)
            await asyncio.sleep(AGAIN_SECONDS)

    def _carry(self, run: Run) -> None:
        carrier = Carrier(self._native, run, away_seconds=self._away_seconds, doubted=self._doubt)
        self._carriers[carrier.prompt_id] = carrier
        task = asyncio.create_task(self._carried(carrier))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _doubt(self, carrier: Carrier) -> None:
        """Give it nothing until it was seen again, and have it stop then what it still works on.

        A look or a claim that is under way knows nothing of the doubt: the look counts no more,
        and the claim is over when this returns, so it did not get what is given up after that.
        """
        self._is_up, self._probed = False, -float("inf")
        self._doubts += 1
        self._left.add(carrier.prompt_id)
        async with self._claiming:
            return

    async def _carried(self, carrier: Carrier) -> None:
        """Carry a run to its end; where the database is away, go on once it is back."""
        run_id = carrier.run.pk
        try:
            await carrier.carry()
        except Exception as exc:
            if databases.is_passing(exc):
                log.warning("run %s waits for the database: %s", run_id, type(exc).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
                await self._go_on(run_id, carrier.run.prompt_id)
            else:
                log.exception("run %s ends by our own mistake", run_id)
                said = gettext_noop("The platform made a mistake. Nothing was charged.")
                verdict = Verdict(state=State.FAILED, code=OUR_FAULT, message=said, ours=True)
                await books.aside(finish, run_id, carrier.run.prompt_id, verdict)
                await carrier.tidy()
        finally:
            if self._carriers.get(carrier.prompt_id) is carrier:  # Or another goes on with it.
                del self._carriers[carrier.prompt_id]
            self.nudge.set()

    async def _go_on(self, run_id: UUID, prompt_id: UUID | None) -> None:
        while True:
            try:
                run = await books.aside(books.now, run_id)
            except Exception as exc:
                if not databases.is_passing(exc):
                    raise
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if run.prompt_id == prompt_id and not run.has_ended:
                self._carry(run)
            return

    async def _probe(self) -> None:
        """See how the worker is, when it is time."""
        now = time.monotonic()
        if now - self._probed < (PROBE_SECONDS if self._is_up else AGAIN_SECONDS):
            return
        self._probed, doubts = now, self._doubts
        try:
            stats = await self._native.stats()
            queue = await self._native.queue()
            self._left &= queue.running | queue.pending
            for each in tuple(self._left):  # One more may be given up meanwhile.
                await self._native.stop(UUID(each))
            if not self._is_up or now - self._nodes_read > NODES_SECONDS:
                if info := await self._native.object_info():
                    await books.aside(workers.note_nodes, self._worker, info)
                folders = await self._native.folders()
                await books.aside(workers.note_folders, self._worker, folders)
                self._nodes_read = now
        except Away as exc:
            self._is_up = False  # It counts as down only later, but it gets nothing meanwhile.
            await books.aside(_missed, self._worker.pk, str(exc))
            return
        strangers = (queue.running | queue.pending) - set(self._carriers)
        if strangers:
            logs.line(event="worker.strangers", worker=self._worker.name, prompts=len(strangers))
        await books.aside(_seen, self._worker.pk, _version(stats))
        self._is_up = self._doubts == doubts

    async def _listen(self) -> None:
        """Pass what the worker tells on to whom it is about."""
        while True:
            with contextlib.suppress(Away):
                async for message in self._native.messages():
                    self._hear(message)
            await asyncio.sleep(1)

    def _hear(self, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, bytes):
            picture = frames.read(message)
            # An older worker does not say whose it is: with one run there is no doubt.
            only = next(iter(self._carriers)) if len(self._carriers) == 1 else ""
            carrier = self._carriers.get(picture.prompt_id or only) if picture else None
            if picture and carrier:
                carrier.hearing.picture(picture)
            return
        data = message.get("data")
        if isinstance(data, dict):
            found = self._carriers.get(str(data.get("prompt_id")))
            if found is not None:
                found.hearing.message(str(message.get("type")), data)


class Runner:
    """All that one program leads."""

    def __init__(self, *, away_seconds: float = AWAY_SECONDS) -> None:
        self._away_seconds = away_seconds
        self._led: dict[int, tuple[Leader, asyncio.Task[None]]] = {}
        self._tidied = -float("inf")

    async def run(self) -> None:
        """Lead whatever can be led, until cancelled; begin anew where the database was away."""
        while True:
            try:
                async with await databases.connect() as locks:
                    await self._lead_all(locks)
            except (psycopg.Error, django_db.Error, OSError) as exc:
                log.warning("the runner waits for the database: %s", type(exc).__name__)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _lead_all(self, locks: Db) -> None:
        listening = asyncio.create_task(self._listen())
        try:
            while not listening.done():
                await _require_alive(locks)
                await self._look(locks)
                await self._tidy()
                await asyncio.sleep(TICK_SECONDS)
            listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await self._leave(list(self._led))  # Before the locks are given back.

    async def _look(self, locks: Db) -> None:
        """Lead each worker that nobody leads, and none that is removed."""
        found = {each.pk: each for each in await books.aside(_living)}
        over = [pk for pk, (_, task) in self._led.items() if pk not in found or task.done()]
        await self._leave(over)
        for pk in over:
            await locks.execute(UNLEAD, [pk])
        for pk, worker in found.items():
            if pk in self._led:
                continue
            cursor = await locks.execute(LEAD, [pk])
            if (await cursor.fetchone()) == (True,):
                leader = Leader(worker, away_seconds=self._away_seconds)
                self._led[pk] = leader, asyncio.create_task(leader.lead())
                logs.line(event="worker.led", worker=worker.name)
        await books.aside(_lose_removed)

    async def _leave(self, over: list[int]) -> None:
        for pk in over:
            _, task = self._led.pop(pk)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, Exception):
                log.error("a worker was left: %s", type(outcome).__name__, exc_info=outcome)

    async def _tidy(self) -> None:
        if time.monotonic() - self._tidied >= TIDY_SECONDS:
            self._tidied = time.monotonic()
            await books.aside(scheduler.expire_waiting)
            await books.aside(assets.delete_expired)
            await books.aside(collecting.tidy)

    async def _listen(self) -> None:
        """Have every leader look at once where something of runs was committed."""
        async with await databases.connect() as listening:
            await listening.execute(f"LISTEN {events.CHANNEL}")
            async for _ in listening.notifies():
                for leader, _task in list(self._led.values()):
                    leader.nudge.set()


def _speaking(worker: Worker) -> Native | Proxied:
    """Return who speaks with a worker, in its dialect."""
    authorization = workers.authorization(worker)
    if worker.dialect == Worker.Dialect.V2:
        return Proxied(worker.base_url, authorization)
    return Native(worker.base_url, authorization, str(worker.client_id))


async def _require_alive(locks: Db) -> None:
    """Raise psycopg.Error or TimeoutError where what holds the locks is gone: so are the locks."""
    async with asyncio.timeout(ANSWER_SECONDS):
        await locks.execute("SELECT 1")


def _living() -> list[Worker]:
    return list(workers.living())


def _lose_removed() -> None:
    """Have runs of workers that are removed go elsewhere, or end."""
    removed = Worker.State.REMOVED
    left = Run.objects.filter(worker__state=removed).exclude(ended_at__isnull=False)
    for run in left.exclude(state=State.QUEUED):
        scheduler.lost(run, TAKEN_AWAY)
    scrubbing.forget_removed()


def _seen(worker_id: int, version: str) -> None:
    Worker.objects.filter(pk=worker_id).update(
        health=Worker.Health.UP,
        misses=0,
        error="",
        version=version,
        seen_at=timezone.now(),
        down_since=None,
    )


def _missed(worker_id: int, error: str) -> None:
    """Note that a worker did not answer; after some times it counts as down."""
    worker = Worker.objects.get(pk=worker_id)
    worker.misses, worker.error = min(worker.misses + 1, 1000), error[:300]
    if worker.misses >= MISSES or worker.health == Worker.Health.UNKNOWN:
        worker.health = Worker.Health.DOWN
        worker.down_since = worker.down_since or timezone.now()
    worker.save(update_fields=["misses", "error", "health", "down_since"])


def _version(stats: dict[str, Any]) -> str:
    system = stats.get("system")
    said = str(system.get("comfyui_version") or "") if isinstance(system, dict) else ""
    return said.replace("\0", "")[:50]
