"""Where what happens to a metered call is told to its span, where spans are made at all.

`config/spans.py` puts a function here if an operator wants them. Else it is None for ever, nothing
of OpenTelemetry is loaded, and a call pays for looking at a None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

tell: Callable[..., None] | None = None
"""Tells facts of the call that the running task serves; what was told before is told anew."""
