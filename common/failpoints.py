"""Named places where a process may be made to die: tests prove that what is left can be resumed.

`FAIL_POINT=topup.page_opened` in the environment kills the process there, as the machine would;
without it a place is one comparison.
"""

from __future__ import annotations

import os
import signal

armed = os.environ.get("FAIL_POINT", "")


def reached(name: str) -> None:
    """Die here, if this is the place."""
    if armed and name == armed:
        os.kill(os.getpid(), signal.SIGKILL)
