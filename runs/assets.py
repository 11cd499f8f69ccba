"""Files that a workspace keeps here for its runs, and what runs made: stored, found, deleted."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db import models
from django.db.models.functions import Greatest
from django.utils import timezone

from common import ids
from common.errors import BodyTooLarge, InvalidRequest, NotFound
from runs import digests, isolation, preferences
from runs.models import ENDED, Asset, Output, Run, RunEvent
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from runs.digests import Measured

MOST_BYTES: Final = 100 << 20
MOST_KEPT: Final = 10 << 30
"""Of one workspace, beside what its runs made."""
BATCH: Final = 200
SOON: Final = timedelta(seconds=10)
"""What is over so soon may be deleted already by who tidies."""
NAMED_BYTES: Final = 1 << 30
"""So much is read at once of files that have no BLAKE3 yet."""


def keep(
    workspace_id: UUID,
    *,
    user_id: UUID,
    file_path: str,
    content_type: str,
    arrived: Path,
    measured: Measured | None = None,
    seconds: int | None = None,
    tags: Sequence[str] = (),
) -> Asset:
    """Keep a file that arrived on the disk, under the name that graphs have for it.

    Its bytes are moved. Raises InvalidRequest for a name that is none.
    """
    if len(file_path) > 300 or not isolation.is_safe(file_path):
        raise InvalidRequest("A file is named like cat.png, or sub/dir/cat.png.")
    measured = measured or digests.of(arrived)
    size = measured.size
    if size > MOST_BYTES:
        raise BodyTooLarge(f"A file has at most {MOST_BYTES >> 20} MiB.")
    if _kept_bytes(workspace_id) + size > MOST_KEPT:
        raise BodyTooLarge(
            f"This workspace keeps {MOST_KEPT >> 30} GiB of files here already. Delete some."
        )
    asset = Asset(
        id=uuid.uuid4(),
        workspace_id=workspace_id,
        user_id=user_id,
        file_path=file_path,
        content_type=content_type[:100],
        size_bytes=size,
        sha256=measured.sha256,
        blake3=measured.blake3,
        tags=list(tags),
        expires_at=_until(workspace_id, seconds),
    )
    shelf.keep(asset.key, asset.content_type, arrived)
    asset.save(force_insert=True)
    return asset


def keep_once(
    workspace_id: UUID,
    *,
    user_id: UUID,
    file_path: str,
    content_type: str,
    arrived: Path,
    measured: Measured | None = None,
    seconds: int | None = None,
    tags: Sequence[str] = (),
) -> tuple[Asset, bool]:
    """Keep a file, unless these very bytes are here under that name; and say whether it is new.

    It is here as long as a new one would be, at least.
    """
    measured = measured or digests.of(arrived)
    same = living(workspace_id).filter(sha256=measured.sha256, file_path=file_path)
    known = same.first()
    if known is not None and stay(known, seconds=seconds):
        return known, False
    made = keep(
        workspace_id,
        user_id=user_id,
        file_path=file_path,
        content_type=content_type,
        arrived=arrived,
        measured=measured,
        seconds=seconds,
        tags=tags,
    )
    return made, True


def stay(asset: Asset, *, seconds: int | None = None) -> bool:
    """Have a file be here as long as if it came now; False where its time is as good as over."""
    until = _until(asset.workspace_id, seconds)
    asset.expires_at = max(asset.expires_at, until)
    own = Asset.objects.filter(pk=asset.pk, expires_at__gt=timezone.now() + SOON)
    return bool(own.update(expires_at=Greatest("expires_at", until)))


def _until(workspace_id: UUID, seconds: int | None) -> datetime:
    """Return when the time is over of what comes now: its own, within what the workspace says."""
    usual = int(preferences.of(workspace_id).kept.total_seconds())
    return timezone.now() + timedelta(seconds=min(seconds or usual, usual))


def living(workspace_id: UUID) -> models.QuerySet[Asset]:
    """Return the files of a workspace that are here still, the newest first."""
    found = Asset.objects.filter(workspace_id=workspace_id, expires_at__gt=timezone.now())
    return found.order_by("-created_at", "-pk")


def named(workspace_id: UUID, file_path: str) -> Asset | None:
    """Return what a name means in the graphs of a workspace: the newest file that has it."""
    return living(workspace_id).filter(file_path=file_path).first()


def remove(asset: Asset) -> bool:
    """Delete a file; False, and it stays, where a run that has not ended needs it."""
    at_work = Run.objects.filter(workspace_id=asset.workspace_id).exclude(state__in=ENDED)
    wanted = {"asset": str(asset.pk)}
    if any(wanted in files.values() for files in at_work.values_list("files", flat=True)):
        return False
    shelf.drop(asset.key)
    asset.delete()
    return True


def _kept_bytes(workspace_id: UUID) -> int:
    return int(living(workspace_id).aggregate(sum=models.Sum("size_bytes"))["sum"] or 0)


def one(workspace_id: UUID, asset_id: UUID) -> Asset:
    """Return a file of the workspace that is here still, or raise NotFound."""
    found = living(workspace_id).filter(pk=asset_id).first()
    if found is None:
        raise NotFound("There is no such file, or its time is over.")
    return found


def find(workspace_id: UUID, asset_id: object) -> Asset | None:
    """Return a file of the workspace by what may be its id; None if there is none."""
    wanted = ids.read(asset_id)
    return living(workspace_id).filter(pk=wanted).first() if wanted else None


def output(workspace_id: UUID, output_id: UUID) -> Output:
    """Return a file that a run of the workspace made and that is here still; raise NotFound."""
    own = Output.objects.filter(workspace_id=workspace_id, expires_at__gt=timezone.now())
    found = own.filter(pk=output_id).first()
    if found is None:
        raise NotFound("There is no such file, or its time is over.")
    return found


def made(workspace_id: UUID, name: str, *, subfolder: str, kind: str) -> Output | None:
    """Return the newest file of that name that a run of the workspace made; None if none did."""
    own = Output.objects.filter(workspace_id=workspace_id, expires_at__gt=timezone.now())
    found = own.filter(name=name, subfolder=subfolder, kind=kind)
    return found.order_by("-created_at", "-pk").first()


def made_before(run: Run, name: str, *, subfolder: str, kind: str, origin: str) -> Output | None:
    """Return the newest file that the same nodes made on the same worker; None if there is none."""
    own = Output.objects.filter(
        workspace_id=run.workspace_id,
        run__worker=run.worker_id,
        expires_at__gt=timezone.now(),
        origin=origin,
    ).exclude(origin="")
    found = own.filter(name=name[-300:], subfolder=subfolder, kind=kind)
    return found.order_by("-created_at", "-pk").first()


def was_made(run: Run, made: Output) -> bool:
    """Whether another run of the workspace had that very file, by its name, from that worker."""
    own = Output.objects.filter(workspace_id=run.workspace_id, run__worker=run.worker_id)
    same = own.filter(name=made.name, subfolder=made.subfolder, kind=made.kind)
    return same.filter(sha256=made.sha256).exclude(run=run).exists()


def copy(asset: Asset | Output, into: Path) -> Measured:
    """Write a file's content to a place of the disk; raise OSError where it is gone."""
    with opened(asset) as content, into.open("wb") as written:
        return digests.copied(content, written)


