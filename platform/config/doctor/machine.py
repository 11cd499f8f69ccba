"""The machine that the doctor runs on: whether files can be written, and how many more."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from config.doctor.verdicts import Verdict, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE, TOO_LITTLE = 2 << 30, 200 << 20


def look() -> Iterator[Verdict]:
    """Look at each folder that a program of ours writes to."""
    folders = {"DATA_DIR": settings.DATA_DIR, "the temporary folder": Path(tempfile.gettempdir())}
    if counted := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        folders["PROMETHEUS_MULTIPROC_DIR"] = Path(counted)
    for name, folder in folders.items():
        yield _of(name, folder)


def _of(name: str, folder: Path) -> Verdict:
    give = f"Give the user that the programs run as a folder for {name}."
    try:
        if name == "DATA_DIR":  # Programs make it where it is not there.
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"1")
    except OSError as exc:
        return failed("disk", f"{name} ({folder}) cannot be written: {exc.strerror}.", give)
    left = shutil.disk_usage(folder).free
    sentence = f"{name} ({folder}) has {left / (1 << 30):.1f} GiB left."
    if left < TOO_LITTLE:
        return failed("disk", sentence, "Make room: calls with large bodies are refused soon.")
    if left < LITTLE:
        return warning("disk", sentence, "Make room.")
    return ok("disk", sentence)
