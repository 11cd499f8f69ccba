"""`python -m local.halfyear`: fill a fresh, migrated database with half a year, and say who is in.

The environment is that of the product's programs. What is printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from local.halfyear import clock, programs, running
from local.supervisor import Failed, Stopped, Supervisor

SEED, DAYS = 2026, 182
USED = "SELECT EXISTS (SELECT FROM accounts_user) OR EXISTS (SELECT FROM credits_entry)"


def main() -> int:
    """Fill it; return 1 with one line of why where that cannot be."""
    parser = argparse.ArgumentParser(prog="local.halfyear", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="of `up`: files of runs go there")
    parser.add_argument("--port", type=int, required=True, help="where the web process listens")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--few", action="store_true", help="all that happens once, but few calls")
    options = parser.parse_args()
    folder = options.data / "halfyear"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with Supervisor(folder, say=log) as supervisor:
            told = lived(supervisor, folder, options)
    except (Failed, Stopped) as why:
        print(f"halfyear: {why or 'it was stopped'}", file=sys.stderr)
        return 1
    print(json.dumps(told))
    return 0


def log(line: str) -> None:
    """Say how far it is: what is asked for goes to standard output, alone."""
    print(line, file=sys.stderr, flush=True)


def lived(supervisor: Supervisor, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Live through it in the database of this environment; return what there is to tell."""
    ticking = clock.Clock(folder / "clock", os.environ["DATABASE_URL"])
    ends = ticking.now()
    begins = ends.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    clock.wear(ticking.file)  # Before Django is: its modules take the functions that they find.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # It counts for nobody who comes after.
    with running.receiver() as (hooks, receiver):
        environment = {
            **os.environ,
            "OUTSIDE_ORIGINS": hooks,
            "CELERY_BROKER_URL": "memory://",  # What a message would hurry is done by `nights`.
        }
        require_fresh(os.environ["DATABASE_URL"])
        ticking.begin(begins)
        programs.settle_in(environment)
        there = programs.Programs(supervisor, ticking.file, environment, options.port)
        there.start()
        try:
            told = play(there, ticking, (begins, ends), options, hooks, receiver)
        finally:
            supervisor.stop()  # Before the clock is true again, nobody may write any more.
    ticking.end()
    return told


def require_fresh(database: str) -> None:
    """Raise Failed unless nobody was ever in the database.

    By a connection of its own: Django's must all begin after the database takes part in the play.
    """
    with psycopg.connect(database) as connection:
        used = connection.execute(USED).fetchone()
    if used != (False,):
        raise Failed("this database has members already, and only a fresh one is filled.")


def play(
    there: programs.Programs,
    ticking: clock.Clock,
    span: tuple[datetime, datetime],
    options: argparse.Namespace,
    hooks: str,
    receiver: Any,
) -> dict[str, Any]:
    """Have all of it happen, and return what there is to tell."""
    from django.db import connections

    from local.halfyear import calling, cast, stage, story, told

    made = stage.Play(
        programs=there,
        clock=ticking,
        cast=cast.Cast(cast.password()),
        callers=calling.Callers(there.base_url, ticking),
        dice=random.Random(options.seed),  # noqa: S311 - no secret is made of it
        hooks=hooks,
        receiver=receiver,
        few=options.few,
        say=log,
    )
    try:
        story.play(made, span[0], days=DAYS, ends=span[1])
        return told.told(made)
    finally:
        made.callers.close()
        connections.close_all()


if __name__ == "__main__":
    sys.exit(main())
