"""Files in ComfyUI's own dialect: looked at by their names, and put here under one.

    GET view?filename=&subfolder=&type=&preview=&channel=     POST upload/image, upload/mask

A name is the workspace's own: two workspaces' `image.png` never meet. Of a name that stands for
several files, the newest is meant.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from django.http import HttpResponse
from PIL import Image
from rest_framework.response import Response

from common import db
from common.errors import AccessDisabled, InvalidRequest, NotFound
from runs import assets, digests, isolation
from runs.faces import asking, files, forms, thumbnails
from runs.models import Output
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from django.core.files.uploadedfile import UploadedFile
    from django.http import QueryDict, StreamingHttpResponse
    from rest_framework.request import Request

    from runs.digests import Measured
    from runs.models import Asset

MOST_BYTES: Final = assets.MOST_BYTES
KINDS: Final = ("output", "input", "temp")
MOST_NUMBER: Final = 1000
TRUE: Final = ("true", "1")
CHANNELS: Final = ("rgb", "a")
USUAL_QUALITY, MOST_QUALITY = 90, 100


def view(request: Request) -> HttpResponse | StreamingHttpResponse:
    """Send a file of the workspace: what a run made, or what was put here for one."""
    asked = request.query_params
    name, subfolder = asked.get("filename", ""), asked.get("subfolder", "").strip("/")
    kind = asked.get("type", "output")
    if kind not in KINDS or not name or name.startswith("/") or ".." in name or "\0" in name:
        raise InvalidRequest("view: filename, subfolder, and type (output, input or temp).")
    whole = f"{subfolder}/{name}" if subfolder else name
    if not isolation.is_safe(whole):
        raise AccessDisabled("This place is outside of the folder.")
    found = _find(asking.by(request).workspace_id, whole, kind)
    if found is None:
        raise NotFound("There is no such file.")
    wanted = _wanted(asked)
    picture = thumbnails.shown(found, *wanted) if wanted else None
    if picture is None:
        return files.given(request, found)
    content, media = picture
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private"}
    return HttpResponse(content, content_type=media, headers=headers)


def _wanted(asked: Mapping[str, str]) -> tuple[str, int, str] | None:
    """Return as what a picture shall come, how well, and which of its channels; None: as it is.

    `preview=webp;90` and `channel=rgb` are ComfyUI's own words; what they do not know is WebP.
    """
    preview, channel = asked.get("preview"), asked.get("channel", "")
    if preview is None:
        return ("png", USUAL_QUALITY, channel) if channel in CHANNELS else None
    kind, _, said = preview.partition(";")
    has_alpha = "a" in channel
    is_number = said.isascii() and said.isdecimal() and len(said) <= 3
    quality = min(int(said), MOST_QUALITY) if is_number else USUAL_QUALITY
    return "jpeg" if kind == "jpeg" and not has_alpha else "webp", quality, channel


def upload(request: Request) -> Response:
    """Put a file here; of a name that has other bytes already, it is given another one."""
    fields, sent = _sent(request)
    path, measured = forms.on_disk(sent)
    try:
        return _kept(request, fields, path, measured, str(sent.name), sent.content_type)
    finally:
        shelf.put_away(path)


def upload_mask(request: Request) -> Response:
    """Put a picture here that is another one, with the transparency of what is sent."""
    fields, sent = _sent(request)
    original = _original(request, fields)
    try:
        with (
            Image.open(sent, formats=thumbnails.FORMATS) as mask,
            assets.opened(original) as content,
            Image.open(content, formats=thumbnails.FORMATS) as found,
        ):
            made = _masked(found, mask)
    except thumbnails.FAILED:
        raise InvalidRequest(
            "upload/mask: send two pictures, `image` and `original_ref`."
        ) from None
    path, measured = _written(made)
    try:
        return _kept(request, fields, path, measured, str(sent.name), "image/png")
    finally:
        shelf.put_away(path)


def _masked(found: Image.Image, mask: Image.Image) -> bytes:
    """Return the one with the transparency of the other, as PNG. Raises Unavailable."""
    sizes = (found.width * found.height, mask.width * mask.height)
    if max(sizes) > thumbnails.MOST_PIXELS:
        raise InvalidRequest(f"A picture has at most {thumbnails.MOST_PIXELS:,} pixels here.")
    db.give_back()
    with thumbnails.ROOM.taken(sum(sizes)):
        picture, alpha = found.convert("RGBA"), mask.convert("RGBA").getchannel("A")
        picture.putalpha(alpha if alpha.size == picture.size else alpha.resize(picture.size))
        made = io.BytesIO()
        picture.save(made, "PNG", compress_level=4)
    return made.getvalue()


def _find(workspace_id: UUID, path: str, kind: str) -> Asset | Output | None:
    if kind == "input":
        return assets.named(workspace_id, path)
    folder, _, name = path.rpartition("/")
    return assets.made(workspace_id, name, subfolder=folder, kind=kind)


def _original(request: Request, fields: QueryDict) -> Asset | Output:
    try:
        said = orjson.loads(str(fields.get("original_ref") or ""))
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("filename"), str):
        raise InvalidRequest("original_ref: a JSON object with filename, subfolder and type.")
    folder, kind = str(said.get("subfolder") or "").strip("/"), said.get("type") or "output"
    whole = f"{folder}/{said['filename']}" if folder else said["filename"]
    if kind not in KINDS or not isolation.is_safe(whole):
        raise InvalidRequest("original_ref: a JSON object with filename, subfolder and type.")
    found = _find(asking.by(request).workspace_id, whole, kind)
    if found is None:
        raise NotFound("There is no such file.")
    return found


def _sent(request: Request) -> tuple[QueryDict, UploadedFile[Any]]:
    fields, sent = forms.read(request, "image")
    if fields.get("type", "input") not in KINDS:
        raise InvalidRequest("type: input.")
    return fields, sent


def _kept(
    request: Request,
    given: QueryDict,
    path: Path,
    measured: Measured,
    name: str,
    media: str | None,
) -> Response:
    who = asking.by(request)
    subfolder = str(given.get("subfolder") or "").strip("/")
    overwrite = str(given.get("overwrite", "")).lower() in TRUE
    if not isolation.is_safe(f"{subfolder}/{name}" if subfolder else name):
        raise InvalidRequest("A file is named like cat.png, its subfolder like cats/small.")
    digest = measured.sha256
    free = _free(who.workspace_id, subfolder, name, digest, overwrite=overwrite)
    whole = f"{subfolder}/{free}" if subfolder else free
    known = assets.named(who.workspace_id, whole)
    if known is None or known.sha256 != digest or not assets.stay(known):
        assets.keep(
            who.workspace_id,
            user_id=who.user_id,
            file_path=whole,
            content_type=forms.media(media),
            arrived=path,
            measured=measured,
        )
    return Response({"name": free, "subfolder": subfolder, "type": "input"})


def _free(workspace_id: UUID, subfolder: str, name: str, digest: str, *, overwrite: bool) -> str:
    """Return the name under which bytes may lie: as asked, unless other bytes have it."""
    stem, dot, ending = name.rpartition(".")
    for number in range(MOST_NUMBER):
        if number == 0:
            tried = name
        else:
            tried = f"{stem} ({number}){dot}{ending}" if stem else f"{name} ({number})"
        whole = f"{subfolder}/{tried}" if subfolder else tried
        known = assets.named(workspace_id, whole)
        if known is None or known.sha256 == digest or overwrite:
            return tried
    raise InvalidRequest("There are too many files of that name. Choose another.")


def _written(content: bytes) -> tuple[Path, Measured]:
    with shelf.arriving() as arrived:
        measured = digests.copied(io.BytesIO(content), arrived)
        return Path(arrived.name), measured
