"""Stylesheets, scripts, fonts and pictures: from the packages that bring them, by this process.

There are few and they are small, so no server beside us is needed; one that caches is welcome.
"""

from __future__ import annotations

import functools
import hashlib
import mimetypes
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.views.decorators.http import require_safe

SECONDS = 600
LONGEST = 200
TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}


@require_safe
def static(request: HttpRequest, path: str) -> HttpResponse:
    """Answer with a file, or that the browser has it already."""
    found = _read(path) if len(path) <= LONGEST and "\0" not in path else None
    if found is None:
        raise Http404
    content, tag, kind = found
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={SECONDS}"}
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(content, content_type=kind, headers=headers)


def _read(path: str) -> tuple[bytes, str, str] | None:
    """Return a file with its tag and type; what is nowhere is not remembered."""
    where = finders.find(path)
    return _load(where) if isinstance(where, str) and Path(where).is_file() else None


@functools.lru_cache(maxsize=512)
def _load(where: str) -> tuple[bytes, str, str]:
    content = Path(where).read_bytes()
    kind = TYPES.get(Path(where).suffix) or mimetypes.guess_type(where)[0]
    digest = hashlib.sha256(content).hexdigest()[:20]
    return content, f'"{digest}"', kind or "application/octet-stream"
