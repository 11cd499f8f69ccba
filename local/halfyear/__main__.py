"""`python -m local.halfyear`: fill a fresh, migrated database with half a year, and say who is in.

The environment is that of the product's programs. What is printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 2026


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

    from local.halfyear import clock, programs, running
    from local.supervisor import Failed, Stopped, Supervisor

    ticking = clock.Clock(folder / "clock", os.environ["DATABASE_URL"])
    clock.wear(ticking.file)
    try:
        with running.receiver() as (hooks, receiver), Supervisor(folder, say=_log) as supervisor:
            environment = {**os.environ, "OUTSIDE_ORIGINS": hooks}
            environment["CELERY_BROKER_URL"] = "memory://"
            programs.settle_in(environment)
            require_fresh()
            begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=182)
            ticking.begin(begins)
            there = programs.Programs(supervisor, ticking.file, environment, options.port)
            there.start()
            told = fill(there, ticking, begins, options, hooks, receiver)
    except (Failed, Stopped) as why:
        print(f"halfyear: {why}", file=sys.stderr)
        return 1
    ticking.end()
    print(json.dumps(told))
    return 0


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def require_fresh() -> None:
    """Raise Failed unless nobody was ever here."""
    from accounts.models import User
    from credits.models import Entry
    from local.supervisor import Failed

    if User.objects.exists() or Entry.objects.exists():
        raise Failed("this database has members already, and only a fresh one is filled.")


def fill(there, ticking, begins, options, hooks, receiver):  # type: ignore[no-untyped-def]
    from local.halfyear import calling, cast, story

    dice = random.Random(options.seed)  # noqa: S311  No secret is made of it.
    made = story.Play(
        programs=there,
        clock=ticking,
        cast=cast.Cast(cast.password()),
        callers=calling.Callers(there.base_url, ticking),
        dice=dice,
        hooks=hooks,
        receiver=receiver,
        few=options.few,
        say=_log,
    )
    try:
        story.play(made, begins)
    finally:
        made.callers.close()
    return {"password": made.cast.password, "statuses": made.callers.statuses}


if __name__ == "__main__":
    sys.exit(main())
