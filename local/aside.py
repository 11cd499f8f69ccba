"""What only some tests need, brought here once and kept apart from what is locked for all.

It lies in a folder of its own, which no other command imports from: exactly what its lock says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTALL_SECONDS = 600


class Missing(Exception):
    """It is not here and could not be brought; the message is one line that says why."""


@dataclass(frozen=True)
class Aside:
    """Packages that a lock names, in a folder of their own."""

    lock: Path
    place: Path
    proof: str
    """What stands in the folder where they are whole."""

    @property
    def _stamp(self) -> Path:
        return self.place / ".installed"

    def _wanted(self) -> str:
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()

    def find(self) -> Path | None:
        """Return the folder, if it holds what is locked."""
        stamp = self._stamp
        is_it = stamp.exists() and stamp.read_text() == self._wanted()
        return self.place if is_it and (self.place / self.proof).exists() else None

    def find_or_install(self, say: Callable[[str], None]) -> Path:
        """Return that folder, having installed what is locked if it was not there."""
        if found := self.find():
            return found
        say(f"Installing {self.lock.relative_to(ROOT)} into {self.place.name} ...")
        made = Path(tempfile.mkdtemp(prefix=f"{self.place.name}-", dir=ROOT))
        try:
            _install(self.lock, made)
            (made / self._stamp.name).write_text(self._wanted())
            made.chmod(0o755)
            shutil.rmtree(self.place, ignore_errors=True)
            made.rename(self.place)
        except OSError as error:
            if not self.find():  # Another one was quicker.
                raise Missing(f"{self.place} cannot be written ({error.strerror}).") from None
        finally:
            shutil.rmtree(made, ignore_errors=True)
        if found := self.find():
            return found
        raise Missing(f"what was installed holds no {self.proof}.")


def _install(lock: Path, to: Path) -> None:
    """Put the packages there: by uv, or by pip of the Python that made this environment."""
    uv = os.environ.get("UV") or shutil.which("uv")
    python = str(Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3"))
    pip = [uv, "pip"] if uv else [python, "-m", "pip", "--disable-pip-version-check"]
    words = ["install", "-q", "--no-deps", "--require-hashes", "--target", str(to), "-r", str(lock)]
    try:
        done = subprocess.run(
            [*pip, *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"not there after {INSTALL_SECONDS} seconds.") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Missing((said or [f"exit status {done.returncode}"])[-1])
