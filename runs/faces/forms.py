"""Forms with a file, as REST framework read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from common.errors import InvalidRequest
from uploads import shelf

if TYPE_CHECKING:
    from rest_framework.request import Request


def read(request: Request, name: str) -> tuple[QueryDict, UploadedFile[Any]]:
    """Return the fields of a form, and its file of that name; raise InvalidRequest."""
    sent, fields = request.FILES.get(name), request.data
    if not isinstance(sent, UploadedFile) or not sent.name or not isinstance(fields, QueryDict):
        raise InvalidRequest(f"Send a form (multipart/form-data) with the file as `{name}`.")
    return fields, sent


def on_disk(sent: UploadedFile[Any]) -> Path:
    """Return a file of ours with what came; it is its asker's to move or put away."""
    with shelf.arriving() as arrived:
        for block in sent.chunks():
            arrived.write(block)
        return Path(arrived.name)
