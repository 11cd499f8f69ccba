"""ComfyUI's own page, for the tests that sign in with it: brought here once, apart from the rest.

It is 120 MB of files and no library: a group of pyproject.toml, locked in
`tests/connect/requirements.lock`, it lives in `.frontend`, and only those tests read it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "connect"
LOCK = FOLDER / "requirements.lock"
PLACE = ROOT / ".frontend"
STAMP = PLACE / ".installed"
PAGE = PLACE / "comfyui_frontend_package" / "static"
INSTALL_SECONDS = 600


class FrontendMissing(Exception):
    """It is not here and could not be brought; the message is one line that says why."""


def wanted() -> str:
    """Return what the stamp says when the lock is what is installed."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def find() -> Path | None:
    """Return the folder of the page that is locked, if it is here."""
    is_it = STAMP.exists() and STAMP.read_text() == wanted() and (PAGE / "index.html").exists()
    return PAGE if is_it else None


def find_or_install(say: Callable[[str], None]) -> Path:
    """Return that folder, having installed what is locked if it was not there."""
    if found := find():
        return found
    say(f"Installing {LOCK.relative_to(ROOT)} into {PLACE.name} ...")
    made = Path(tempfile.mkdtemp(prefix=".frontend-", dir=ROOT))
    try:
        _install(made)
        (made / STAMP.name).write_text(wanted())
        made.chmod(0o755)
        shutil.rmtree(PLACE, ignore_errors=True)
        made.rename(PLACE)
    except OSError as error:
        raise FrontendMissing(f"{PLACE} cannot be written ({error.strerror}).") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    if found := find():
        return found
    raise FrontendMissing("what was installed holds no page.")


def _install(to: Path) -> None:
    """Put the package there: by uv, or by pip of the Python that made this environment."""
    uv = os.environ.get("UV") or shutil.which("uv")
    python = str(Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3"))
    pip = [uv, "pip"] if uv else [python, "-m", "pip", "--disable-pip-version-check"]
    words = ["install", "-q", "--no-deps", "--require-hashes", "--target", str(to), "-r", str(LOCK)]
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
        raise FrontendMissing(f"not there after {INSTALL_SECONDS} seconds.") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise FrontendMissing((said or [f"exit status {done.returncode}"])[-1])
