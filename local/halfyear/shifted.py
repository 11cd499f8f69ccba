"""`python -m local.halfyear.shifted CLOCK MODULE ...`: a program that goes by the played clock."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from local.halfyear import clock


def main() -> None:
    """Become the module, its arguments behind it."""
    file, module, *words = sys.argv[1:]
    clock.wear(Path(file))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
