"""One run on its worker, from its files there to its end here; whoever begins anew reads the rows.

    stage its files --> send it --> follow it --> bring what it made --> end it (ending.py)

A row is written before each step that the worker may notice. So after a crash a run that was not
sent is staged again, one that may have been sent is looked for, and one that ended is collected.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone
from django.utils.translation import gettext_noop

from common import failpoints, logs
from runs import (
    books,
    collecting,
    ending,
    isolation,
    reading,
    scheduler,
    scrubbing,
    spending,
    staging,
    workers,
)
from runs.ending import Verdict
from runs.hearing import Hearing
from runs.models import Output, Run, State
from runs.native import Away, Rejected, TooLarge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runs.native import Native
    from runs.proxied import Proxied

LOOK_SECONDS: Final = 1.0
PAY_SECONDS: Final = 5.0
GONE_SECONDS: Final = 2.0
UNHEARD_SECONDS: Final = 5.0
AWAY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 60.0
COLLECT_SECONDS: Final = 1800.0
"""For all files of a run together; what is held for it stands meanwhile."""
WORDS: Final = gettext_noop("The machine lost this run. Nothing was charged.")
FREED_SECONDS: Final = 1.0
"""So long a worker that has nothing to do needs to forget what it computed."""
NOWHERE: Final = gettext_noop("What the run made could not be stored. Nothing was charged.")
REFUSED: Final = gettext_noop("The machine refused this workflow.")
OUR_FAULT: Final = "internal_error"


class Gone(Exception):
    """The worker knows nothing of the run any more."""


class Carrier:
    """Carries one attempt of a run; ends when somebody else has to, or nobody."""

    def __init__(
        self,
        native: Native | Proxied,
        run: Run,
        *,
        away_seconds: float = AWAY_SECONDS,
        doubted: Callable[[Carrier], Awaitable[None]] | None = None,
    ) -> None:
        """`doubted` is told before a run is given up: its worker gets none until it is seen."""
        self.run = run
        self._doubted = doubted
        self.native = native
        self.hearing = Hearing(run)
        self._away_seconds = away_seconds
        self._workspace = isolation.token(run.workspace_id)
        assert run.prompt_id is not None, "a run that has a worker has an attempt"
        self._attempt = run.prompt_id
        self._began: float | None = None
        self._stored: list[Output] = []
        self._places = 0
        """How many files the worker named."""

    @property
    def prompt_id(self) -> str:
        """By which the worker knows it."""
        return str(self._attempt)

    async def carry(self) -> None:
        """Carry it to its end, or back into the queue."""
        writing = asyncio.create_task(self.hearing.write())
        try:
            if self.run.state == State.STAGING and not await self._sent():
                return
            ended = await self._followed()
            await self.hearing.heard_all()
            await self._collect(ended)
        except (Gone, Away) as exc:
            logs.line(event="run.lost", run=str(self.run.pk), why=str(exc)[:200])
            if self._doubted is not None:
                await self._doubted(self)
            await books.aside(scheduler.lost, self.run, WORDS)
            await self.tidy()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def tidy(self) -> None:
        """Leave nothing of what was stored, unless its end keeps it; this attempt is over."""
        if self._places:  # Perhaps who tidies came by before all of it was stored.
            await books.aside(collecting.begin, self.run, self._places)
        await books.aside(collecting.drop_unkept, self._attempt)

    async def _sent(self) -> bool:
        """Have the worker have it; False if it ended instead, or is another's."""
        if self.run.sent_at is not None:
            await self._find()
            return True
        try:
            staged = await self._staged()
        except staging.NotStaged as why:
            await self._end(State.FAILED, "input_download_failed", str(why))
            return False
        key = None
        if staged is not None:
            graph = await self._prepared(staged)
            key = await books.aside(books.sending, self.run)
        if key is None:
            return await self._is_with_another()
        failpoints.reached("run.before_it_is_sent")
        try:
            await self.native.prompt(self._attempt, graph, self._extra(key))
        except Rejected as refused:
            await self._end(State.FAILED, "invalid_workflow", _first(refused.said, self._workspace))
            return False
        except Away:
            await self._find()
        failpoints.reached("run.sent")
        await books.aside(books.is_running, self.run)
        return True

    async def _is_with_another(self) -> bool:
        """End what was called off before it was sent; or follow what another sent meanwhile.

        Two may lead one machine for a moment. One of them sends it, and is perhaps gone by now.
        """
        reason = await self._asked_to_end()
        if reason:
            await self._end(State.CANCELED, reason, ending.STOPPED[reason])
        if reason != "":
            return False
        await self._find()
        return True

    async def _prepared(self, staged: dict[str, Any]) -> dict[str, Any]:
        """Return its graph as its worker gets it."""
        assert self.run.worker is not None, "it is being sent there"
        assert self.run.graph is not None, "it is kept for as long as the run is not over"
        info = await books.aside(workers.object_info, self.run.worker)
        return isolation.prepared(self.run.graph, info, workspace=self._workspace, staged=staged)

    def _extra(self, key: str) -> dict[str, Any]:
        """Return what goes with the prompt; of a member's own credentials nothing does."""
        kept = {
            name: self.run.extra[name]
            for name in ("extra_pnginfo", "preview_method")
            if name in self.run.extra
        }
        return {**kept, **({"api_key_comfy_org": key} if key else {})}

    async def _find(self) -> None:
        """Return once the worker is seen to have it; raise Gone if it never came there."""
        end = time.monotonic() + UNHEARD_SECONDS
        while True:
            try:
                queue = await self.native.queue()
                if self.prompt_id in queue or await self.native.history(self._attempt):
                    await books.aside(books.is_running, self.run)
                    return
            except Away:
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise Gone("it was not heard whether the worker got it")
            await asyncio.sleep(0.5)

    async def _staged(self) -> dict[str, Any] | None:
        """Put its files on the worker; None where it was called off before that was done."""
        staging_it = asyncio.create_task(staging.staged(self.native, self.run))
        try:
            while not staging_it.done():
                await asyncio.wait({staging_it}, timeout=LOOK_SECONDS)
                if not staging_it.done() and await self._asked_to_end() != "":
                    return None
            return staging_it.result()
        finally:
            staging_it.cancel()
            await asyncio.gather(staging_it, return_exceptions=True)

    async def _asked_to_end(self) -> str | None:
        return await books.aside(books.asked_to_end, self.run.pk, self._attempt)

    async def _followed(self) -> reading.Ended | None:
        """Return how it ended; None if it was called off, and the worker says nothing of it.

        Raises Gone if the worker forgot it, and Away if it did not answer for a while.
        """
        heard = paid = time.monotonic()
        # Of a small maximum the time in which it must be told to end is shorter than usual.
        pay_seconds = PAY_SECONDS
        if self.run.micros_per_second:
            pay_seconds = min(pay_seconds, spending.margin_ms(self.run) / 1000)
        missed: float | None = None
        stopping: float | None = None
        while True:
            now = time.monotonic()
            reason = await self._asked_to_end()
            if reason is None:
                raise asyncio.CancelledError  # Another has it, or it ended.
            try:
                if reason and stopping is None:
                    await self.native.stop(self._attempt)
                    stopping = now
                there = self.prompt_id in await self.native.queue()
                entry = await self.native.history(self._attempt)
                heard = time.monotonic()
            except Away:
                if time.monotonic() - heard > self._away_seconds:
                    raise
                await self._pause()
                continue
            if entry and (ended := self._read(entry)):
                return ended
            # What is in its history, and not how it ended, it works on no more.
            missed = None if there else missed or now
            if _is_over(now, missed, stopping):
                return None
            if now - paid >= pay_seconds:
                paid = now
                await self._pay()
            await self._pause()

    async def _pay(self) -> None:
        """Have its hold cover it, or have it end."""
        spent = await self._spent_ms()
        files = self.hearing.files
        why = await books.aside(books.kept_paid, self.run.pk, self._attempt, spent, files)
        if why:
            await books.aside(ending.ask_to_cancel, self.run.pk, why)

    async def _spent_ms(self) -> int:
        """Return for how long it works, by a clock that nobody sets."""
        if self._began is None:
            self._began = time.monotonic() - await books.aside(_passed, self.run)
        return int((time.monotonic() - self._began) * 1000)

    async def _pause(self) -> None:
        """Wait for the next look: until the worker says that it ended, or a moment."""
        self.hearing.ended.clear()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self.hearing.ended.wait()
        except TimeoutError:
            return

    def _read(self, entry: dict[str, Any]) -> reading.Ended | None:
        return reading.read(
            entry,
            nodes=len(self.run.graph or {}),
            workspace=self._workspace,
            our_id=self.run.name,
        )

    async def _collect(self, ended: reading.Ended | None) -> None:
        """Bring what it made, and end it."""
        if not await books.aside(books.is_collecting, self.run):
            return
        now = await books.aside(books.now, self.run.pk)
        if ended is None:
            reason = now.cancel_reason or ending.CANCELED
            await self._end(State.CANCELED, reason, ending.STOPPED[reason])
            return
        verdict = _verdict(now, ended)  # Bringing its files is no time of the worker's.
        await books.aside(scrubbing.note_made, now, ended)
        self._places = len(ended.files)
        await books.aside(collecting.begin, now, self._places)
        try:
            await self._brought(now, ended)
        except collecting.Wiped as why:
            await self._again(str(why))
            await self.tidy()
            return
        except (collecting.NotCollected, TooLarge, OSError) as exc:
            logs.line(event="run.not_collected", run=str(now.pk), why=type(exc).__name__)
            await self._end(State.FAILED, "output_lost", NOWHERE)
            await self.tidy()
            return
        is_delivered = any(each.kind == "output" for each in self._stored)
        if verdict.state != State.FAILED or is_delivered:
            verdict.files.extend(self._stored)
        failpoints.reached("run.collected")
        await books.aside(ending.finish, now.pk, now.prompt_id, verdict)
        await self.tidy()

    async def _brought(self, run: Run, ended: reading.Ended) -> None:
        """Store its files; its hold lives for as long as that takes. Raises as collecting does."""
        bringing = asyncio.create_task(collecting.collect(self.native, run, ended, self._stored))
        try:
            async with asyncio.timeout(COLLECT_SECONDS):
                while not bringing.done():
                    await asyncio.wait({bringing}, timeout=RENEW_SECONDS)
                    if not bringing.done():
                        await books.aside(books.kept_held, run)
            bringing.result()
        finally:
            bringing.cancel()
            await asyncio.gather(bringing, return_exceptions=True)

    async def _again(self, name: str) -> None:
        """Have it run once more, by a worker that remembers nothing of it."""
        logs.line(event="run.wiped", run=str(self.run.pk), name=name[:200])
        await self.native.free()
        await asyncio.sleep(FREED_SECONDS)
        await books.aside(scheduler.lost, self.run, NOWHERE, code="output_lost")

    async def _end(self, state: State, code: str, message: str) -> None:
        """End it without a charge."""
        verdict = Verdict(state=state, code=code, message=message, ours=True)
        await books.aside(ending.finish, self.run.pk, self._attempt, verdict)


