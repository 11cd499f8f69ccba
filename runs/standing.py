"""How the machines stand: what each does now, what it did and earned, and what waits for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Count, Min, Q, Sum
from django.utils import timezone

from common.money import Micros
from runs import scrubbing, workers
from runs.models import ON_A_WORKER, Run, State

if TYPE_CHECKING:
    from runs.models import Worker

DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """A machine, and what came of it."""

    worker: Worker
    classes: int
    """Of nodes, that it said it has."""
    at_work: int
    runs_of_a_day: int
    failed_of_a_day: int
    seconds_of_a_day: int
    """By its own clock."""
    earned_of_a_day: Micros
    to_wipe: int
    """How many runs that are over have left something there still."""
    earned: Micros
    """In DAYS days: for its seconds and files; what nodes called inside is the vendors'."""

    @property
    def state(self) -> str:
        """How it is, in a word."""
        if self.worker.state != self.worker.State.ACTIVE:
            return str(self.worker.state)
        return str(self.worker.health)


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for a machine."""

    waiting: int
    workspaces: int
    since: datetime | None
    """Since when the first of them waits."""
    at_work: int


def machines() -> list[Standing]:
    """Return all that are not removed, by name."""
    month = timezone.now() - timedelta(days=DAYS)
    day = Q(ended_at__gt=timezone.now() - timedelta(days=1))
    lately: dict[int | None, Any] = {
        each["worker_id"]: each
        for each in Run.objects.filter(ended_at__gt=month)
        .exclude(worker=None)
        .values("worker_id")
        .annotate(
            runs=Count("pk", filter=day),
            failed=Count("pk", filter=day & Q(state=State.FAILED)),
            ms=Sum("gpu_ms", filter=day),
            day=Sum("charged_micros", filter=day),
            month=Sum("charged_micros"),
        )
    }
    on_it = Run.objects.filter(state__in=ON_A_WORKER).values("worker_id").annotate(n=Count("pk"))
    at_work = {each["worker_id"]: each["n"] for each in on_it}
    found = workers.living().select_related("nodes").defer("nodes__object_info")
    return [_standing(each, lately.get(each.pk, {}), at_work.get(each.pk, 0)) for each in found]


def queue() -> Queue:
    """Return what waits, for whichever machine."""
    waiting = Run.objects.filter(state=State.QUEUED).aggregate(
        n=Count("pk"), of=Count("workspace_id", distinct=True), since=Min("queued_at")
    )
    at_work = Run.objects.filter(state__in=ON_A_WORKER).count()
    return Queue(waiting["n"], waiting["of"], waiting["since"], at_work)


def _standing(worker: Worker, lately: dict[str, int | None], at_work: int) -> Standing:
    return Standing(
        worker=worker,
        classes=len(worker.nodes.classes) if hasattr(worker, "nodes") else 0,
        at_work=at_work,
        runs_of_a_day=lately.get("runs") or 0,
        failed_of_a_day=lately.get("failed") or 0,
        seconds_of_a_day=(lately.get("ms") or 0) // 1000,
        to_wipe=scrubbing.left(worker),
        earned_of_a_day=Micros(lately.get("day") or 0),
        earned=Micros(lately.get("month") or 0),
    )
