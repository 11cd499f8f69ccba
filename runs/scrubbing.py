"""Wiping what a run left on its worker, once its files and its charge are durable here.

    what it read        input/mc/<token>/…     unless another run that is there reads the same file
    what it made        output/mc/<token>/…    and what lies in temp
    its line in /history

No address of a ComfyUI deletes a file: nothing is written over it, and its name stays. A row
(Trace) is written before a run's first file goes there, so whoever leads the worker next wipes what
a crash left. What a worker's memory keeps of a run stays: a run that is answered from it names
files that are wiped, and is given them from our own store (collecting.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from common import failpoints, logs
from runs import books, isolation, reading
from runs.models import ON_A_WORKER, Run, Trace, Worker
from runs.native import Away

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from django.db.models import QuerySet

    from runs.native import Native
    from runs.proxied import Proxied

BATCH: Final = 20
FIRST_SECONDS: Final = 10
LONGEST_SECONDS: Final = 3600
INPUT: Final = "input"
MOST_PATH: Final = 1000

Place = tuple[str, str, str]
"""Of which folder, below it where, and what it is called there."""


async def scrub(native: Native | Proxied, worker: Worker) -> int:
    """Wipe what ended runs left on a worker; return of how many. Raises Away if it does not answer.

    What it still has in its queue is left: it may be writing.
    """
    done = 0
    found = await books.aside(_due, worker.pk)
    queue = await native.queue() if found else None
    for trace in found:
        try:
            if queue is not None and str(trace.pk) not in queue:
                await _wipe(native, trace)
                done += 1
        except Away as exc:
            await books.aside(_missed, trace)
            logs.line(event="run.not_wiped", run=str(trace.run_id), why=str(exc)[:200])
            raise
    return done


def begin(run: Run) -> None:
    """Note that a run leaves something on its worker from now on."""
    assert run.worker is not None, "it was just claimed for one"
    assert run.prompt_id is not None, "it was just claimed"
    if run.worker.scrubs:
        Trace.objects.create(
            prompt_id=run.prompt_id,
            worker=run.worker,
            run_id=run.pk,
            workspace_id=run.workspace_id,
        )


def note_input(prompt_id: UUID, path: str) -> None:
    """Note that a file of a try is put there."""
    mine = Trace.objects.filter(pk=prompt_id).exclude(inputs__contains=[path])
    for trace in mine:
        mine.update(inputs=[*trace.inputs, path])


def note_made(run: Run, ended: reading.Ended) -> None:
    """Note what a try made: who wipes it may find a worker that was started anew."""
    assert run.prompt_id is not None, "it is collected"
    made = (each for each in ended.files if each.node_id not in ended.cached)
    places = [list(each) for each in _its_own(made, isolation.tokens(run.workspace_id))]
    Trace.objects.filter(pk=run.prompt_id).update(made=places)


def left(worker: Worker) -> int:
    """Return how many tries that are over have left something on a worker."""
    return _over(worker.pk).count()


def forget_removed() -> None:
    """Forget what lies on workers that are removed: nobody of ours goes there any more."""
    Trace.objects.filter(worker__state=Worker.State.REMOVED).delete()


def _over(worker_id: int) -> QuerySet[Trace]:
    on_it = Run.objects.filter(prompt_id=OuterRef("pk"), state__in=ON_A_WORKER)
    return Trace.objects.filter(~Exists(on_it), worker=worker_id)


def _due(worker_id: int) -> list[Trace]:
    return list(_over(worker_id).filter(again_at__lte=timezone.now()).order_by("again_at")[:BATCH])


async def _wipe(native: Native | Proxied, trace: Trace) -> None:
    """Have nothing of one try be there any more; then its row is gone, too."""
    entry = await native.history(trace.pk)
    for place in list(_made(trace, entry or {})):
        await native.blank(*place)
    for path in trace.inputs:
        async with native.inputs:  # No run is given the file between the question and the wiping.
            if not await books.aside(_is_read, trace, path):
                folder, _, name = path.rpartition("/")
                await native.blank(INPUT, folder, name)
    await native.forget(trace.pk)
    failpoints.reached("run.wiped")
    await books.aside(trace.delete)


def _made(trace: Trace, entry: dict[str, Any]) -> Iterator[Place]:
    """Yield the files that a try made: as they were noted, or as its worker knows them."""
    tokens = isolation.tokens(trace.workspace_id)
    noted = [(kind, folder, name) for kind, folder, name in trace.made]
    yield from noted or _its_own(reading.files(entry.get("outputs")), tokens)


def _its_own(files: Iterable[reading.Named], tokens: list[str]) -> Iterator[Place]:
    for each in files:
        if len(each.subfolder) + len(each.name) > MOST_PATH:
            continue  # No file system has one.
        in_temp = each.kind == "temp" and isolation.is_safe(
            f"{each.subfolder or INPUT}/{each.name}"
        )
        is_output = each.kind == "output" and "/" not in each.name
        if in_temp or (is_output and any(isolation.is_own(each.subfolder, t) for t in tokens)):
            yield each.kind, each.subfolder, each.name


def _is_read(trace: Trace, path: str) -> bool:
    """Whether another try that is on the worker reads the same file."""
    others = Trace.objects.filter(worker=trace.worker_id, inputs__contains=[path])
    on_it = Run.objects.filter(prompt_id=OuterRef("pk"), state__in=ON_A_WORKER)
    return others.filter(Exists(on_it)).exclude(pk=trace.pk).exists()


def _missed(trace: Trace) -> None:
    """Note that it did not come off; each time it is tried again later."""
    wait = min(FIRST_SECONDS << min(trace.misses, 16), LONGEST_SECONDS)
    again = timezone.now() + timedelta(seconds=wait)
    Trace.objects.filter(pk=trace.pk).update(again_at=again, misses=F("misses") + 1)
