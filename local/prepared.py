"""A migrated database that runs of tests copy: making one takes longer than most files of tests.

It lies in `.boot`, by a name that is made of all that it was made from, so that nobody can meet
one of yesterday: each migration, the lock, PostgreSQL's beginnings, and the day, since migrations
make partitions of the months that are near.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from local.postgres import Cluster

ROOT = Path(__file__).resolve().parent.parent
SHELF = ROOT / ".boot" / "prepared"
DATABASE = "prepared"
KEPT = 8
"""How many stay: whoever goes from one branch to another finds that of each."""


def copy_to(data: Path) -> bool:
    """Have `data` be a data folder with a migrated DATABASE in it; make one if there is none.

    False if that cannot be: who runs tests then migrates, and sees what is wrong.
    """
    try:
        made = SHELF / fingerprint()
        if not made.exists() and not make(made):
            return False
        shutil.copytree(made, data)
    except OSError:
        shutil.rmtree(data, ignore_errors=True)
        return False
    return True


def make(where: Path) -> bool:
    """Make that data folder, whole or not at all; two may do so at once, and one is kept."""
    SHELF.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=SHELF))
    try:
        cluster = Cluster(unfinished / "pg", durable=False)
        cluster.start()
        try:
            cluster.create_database(DATABASE)
            done = migrate(cluster.url(DATABASE), unfinished)
        finally:
            cluster.stop()
        if done:
            with contextlib.suppress(FileExistsError, OSError):  # Another one was faster.
                (unfinished / "pg").rename(where)
            for old in sorted(others(where), key=lambda path: path.stat().st_mtime)[: 1 - KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        return where.exists()
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def migrate(database_url: str, folder: Path) -> bool:
    """Whether all migrations ran."""
    environment = {**os.environ, "DATABASE_URL": database_url, "DATA_DIR": str(folder)}
    command = [sys.executable, "manage.py", "migrate", "-v0"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def others(where: Path) -> Iterator[Path]:
    """Yield the finished ones beside `where`."""
    return (path for path in SHELF.iterdir() if path != where and len(path.name) == len(where.name))


def fingerprint() -> str:
    """Return a name for what a migrated database is made of, as it is now."""
    sources = sorted(ROOT.glob("*/migrations/*.py"))
    sources += [ROOT / "requirements.lock", Path(__file__), Path(__file__).with_name("postgres.py")]
    digest = hashlib.sha256(datetime.now(UTC).date().isoformat().encode())
    for source in sources:
        digest.update(str(source.relative_to(ROOT)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:24]
