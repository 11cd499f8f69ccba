"""What whoever carries a run writes of it: each step is one guarded change of its row.

The functions are plain and wait for the database; the runner calls them in threads (`aside`).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Membership
from apikeys import keys, states
from apikeys.models import ApiKey
from common import db
from common.money import Micros
from credits.books import holds
from runs import address, ending, events, spending
from runs.models import Preview, Run, State

if TYPE_CHECKING:
    from collections.abc import Callable

Given = ParamSpec("Given")
Done = TypeVar("Done")
_THREADS: Final = ThreadPoolExecutor(8, thread_name_prefix="runs")
KEY_SECONDS: Final = 600
"""A run's key outlives the longest run by this."""


async def aside(work: Callable[Given, Done], *args: Given.args, **more: Given.kwargs) -> Done:
    """Do something with the database in a thread; its connection is given back at once.

    The threads are its own: names of machines that nobody answers for take all of the loop's.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, lambda: _closing(work, *args, **more))


def _closing(work: Callable[Given, Done], *args: Given.args, **more: Given.kwargs) -> Done:
    try:
        return work(*args, **more)
    finally:
        db.give_back()


def now(run_id: UUID) -> Run:
    """Return a run as it is."""
    return Run.objects.select_related("worker").get(pk=run_id)


def sending(run: Run) -> str | None:
    """Note that its worker may have a run from now on; return its key, if it needs one.

    None: it is not to be sent, since it was called off, was sent by another who leads its worker,
    or is another's by now; or since nothing is held for it any more, or the key that handed it over
    was revoked, which calls it off.
    """
    with transaction.atomic():
        spending.lock_wallet(run.workspace_id)
        mine = Run.objects.select_for_update().filter(pk=run.pk, prompt_id=run.prompt_id)
        found = mine.filter(state=State.STAGING, sent_at=None, cancel_reason="").first()
        if found is None:
            return None
        found.cancel_reason = _why_not(found)
        if found.cancel_reason:
            found.save(update_fields=["cancel_reason"])
            return None
        if found.attempts > 1:
            spending.open_budget(found)
        found.sent_at = run.sent_at = timezone.now()
        key = _issued(found) if found.uses_api_nodes else ""
        run.run_key_id = found.run_key_id
        found.save(update_fields=["sent_at", "run_key_id"])
    return key


def _why_not(run: Run) -> str:
    """Return why a run that waited is not begun any more, or ""."""
    if _is_ended(run):
        return ending.REVOKED
    if not holds.renew(spending.hold_of(run), ttl_seconds=spending.HOLD_SECONDS):
        return ending.UNPAID
    return ""


def _is_ended(run: Run) -> bool:
    """Whether the key or the address that handed it over was ended, or its person left.

    A key that has expired meanwhile was good when the run came: it is begun.
    """
    here = Membership.objects.filter(user_id=run.user_id, workspace_id=run.workspace_id)
    if not here.filter(user__is_active=True).exists():
        return True
    # Who ends it waits for this row, and finds the key that is made here, or came first.
    locked = ApiKey.objects.select_for_update(no_key=True)
    key = locked.filter(pk=run.key_id).first() if run.key_id else None
    if key is not None and states.told(key) not in ("living", "expired"):
        return True
    return run.address_id is not None and address.was_ended(run.address_id)


def _issued(run: Run) -> str:
    """Return a key for this run alone: it calls nodes, and dies with it."""
    ApiKey.objects.filter(run_id=run.pk).delete()
    parent = ApiKey.objects.filter(pk=run.key_id).first() if run.key_id else None
    rights: dict[str, Any] = {}
    if parent is not None:
        rights = {
            "allowed_vendors": parent.allowed_vendors,
            "call_limit_micros": parent.call_limit_micros,
            "requests_per_minute": parent.requests_per_minute,
            "project": parent.project,
            "made_by": parent,
        }
    key, record = keys.issue(
        workspace_id=run.workspace_id,
        user_id=run.user_id,
        name=f"run {run.pk}",
        scopes=["proxy"],
        run_id=run.pk,
        expires_at=timezone.now() + timedelta(seconds=settings.RUNS_SECONDS + KEY_SECONDS),
        **rights,
    )
    run.run_key_id = record.pk
    return key


def is_running(run: Run) -> bool:
    """Note that its worker has it; False if it is another's by now, or ended."""
    with transaction.atomic():
        mine = Run.objects.select_for_update().filter(pk=run.pk, prompt_id=run.prompt_id)
        found = mine.filter(state=State.STAGING).first()
        if found is None:
            return mine.filter(state__in=(State.RUNNING, State.CANCELING)).exists()
        found.started_at = timezone.now()
        found.state = State.CANCELING if found.cancel_reason else State.RUNNING
        found.save(update_fields=["state", "started_at"])
        events.note(found, "status", {"status": found.state})
    return True


