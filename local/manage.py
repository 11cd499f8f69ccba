"""`python3 dev.py manage ...`: manage.py, on what a running `up` works on."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with the settings of that data folder; return its status."""
    parser = argparse.ArgumentParser(prog="dev.py manage", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / ".data", help="of the `up` (.data)")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="what manage.py is to do")
    options = parser.parse_args(arguments)
    try:
        settings = json.loads((options.data / "environment.json").read_text())
        environment = {**settings, **os.environ}
        # The file outlives the `up` that wrote it.
        psycopg.connect(environment["DATABASE_URL"], connect_timeout=5).close()
    except (OSError, ValueError, TypeError, KeyError, psycopg.OperationalError):
        print(f"manage: nothing runs on {options.data}: start `dev.py up` first.", file=sys.stderr)
        return 1
    # The metrics are the web processes' own; a command that counted there would stay for ever.
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    command = [sys.executable, str(ROOT / "manage.py"), *options.words]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
