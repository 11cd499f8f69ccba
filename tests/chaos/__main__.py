"""`python3 dev.py chaos`: the whole installation as programs, which die while members call.

    python3 dev.py chaos --minutes 5               a seed by chance; it is printed
    python3 dev.py chaos --minutes 5 --seed 7      the same draws as every run of that seed
    python3 dev.py chaos --replay FOLDER/journal.jsonl    what a run did, at the seconds it did it

Status 0: nothing was lost, made, or charged twice. What was done and when, and all logs, stay in
the folder that is printed (docs/chaos.md).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, tell, and return 1 if anything was wrong."""
    options = parse(arguments)
    sys.path[:0] = [str(ROOT / "tests" / "system")]
    from tests.chaos.chaos_run import Chaos
    from tests.chaos.draws import draw, read

    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    if options.replay:
        seed, draws = read(options.replay)
    else:
        draws = draw(seed, seconds=60 * options.minutes)
    folder = options.data or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    say(f"seed {seed}, {len(draws)} draws, {options.callers} callers; journal and logs: {folder}")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    limit = None if options.replay else 60 * options.minutes
    chaos = Chaos(folder, seed, draws, callers=options.callers, say=say, seconds=limit)
    result = asyncio.run(chaos.run())
    say("", *result.told, "")
    say(f"{'micros':<28}{'seen outside':>16}{'in the books':>16}{'difference':>12}")
    for line in result.account:
        differs = line.books - line.outside
        say(f"{line.what:<28}{line.outside:>16}{line.books:>16}{differs:>12}")
    say("", f"seed {seed}: " + ("all is right." if result.is_right else "SOMETHING IS WRONG."))
    for each in result.wrong:
        say(f"WRONG {each}")
    return 0 if result.is_right else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(
        prog="dev.py chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5, help="of draws (5)")
    parser.add_argument("--seed", type=int, help="by chance, unless told")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="the journal of a run")
    parser.add_argument("--callers", type=int, default=12, help="connections that call (12)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="a new one; else a temporary")
    return parser.parse_args(arguments)


def say(*lines: str) -> None:
    """Print at once: it takes a while."""
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    if importlib.util.find_spec("psycopg") is None:  # Not the environment: dev.py has it.
        os.execv(sys.executable, [sys.executable, str(ROOT / "dev.py"), "chaos", *sys.argv[1:]])
    sys.exit(main())
