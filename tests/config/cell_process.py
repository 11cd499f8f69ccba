"""A move in a process of its own, which may be killed at a named place.

Forks once for each line of JSON that it reads, so that Django is loaded once; each answer is the
line of how that process ended: 0, or less the signal's number.
"""

import json
import os
import sys
import traceback
import uuid

import django

django.setup()

from config.cells import moving  # noqa: E402 - Django first
from django.db import connection  # noqa: E402

from common import failpoints  # noqa: E402

STAFF = uuid.UUID(int=1)


def do(asked):
    """Move, or call back."""
    connection.settings_dict["NAME"] = asked["database"]
    wallet, url = uuid.UUID(asked["wallet"]), asked["url"]
    if asked["work"] == "abort":
        moving.abort(wallet, url, by=STAFF, reason="back")
    else:
        moving.move(wallet, url, by=STAFF, reason="room", wait_seconds=asked["wait"])


def main():
    """Serve."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            failpoints.armed = asked["place"]
            status = 1
            try:
                do(asked)
                status = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