def is_collecting(run: Run) -> bool:
    """Note that it ended on its worker, and its files are brought; False if it is another's."""
    on_it = (State.STAGING, State.RUNNING, State.CANCELING, State.COLLECTING)
    mine = Run.objects.filter(pk=run.pk, prompt_id=run.prompt_id, state__in=on_it)
    return bool(mine.update(state=State.COLLECTING))


def kept_paid(run_id: UUID, prompt_id: UUID, spent_ms: int, files: int) -> str:
    """Have the hold of a run that works cover what it will have cost soon; why it must end, or "".

    Extended a step at a time, up to its maximum; what calls inside hold is of the same maximum.
    """
    place = Run.objects.filter(pk=run_id).values_list("workspace_id", flat=True).first()
    if place is None:
        return ""
    with transaction.atomic():
        spending.lock_wallet(place)
        run = Run.objects.select_for_update().filter(pk=run_id, prompt_id=prompt_id).first()
        if run is None or run.state != State.RUNNING:
            return ""
        if spent_ms > settings.RUNS_SECONDS * 1000:
            return ending.TIMED_OUT
        return _covered(run, spent_ms, files)


def kept_held(run: Run) -> bool:
    """Have the hold of a run stand whose files are brought; False if it had ended before."""
    return holds.renew(spending.hold_of(run), ttl_seconds=spending.HOLD_SECONDS)


def _covered(run: Run, spent_ms: int, files: int) -> str:
    price = spending.Price.of(run)
    left = Micros(run.max_micros - spending.inside(run))
    if _is_near(run, price, spent_ms, files, left):
        return ending.SPENT
    soon = price.total(spent_ms + spending.AHEAD_SECONDS * 1000, files)
    if run.held_micros < min(soon, left):
        wanted = price.total(spent_ms + spending.STEP_SECONDS * 1000, files)
        refused = spending.extended(run, Micros(min(wanted, left)))
        if refused is None:
            Run.objects.filter(pk=run.pk).update(held_micros=run.held_micros)
            return ""
        if _is_near(run, price, spent_ms, files, run.held_micros):
            spending.tell_used_up(run, refused)
            return ending.UNPAID
    # For what is held already it may go on, unless nobody renewed that in time.
    is_held = holds.renew(spending.hold_of(run), ttl_seconds=spending.HOLD_SECONDS)
    return "" if is_held else ending.UNPAID


def _is_near(run: Run, price: spending.Price, spent_ms: int, files: int, there: int) -> bool:
    """Whether what there is lasts for no more than the time that an end takes."""
    return price.total(spent_ms + spending.margin_ms(run, files), files) > there


def progressed(run: Run, progress: dict[str, Any]) -> None:
    """Note how far a run is, and tell who listens."""
    mine = Run.objects.filter(pk=run.pk, prompt_id=run.prompt_id)
    if mine.filter(state__in=(State.RUNNING, State.CANCELING)).update(progress=progress):
        events.note(run, "progress", progress)


def told(run: Run, name: str, data: dict[str, Any]) -> None:
    """Write down a message of its worker's, as members read it."""
    events.note(run, "message", {"type": name, "data": data})


def previewed(run: Run, node_id: str, content_type: str, data: bytes) -> None:
    """Have a picture be the newest of a run that works."""
    newest = {"node_id": node_id[:100], "content_type": content_type, "data": data}
    Preview.objects.update_or_create(run=run, defaults={**newest, "at": timezone.now()})
    events.tell(run)


def asked_to_end(run_id: UUID, prompt_id: UUID) -> str | None:
    """Return why a run is to end early, or ""; None if it is another's by now, or ended."""
    found = Run.objects.filter(pk=run_id, prompt_id=prompt_id).values_list("cancel_reason", "state")
    reason, state = found.first() or (None, "")
    return None if reason is None or state not in (*_ON, State.COLLECTING) else reason


_ON: Final = (State.STAGING, State.RUNNING, State.CANCELING)
