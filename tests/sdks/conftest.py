"""Vendors' own libraries against the sandbox and the platform: `python3 dev.py sdks`.

They are installed in an environment of their own, and are no part of `dev.py test`, which collects
nothing here.
"""

from __future__ import annotations

import os

APART = "SDK_SANDBOX" in os.environ
collect_ignore_glob = [] if APART else ["test_*.py"]
if APART:
    from sdk_places import at_root, either, proxy, sandbox

    __all__ = ["at_root", "either", "proxy", "sandbox"]
