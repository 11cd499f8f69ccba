"""Fills the database of a fresh data folder with the half year, for `dev.py up --demo`.

It is filled under another name, and takes the database's own when all is there: one that is half
made is never used, and the next start makes it anew.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from local import demo
from local.postgres import Cluster
from local.supervisor import Failed, Supervisor

ROOT = Path(__file__).resolve().parents[2]
FILLING = "halfyear"
KEPT = "halfyear.json"
STANDS_IN = ("DATABASE_URL", "VENDOR_BASE_URL", "STRIPE_API_KEY", "COMFYUI_URL")


def is_filled(data: Path) -> bool:
    """Whether the folder has the half year already."""
    return (data / KEPT).exists()


def kept(data: Path) -> dict[str, Any]:
    """Return what there is to tell of it (`told.told`)."""
    found: dict[str, Any] = json.loads((data / KEPT).read_text())
    return found


def require_own(environment: Mapping[str, str]) -> None:
    """Raise Failed where something of somebody's own would be filled, called or charged."""
    if own := [name for name in STANDS_IN if environment.get(name)]:
        raise Failed(f"--demo fills a database and a Stripe of its own: unset {', '.join(own)}.")


def make(cluster: Cluster, name: str, data: Path) -> str:
    """Have an empty database to fill, and return its address.

    Raises Failed where the folder has one that was used already.
    """
    with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as connection:
        there = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if there is not None:
            raise Failed(f"{data} has members already: --demo fills a fresh folder (--data NEW).")
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(FILLING)))
    (data / "stripe.json").unlink(missing_ok=True)  # What a filling that was broken off left.
    cluster.create_database(FILLING)
    return cluster.url(FILLING)


def fill(
    supervisor: Supervisor,
    environment: Mapping[str, str],
    options: Any,
    *,
    say: Callable[..., None],
) -> dict[str, Any]:
    """Live through the half year in the database of this environment; return what to tell."""
    say("living through half a year, which takes some minutes ...")
    words = ["--data", str(options.data), "--port", str(options.port), "--seed", str(options.seed)]
    words += ["--few"] if options.few else []
    printed = supervisor.run(
        [sys.executable, "-m", "local.halfyear", *words], environment=environment, cwd=ROOT
    )
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    say(f"lived through half a year, with {found['calls']:,} calls")
    return found


def finish(cluster: Cluster, name: str, data: Path, found: dict[str, Any]) -> None:
    """Have what was filled be the folder's database."""
    with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as connection:
        words = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        connection.execute(words.format(sql.Identifier(FILLING), sql.Identifier(name)))
    demo.write_private(data / KEPT, json.dumps(found, indent=2) + os.linesep)
