"""Our web process under cProfile: `python -m bench.profiled FILE --port N`; ends by SIGINT."""

from __future__ import annotations

import cProfile
import sys


def main() -> None:
    """Serve, then write what was measured; imports are not in it.

    It counts by the clock, because CPU time is so slow to read that it would hide what it
    measures: a function whose system call wakes another process looks longer than it is.
    """
    from config import asgi, web

    assert asgi.application is not None
    file = sys.argv.pop(1)
    profile = cProfile.Profile()
    try:
        profile.runcall(web.main)
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
