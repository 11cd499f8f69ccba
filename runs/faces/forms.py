"""Forms with a file, as REST framework read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from common.errors import InvalidRequest
from runs.digests import Measure, Measured
from uploads import shelf

if TYPE_CHECKING:
    from rest_framework.request import Request

LONGEST_MEDIA: Final = 100
MEDIA: Final = re.compile(r"[\w.+-]+/[\w.+-]+(?:;[ -~]*)?", re.ASCII)
"""A media type, perhaps with parameters; nothing in it that a header or a database cannot hold."""


def read(request: Request, name: str) -> tuple[QueryDict, UploadedFile[Any]]:
    """Return the fields of a form, and its file of that name; raise InvalidRequest."""
    sent, fields = request.FILES.get(name), request.data
    if not isinstance(sent, UploadedFile) or not sent.name or not isinstance(fields, QueryDict):
        raise InvalidRequest(f"Send a form (multipart/form-data) with the file as `{name}`.")
    return fields, sent


def media(said: object) -> str:
    """Return what a file is said to be, if that can be kept and sent; else what may be anything."""
    is_good = isinstance(said, str) and len(said) <= LONGEST_MEDIA and MEDIA.fullmatch(said)
    return str(said) if is_good else "application/octet-stream"


def on_disk(sent: UploadedFile[Any]) -> tuple[Path, Measured]:
    """Return a file of ours with what came, and its digests; it is its asker's to put away."""
    measure = Measure()
    with shelf.arriving() as arrived:
        for block in sent.chunks():
            measure.add(block)
            arrived.write(block)
        return Path(arrived.name), measure.whole()
