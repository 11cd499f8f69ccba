"""An `up` for as long as something lasts that needs one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
STARTED_IN_SECONDS = 600


@contextmanager
def running(
    data: Path | None, *, port: int, is_quiet: bool = False, **environment: str
) -> Iterator[Path]:
    """Return the folder of an `up`: the given one, or one that runs for as long as this lasts.

    It has that environment beside our own. Raises SystemExit where it does not come up.
    """
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="up-") as made:
        started = subprocess.Popen(
            [sys.executable, "-m", "local.up", "--port", f"{port}", "--data", made],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL if is_quiet else None,
        )
        try:
            _await(Path(made) / "demo.json", started)
            yield Path(made)
        finally:
            started.terminate()
            started.wait(60)


def _await(file: Path, started: subprocess.Popen[bytes]) -> None:
    """Return once the member is there that an `up` makes at last."""
    for _ in range(STARTED_IN_SECONDS):
        if file.exists():
            return
        if started.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit("dev.py up did not start.")
