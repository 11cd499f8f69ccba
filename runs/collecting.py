"""Bringing what a run made to our own store, before anybody is told that it ended.

A row (Brought) says how many files a try has, before the first of them is stored: what was stored
for an end that did not come is deleted by it, also where whoever stored it died (`tidy`).
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from django.db.models import Exists, OuterRef

from runs import assets, books, digests, isolation, preferences, reading, stripping
from runs.models import ON_A_WORKER, Brought, Output, Run
from runs.models.files import output_key
from runs.native import MOST_FILE, Away, Missing
from uploads import shelf

if TYPE_CHECKING:
    from uuid import UUID

    from runs.digests import Measured
    from runs.native import Native
    from runs.proxied import Proxied

log = logging.getLogger("runs")
TRIES: Final = 3
MOST_BYTES: Final = 10 << 30
"""Of one run, all of its files together."""
BATCH: Final = 50
NAMES: Final = uuid.UUID("6f9df4c6-1a2e-4f0e-9d0b-2f8a4c5a7be1")
MEDIA: Final = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,58}", re.ASCII)


Came: TypeAlias = tuple[str, digests.Measured]
"""As what a file came, and what it is known by."""


class NotCollected(Exception):
    """A file that the worker named could not be brought."""


class Wiped(Exception):
    """The worker answered from its memory, and the file that it names is nowhere any more."""


async def collect(
    native: Native | Proxied, run: Run, ended: reading.Ended, found: list[Output]
) -> None:
    """Add the outputs of a run to `found`, each once it is stored; again, they are the same.

    A file outside the folder of its workspace is no output of the run's. What the worker answered
    from its memory was wiped there after the run that made it: it is brought from our own store.
    Raises NotCollected, TooLarge, OSError, Away where the worker is gone, and Wiped where a file
    of its memory is gone here, too.
    """
    known = isolation.tokens(run.workspace_id)
    keys = await books.aside(_keys, run)
    left = MOST_BYTES
    for position, each in enumerate(ended.files):
        if each.kind == "input":
            continue
        own = (token for token in known if isolation.is_own(each.subfolder, token))
        workspace = next(own, "")
        if not workspace and (each.kind == "output" or not _is_safe(each.subfolder)):
            continue
        path = Path((await asyncio.to_thread(shelf.arriving)).name)
        try:
            folder = isolation.seen_folder(each.subfolder, workspace or known[0])[:300]
            was_made_before = each.node_id in ended.cached and each.text is None
            came = await books.aside(_again, run, each, folder, path) if was_made_before else None
            came = came or await _brought(native, each, path, most=min(left, MOST_FILE))
            if was_made_before and not came[1].size:
                raise Wiped(each.name)
            if keys is not None and each.text is None:
                came = await asyncio.to_thread(_stripped, path, keys, came)
            made = await asyncio.to_thread(_stored, run, each, position, *came, path)
        finally:
            await asyncio.to_thread(shelf.put_away, path)
        made.subfolder = folder
        is_old = each.node_id in ended.cached
        if ended.remembers:  # A new file has a name that no other has there.
            is_old = await books.aside(assets.was_made, run, made)
        made.is_paid = each.kind == "output" and not is_old
        found.append(made)
        left -= made.size_bytes


def _keys(run: Run) -> list[str] | None:
    """Return under which words a workflow is taken out of what was made; None: it stays."""
    if not preferences.of(run.workspace_id).strips_files:
        return None
    sent = run.extra.get(preferences.EMBEDDED)
    return list(sent) if isinstance(sent, dict) else []


def _stripped(path: Path, keys: list[str], came: Came) -> Came:
    return (came[0], digests.of(path)) if stripping.strip(path, keys=keys) else came


def begin(run: Run, files: int) -> None:
    """Note that so many files of a try are stored from now on."""
    assert run.prompt_id is not None, "it is a worker's"
    if files:
        Brought.objects.update_or_create(
            prompt_id=run.prompt_id, defaults={"run_id": run.pk, "files": files}
        )


def drop_unkept(prompt_id: UUID) -> bool:
    """Delete what was stored of a try that is over, and that no row names; False: not all of it."""
    brought = Brought.objects.filter(pk=prompt_id).first()
    if brought is None:
        return True
    stored = {_id_of(brought.run_id, prompt_id, place) for place in range(brought.files)}
    kept = set(Output.objects.filter(pk__in=stored).values_list("pk", flat=True))
    for each in stored - kept:
        try:
            shelf.drop(output_key(each))
        except OSError as exc:
            log.warning("the file %s stays for now: %s", output_key(each), exc)
            return False
    brought.delete()
    return True


def tidy() -> int:
    """Do so with every try that nobody brings any more; return how many there were."""
    at_it = Run.objects.filter(prompt_id=OuterRef("pk"), state__in=ON_A_WORKER)
    over = Brought.objects.filter(~Exists(at_it)).order_by("created_at")
    return sum(drop_unkept(pk) for pk in over.values_list("pk", flat=True)[:BATCH])


def _is_safe(subfolder: str) -> bool:
    return not subfolder or isolation.is_safe(subfolder)


def _again(run: Run, each: reading.Named, folder: str, into: Path) -> Came | None:
    """Copy what an earlier run of the worker stored here of it; None where it is not here."""
    found = assets.made_before(run, each.name, subfolder=folder, kind=each.kind, origin=each.origin)
    try:
        return (found.content_type, assets.copy(found, into)) if found is not None else None
    except OSError:
        return None


async def _brought(native: Native | Proxied, each: reading.Named, path: Path, *, most: int) -> Came:
    if each.text is not None:
        await asyncio.to_thread(path.write_text, each.text, "utf-8")
        return "text/plain", await asyncio.to_thread(digests.of, path)
    for left in reversed(range(TRIES)):
        try:
            return await native.view(each.name, each.subfolder, each.kind, path, most=most)
        except Missing as exc:
            raise NotCollected(each.name) from exc
        except Away:
            if not left:
                raise
            await asyncio.sleep(1)
    raise AssertionError("the last try returns or raises")


def _id_of(run_id: UUID, prompt_id: UUID | None, position: int) -> UUID:
    return uuid.uuid5(NAMES, f"{run_id}/{prompt_id}/{position}")


def _stored(
    run: Run, each: reading.Named, position: int, media: str, measured: Measured, path: Path
) -> Output:
    guessed = mimetypes.guess_type(each.name)[0]
    kind = media if MEDIA.fullmatch(media) else "application/octet-stream"
    made = Output(
        id=_id_of(run.pk, run.prompt_id, position),
        run=run,
        workspace_id=run.workspace_id,
        position=position,
        node_id=each.node_id,
        section=each.section,
        name=each.name[-300:],
        kind=each.kind,
        origin=each.origin,
        content_type=guessed or kind,
        size_bytes=measured.size,
        sha256=measured.sha256,
        blake3=measured.blake3,
    )
    shelf.keep(made.key, made.content_type, path)
    return made
