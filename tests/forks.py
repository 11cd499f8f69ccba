"""A program that has Django loaded, and does each thing that it is asked for in a fork of itself.

A line of JSON asks, with the failpoint to be armed (`place`); the answer is the line of how that
process ended: 0, or less the signal's number.
"""

import json
import os
import sys
import traceback

from common import failpoints


def serve(do):
    """Do what each line asks for, until there are no more."""
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
