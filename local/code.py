"""`python3 dev.py code ADDRESS`: the second factor of somebody of the half year's staff, now."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from local.halfyear import told

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it; return 1 for somebody who is not there."""
    parser = argparse.ArgumentParser(prog="dev.py code", description=__doc__)
    parser.add_argument("address", help="like finance@staff.example.org")
    parser.add_argument("--data", type=Path, default=ROOT / ".data", help="of the `up` (.data)")
    options = parser.parse_args(arguments)
    try:
        kept = json.loads((options.data / "halfyear.json").read_text())
        secret = kept["staff"][options.address]["secret"]
    except (OSError, ValueError, KeyError):
        print(f"code: {options.data} has no half year with that address.", file=sys.stderr)
        return 1
    print(told.code(secret))
    return 0


if __name__ == "__main__":
    sys.exit(main())
