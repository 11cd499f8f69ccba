"""Refusals of what never comes to a face's own view, in its shape all the same.

A body that is too large, a database that is away, an address that is none: a client of a dialect
reads its own words there, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from runs.faces import asking, icu, modelslab, native, v2

if TYPE_CHECKING:
    from common.errors import PlatformError

FACES: Final[tuple[tuple[re.Pattern[str], type[asking.Face]], ...]] = (
    (re.compile(r"/api/v2/(?:jobs|assets)(?:/|$)"), v2.V2),
    (re.compile(r"/api/v1/workflows/"), icu.Icu),
    (re.compile(r"/api/v7/comfyui/"), modelslab.ModelsLab),
    (re.compile(r"/(?:comfy|run/[^/]+)/"), native.NativeView),
)


def at(path: str, refusal: PlatformError) -> tuple[int, Any, dict[str, str]]:
    """Return status, body and headers with which whoever asks at that path is refused."""
    for form, face in FACES:
        if form.match(path):
            status, body = face().refusal(refusal)
            named = asking.named_answer(face.__name__, status)
            return status, body, {**refusal.headers, **named}
    return refusal.status, refusal.body_at(path), dict(refusal.headers)