def _verdict(run: Run, ended: reading.Ended) -> Verdict:
    span = int((timezone.now() - run.sent_at).total_seconds() * 1000) if run.sent_at else 0
    facts: dict[str, Any] = {
        "gpu_ms": min(ended.gpu_ms, max(span, 0)),
        "messages": ended.messages,
        "reused": ended.reused,
        "observed": ended.observed,
    }
    if ended.how == "execution_success":
        return Verdict(state=State.SUCCEEDED, **facts)
    if ended.how == "execution_interrupted":
        reason = run.cancel_reason or ending.CANCELED
        return Verdict(state=State.CANCELED, code=reason, message=ending.STOPPED[reason], **facts)
    return Verdict(
        state=State.FAILED,
        code=ending.NODE_FAILED,
        message=str(ended.error.get("exception_message") or gettext_noop("A node failed.")),
        node=str(ended.error.get("node_id") or ""),
        node_class=str(ended.error.get("node_type") or ""),
        **facts,
    )


def _is_over(now: float, missed: float | None, stopping: float | None) -> bool:
    """Whether a run that was called off is none any more for its worker, or will never be.

    Raises Gone if it is none, and nobody called it off.
    """
    if missed is not None and now - missed >= GONE_SECONDS:
        if stopping is None:
            raise Gone("it is neither in its queue nor in its history")
        return True
    return stopping is not None and now - stopping > STOP_SECONDS


def _passed(run: Run) -> float:
    found = Run.objects.filter(pk=run.pk).values_list("started_at", flat=True).first()
    return max((timezone.now() - found).total_seconds(), 0.0) if found else 0.0


def _first(said: dict[str, Any], workspace: str) -> str:
    """Return the first thing that a worker finds wrong with a prompt, in its words."""
    nodes = said.get("node_errors")
    for node_id, node in nodes.items() if isinstance(nodes, dict) else ():
        errors = node.get("errors") if isinstance(node, dict) else None
        for error in errors if isinstance(errors, list) else ():
            if not isinstance(error, dict):
                continue
            words = f"{error.get('message', '')}: {error.get('details', '')}"
            return reading.plain(f"Node '{str(node_id)[:100]}': {words}", workspace)
    error = said.get("error")
    words = error.get("message", "") if isinstance(error, dict) else str(error)
    return reading.plain(str(words), workspace) or gettext_noop(
        "The machine refused this workflow."
    )
