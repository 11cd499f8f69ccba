"""Values worked out from settings once a process; a test that changes a setting starts them anew.

Django's settings are looked up through a lazy object, which is slow beside a metered call.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.core.signals import setting_changed

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def from_settings(function: Callable[P, R]) -> Callable[P, R]:
    """Keep what the function returns for its arguments until a setting changes."""
    cached = functools.cache(function)

    def forget(**_: Any) -> None:
        cached.cache_clear()

    setting_changed.connect(forget, weak=False)
    return cached  # type: ignore[return-value]
