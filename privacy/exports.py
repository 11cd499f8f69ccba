"""Archives: asked for, made by the worker, taken within a week by who has just signed in again.

asked --> ready --> gone
  '-----> failed      after several tries
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from accounts import leaving
from accounts.models import User
from audit import log as audit
from common import failpoints, ratelimits
from common.errors import InvalidRequest, NotFound
from privacy import archive, letters
from privacy.models import Export
from uploads import shelf

if TYPE_CHECKING:
    from uuid import UUID

log = logging.getLogger(__name__)
State = Export.State
KEPT = timedelta(days=7)
LEASE = timedelta(hours=1)
MOST_ATTEMPTS = 5
A_DAY = 3


def of(user_id: UUID) -> list[Export]:
    """Return somebody's archives that are made or can be taken, the newest first."""
    some = Export.objects.filter(user_id=user_id, state__in=(State.ASKED, State.READY))
    return list(some.exclude(expires_at__lt=timezone.now()).order_by("-asked_at")[:10])


def ask(user_id: UUID, *, base_url: str) -> Export:
    """Have an archive be made; one that is being made already is that. Raises RateLimited."""
    if (making := _making(user_id)) is not None:
        return making
    ratelimits.take("exports", str(user_id), most=A_DAY, seconds=86_400)
    try:
        with transaction.atomic():
            made = Export.objects.create(user_id=user_id, base_url=base_url[:300])
            audit.note("export.asked", actor=user_id, subject=user_id, target=made.pk)
    except IntegrityError as exc:
        if "export_asked_once" not in str(exc):
            raise
        if (making := _making(user_id)) is None:
            raise InvalidRequest(gettext("This was just done. Reload the page.")) from exc
        return making
    return made


def _making(user_id: UUID) -> Export | None:
    return Export.objects.filter(user_id=user_id, state=State.ASKED).first()


def make_due(*, limit: int = 5) -> int:
    """Make the archives that are asked for; return how many were made."""
    due = Export.objects.filter(next_try_at__lte=timezone.now()).order_by("next_try_at")
    return sum(make(each) for each in due.values_list("pk", flat=True)[:limit])


def make(export_id: UUID) -> bool:
    """Make one, unless it is somebody's just now; True if it is ready."""
    now = timezone.now()
    mine = Export.objects.filter(pk=export_id, next_try_at__lte=now)
    if not mine.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    export = Export.objects.get(pk=export_id)
    user = User.objects.filter(pk=export.user_id).first()
    try:
        if user is None:
            raise NotFound(gettext("There is no such member."))  # noqa: TRY301 - it is put off as any other
        size = _write(export, user)
    except Exception as exc:
        _put_off(export, exc)
        if not isinstance(exc, OSError | NotFound):
            raise  # A bug: the worker logs it with its trace, and it is tried again.
        return False
    failpoints.reached("export.written")
    return _ready(export, user, size)


def _write(export: Export, user: User) -> int:
    """Put the file where files lie; return its size. The same again takes its place."""
    with shelf.arriving() as file:
        path = Path(file.name)
        try:
            archive.write(leaving.gather(user), file)
            file.flush()
            size = path.stat().st_size
            shelf.keep(export.key, "application/zip", path)
        finally:
            shelf.put_away(path)
    return size


@transaction.atomic
def _ready(export: Export, user: User, size: int) -> bool:
    now = timezone.now()
    asked = Export.objects.filter(pk=export.pk, state=State.ASKED)
    changed = asked.update(
        state=State.READY, size_bytes=size, ready_at=now, expires_at=now + KEPT, next_try_at=None,
        error="",
    )  # fmt: skip
    if changed:
        export.refresh_from_db()
        letters.archive_ready(export, to=user.email)
    return bool(changed)


def _put_off(export: Export, exc: Exception) -> None:
    asked = Export.objects.filter(pk=export.pk, state=State.ASKED)
    said = f"{type(exc).__name__}: {exc}"[:300]
    if export.attempts >= MOST_ATTEMPTS:
        asked.update(state=State.FAILED, next_try_at=None, error=said)
    else:
        wait = timedelta(seconds=30 * 2**export.attempts)
        asked.update(next_try_at=timezone.now() + wait, error=said)
    log.warning("archive %s is put off: %s", export.pk, type(exc).__name__)


def expire() -> int:
    """Delete archives whose time is over, the file first; return how many there were."""
    over = Export.objects.filter(state=State.READY, expires_at__lt=timezone.now())
    count = 0
    for export in over[:100]:
        shelf.drop(export.key)
        count += Export.objects.filter(pk=export.pk, state=State.READY).update(state=State.GONE)
    return count


def opened(user_id: UUID, export_id: UUID) -> tuple[Export, IO[bytes]]:
    """Return one's own archive, to be read; raise NotFound if it cannot be taken."""
    found = Export.objects.filter(
        pk=export_id, user_id=user_id, state=State.READY, expires_at__gt=timezone.now()
    ).first()
    if found is None:
        raise NotFound(gettext("There is no such archive, or its time is over."))
    try:
        file: Any = shelf.opened(found.key)
    except OSError as exc:
        raise NotFound(gettext("This archive is gone. Ask for another.")) from exc
    audit.note("export.taken", actor=user_id, subject=user_id, target=found.pk)
    return found, file
