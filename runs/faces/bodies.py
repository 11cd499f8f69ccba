"""How much the addresses of runs take: a workflow, or a form with a file."""

from __future__ import annotations

import re
from typing import Final

from runs import assets, core

FORM: Final = re.compile(
    r"/api/v2/assets|/(?:comfy|run/[^/]+)(?:/api)?/upload/(?:image|mask)"
    r"|/my/(?:workflows/[0-9a-f-]{36}|runs/[0-9a-f-]{36}/again)"
)
WORKFLOW: Final = re.compile(r"/(?:api/v[127]|comfy|run|v1/workflows)(?:/.*)?")
BESIDE: Final = 1 << 20
"""Bytes of whatever stands beside a workflow, or a file, in its request."""
FORM_BYTES: Final = assets.MOST_BYTES + BESIDE


def is_form(path: str) -> bool:
    """Whether a form with a file may come there: it waits on disk, not in memory."""
    return bool(FORM.fullmatch(path))


def most(path: str) -> int:
    """Return how many bytes a body may have there; 0: what is usual."""
    return core.MOST_BYTES + BESIDE if WORKFLOW.fullmatch(path) else 0