def opened(kept: Asset | Output) -> IO[bytes]:
    """Return a file to be read; raise OSError where it is gone."""
    return shelf.opened(kept.key)


def name_some(*, most_bytes: int = NAMED_BYTES) -> int:
    """Give files of before BLAKE3 was kept theirs, some at a time; return how many.

    Until then they are known by their SHA-256 alone. One that cannot be read is left as it is:
    its time is over soon.
    """
    count = 0
    for kind in (Output, Asset):
        unnamed = kind.objects.filter(blake3="", expires_at__gt=timezone.now())
        for each in unnamed.order_by("-expires_at")[:BATCH]:
            if most_bytes <= 0:
                return count
            most_bytes -= each.size_bytes
            try:
                with opened(each) as content:
                    found = digests.copied(content)
            except OSError:
                continue
            count += kind.objects.filter(pk=each.pk).update(blake3=found.blake3)
    return count


def delete_expired() -> int:
    """Delete what is over: files, and the graphs and events of runs; return how many rows.

    A file that a run needs which has not ended is left until it has.
    """
    now = timezone.now()
    count = _delete(Asset.objects.filter(expires_at__lte=now).exclude(pk__in=_in_use()))
    count += _delete(Output.objects.filter(expires_at__lte=now))
    over = Run.objects.filter(expires_at__lte=now, forgotten_at=None).order_by("expires_at")
    some = list(over.values_list("pk", flat=True)[:BATCH])
    RunEvent.objects.filter(run_id__in=some).delete()
    blank: dict[str, Any] = {"graph": None, "files": {}, "extra": {}, "messages": []}
    return count + Run.objects.filter(pk__in=some).update(**blank, forgotten_at=now)


def _in_use() -> list[str]:
    """Return the files that runs need which have not ended."""
    at_work = Run.objects.exclude(state__in=ENDED).exclude(files={})
    return [
        source["asset"]
        for files in at_work.values_list("files", flat=True)
        for source in files.values()
        if "asset" in source
    ]


def forget(whose: models.Q, of_runs: models.Q) -> int:
    """Leave none of some files here, nor of what some runs made; return how many there were."""
    count = 0
    for own in (Asset.objects.filter(whose), Output.objects.filter(of_runs)):
        while gone := _delete(own):
            count += gone
    return count


def _delete(rows: models.QuerySet[Any]) -> int:
    """Delete some; the file goes first, so what is left of a broken try is found by its row."""
    found: list[Asset | Output] = list(rows[:BATCH])
    for each in found:
        shelf.drop(each.key)
    rows.model._default_manager.filter(pk__in=[each.pk for each in found]).delete()  # noqa: SLF001
    return len(found)
