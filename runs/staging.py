"""Putting a run's files on its worker, before it is sent there.

    an asset      our own shelf           --copied-->  a file of this run
    an address    its server, the cache   --linked-->  a file of this run  --uploaded-->  the worker

What a graph calls `cat.png` lies there below the folder of its workspace, by content. A file of
models lies in the part of the worker's input folder that its operator has it read models from
(`mc-models/<folder>/`), so that its nodes know it by the rest of its path.

It is part of the runner alone: no web process fetches anything.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils.translation import gettext_noop

from common.errors import InvalidFileUrl
from runs import assets, books, inputs, isolation, scrubbing
from runs.fetching import cache, fetch, targets
from runs.models import Asset, Worker
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runs.models import Run
    from runs.native import Native
    from runs.proxied import Proxied

MODELS_HOME: Final = "mc-models"
AT_ONCE: Final = 4
STAGE_SECONDS: Final = 600
"""For all files of a run together: less than its hold lives beyond its wait."""
LEFT_SECONDS: Final = 6 * 3600
NO_MODELS: Final = gettext_noop(
    "The machine of this run takes no files of models. Nothing was charged."
)
GONE: Final = gettext_noop("A file that the run needs is not here any more. Nothing was charged.")


class NotStaged(Exception):
    """Why a run cannot have its files, in a sentence for its member."""


async def staged(native: Native | Proxied, run: Run) -> dict[str, Any]:
    """Put its files on the worker; return how each is named there, by its name in the graph.

    Raises NotStaged, and Away where the worker does not take them. Again is from the beginning, or
    from the cache.
    """
    try:
        async with asyncio.timeout(STAGE_SECONDS), _folder() as folder:
            room = asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_one(native, run, path, source, folder / f"{n}", room))
                    for n, (path, source) in enumerate(sorted(run.files.items()))
                ]
            return dict(task.result() for task in tasks)
    except TimeoutError:
        raise NotStaged(gettext_noop("The files of this run took too long to fetch.")) from None
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


async def _one(
    native: Native | Proxied,
    run: Run,
    path: str,
    source: dict[str, str],
    copy: Path,
    room: asyncio.Semaphore,
) -> tuple[str, Any]:
    async with room:
        if inputs.named(path)[0] and run.worker and run.worker.dialect != Worker.Dialect.NATIVE:
            raise NotStaged(NO_MODELS)
        if "url" in source:
            digest = await _fetched(path, source["url"], copy)
        else:
            digest = await _copied(source["asset"], copy)
        folder, name = inputs.named(path)
        base = path.rpartition("/")[2]
        place = isolation.staged_path(isolation.token(run.workspace_id), digest, base)
        where = f"{MODELS_HOME}/{folder}/{place}" if folder else place
        assert run.prompt_id is not None, "it is a worker's"
        try:
            async with native.inputs:
                await books.aside(scrubbing.note_input, run.prompt_id, where)
                named = await native.upload(where, copy)
        finally:
            await asyncio.to_thread(copy.unlink)
        return name, named or place


async def _fetched(path: str, url: str, into: Path) -> str:
    try:
        (wanted,) = targets.read({f"/{path}": url})
        found = await fetch.fetch(
            wanted, into=into, cache=cache.ours(), bounds=fetch.usual_bounds()
        )
    except InvalidFileUrl as refusal:  # The operator changed what is allowed meanwhile.
        raise NotStaged(f"{refusal} Nothing was charged.") from None
    except fetch.FetchFailed as failed:
        raise NotStaged(f"{failed} Nothing was charged.") from None
    return found.sha256


async def _copied(asset_id: str, into: Path) -> str:
    try:
        asset = await books.aside(Asset.objects.get, pk=asset_id)
        await asyncio.to_thread(assets.copy, asset, into)
    except (Asset.DoesNotExist, OSError):
        raise NotStaged(GONE) from None
    return asset.sha256


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    """Give a folder for one run's files, on the disk of the cache; leave nothing of it."""
    home = settings.DATA_DIR / "fetched" / "of-runs"
    await asyncio.to_thread(sweep, home)
    path = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=home))
    try:
        yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


_swept: Final = {"at": -float("inf")}


def sweep(home: Path) -> None:
    """Once an hour, take away what programs that died left there, and in the cache."""
    home.mkdir(parents=True, exist_ok=True)
    if time.monotonic() - _swept["at"] < cache.LEFT_SECONDS:
        return
    _swept["at"] = time.monotonic()
    for path in home.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(path)
    cache.ours().tidy()
    shelf.sweep_arriving()
