"""Comfy API v2: `/api/v2/assets`, the files that a workspace keeps here for its runs.

What a run made is read here, too, by the ids of its outputs; only files that were put here can be
deleted. Files are known by their BLAKE3 and by their SHA-256: both are compared, the first is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from common.drf import LenientJSONParser
from common.errors import AccessDisabled, InvalidRequest, NotFound, PlatformError
from runs import assets, dialects, digests, isolation
from runs.faces import asking, files, forms, v2
from runs.models import Output
from uploads import shelf

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpResponse, StreamingHttpResponse
    from rest_framework.request import Request

    from runs.digests import Measured
    from runs.models import Asset

MOST_TAGS: Final = 20
LONGEST_TAG: Final = 100
LEAST_SECONDS, MOST_SECONDS = 60, 604_800


class HashMismatch(PlatformError):
    """What came is not what was announced."""

    code = "hash_mismatch"
    status = 409


class AssetInUse(PlatformError):
    """A run that has not ended needs the file."""

    code = "asset_in_use"
    status = 409


class BlobNotFound(PlatformError):
    """No file of this workspace has that digest."""

    code = "blob_not_found"
    status = 404


class AssetsView(v2.V2):
    """Put a file here."""

    scopes: ClassVar[dict[str, str]] = {"POST": asking.SCOPE}
    parser_classes = (MultiPartParser, LenientJSONParser)

    def post(self, request: Request) -> Response:
        """Keep what comes as `file`; known bytes under a known name are one file (200)."""
        given, sent = forms.read(request, "file")
        name = _name(given.get("file_path") or sent.name)
        media = forms.media(given.get("content_type") or sent.content_type)
        tags, seconds = _tags(given.getlist("tags")), _seconds(given.get("expires_in"))
        wanted = _digest(given.get("expected_hash"))
        path, measured = forms.on_disk(sent)
        try:
            for kind, digest in wanted.items():
                if (is_so := getattr(measured, kind)) != digest:
                    raise HashMismatch(f"The file's digest is {kind}:{is_so}.")
            who = asking.by(request)
            made, is_new = assets.keep_once(
                who.workspace_id,
                user_id=who.user_id,
                file_path=name,
                content_type=media,
                arrived=path,
                measured=measured,
                seconds=seconds,
                tags=tags,
            )
        finally:
            shelf.put_away(path)
        return _created(request, made, is_new=is_new)


class FromHashView(v2.V2):
    """Another name for a file that is here."""

    scopes: ClassVar[dict[str, str]] = {"POST": asking.SCOPE}

    def post(self, request: Request) -> Response:
        """Keep bytes that are here under one more name (200: they have it); not another's."""
        given, who = asking.sent(request), asking.by(request)
        wanted = digests.read(given.get("hash"))
        same = assets.living(who.workspace_id).filter(**(wanted or {}))
        known = same.first() if wanted else None
        if known is None:
            raise BlobNotFound("No file of this workspace has that digest. Upload it.")
        name = _name(given["file_path"]) if given.get("file_path") else known.file_path
        seconds, tags = _seconds(given.get("expires_in")), _tags(given.get("tags") or [])
        before = same.filter(file_path=name).first()
        if before is not None and assets.stay(before, seconds=seconds):
            return _created(request, before, is_new=False)
        with shelf.arriving() as arrived:
            path = Path(arrived.name)
        try:
            measured = _copied(known, path)
            made = assets.keep(
                who.workspace_id,
                user_id=who.user_id,
                file_path=name,
                content_type=known.content_type,
                arrived=path,
                measured=measured,
                seconds=seconds,
                tags=tags,
            )
        finally:
            shelf.put_away(path)
        return _created(request, made, is_new=True)


def _copied(known: Asset, into: Path) -> Measured:
    """Write a file to a place of the disk, unless somebody deletes it at this moment."""
    try:
        return assets.copy(known, into)
    except OSError:
        raise BlobNotFound("That file cannot be read any more. Upload it.") from None


class ByHashView(v2.V2):
    """Whether a file is here."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, digest: str) -> Response:
        """Return nothing, if this workspace put such bytes here; another's are not found."""
        wanted = digests.read(digest)
        known = assets.living(asking.by(request).workspace_id)
        if wanted is None or not known.filter(**wanted).exists():
            raise BlobNotFound("No file of this workspace has that digest.")
        return Response(None)


class AssetView(v2.V2):
    """One file."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE, "DELETE": asking.SCOPE}

    def get(self, request: Request, asset_id: UUID) -> Response:
        """Return what is known of it, with an address for an hour."""
        return Response(_shown(request, _found(request, asset_id)))

    def delete(self, request: Request, asset_id: UUID) -> Response:
        """Delete a file that was put here."""
        if not assets.remove(assets.one(asking.by(request).workspace_id, asset_id)):
            raise AssetInUse("A run that has not ended needs this file.")
        return Response(status=204)


class ContentView(v2.V2):
    """What is in a file."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, asset_id: UUID) -> HttpResponse | StreamingHttpResponse:
        """Send it."""
        return files.given(request, _found(request, asset_id))


def _found(request: Request, asset_id: UUID) -> Asset | Output:
    workspace = asking.by(request).workspace_id
    try:
        return assets.one(workspace, asset_id)
    except NotFound:
        return assets.output(workspace, asset_id)


def _created(request: Request, asset: Asset, *, is_new: bool) -> Response:
    return Response({**_shown(request, asset), "created_new": is_new}, 201 if is_new else 200)


def _shown(request: Request, kept: Asset | Output) -> dict[str, Any]:
    url, until = files.address(request, kept, seconds=files.AN_HOUR)
    return {
        "id": str(kept.pk),
        "hash": digests.told(kept.sha256, kept.blake3),
        "size_bytes": kept.size_bytes,
        "content_type": kept.content_type,
        "file_path": dialects.path_of(kept),
        "created_at": kept.created_at.isoformat(),
        "url": url,
        "url_expires_at": dialects.instant_of(until),
        "expires_at": kept.expires_at.isoformat(),
        "job_id": kept.run.name if isinstance(kept, Output) else None,
    }


def _name(given: object) -> str:
    """Return a file's name as graphs have it: of `input/cat.png` that is `cat.png`."""
    if not isinstance(given, str) or not isolation.is_safe(given.removeprefix("/")):
        raise InvalidRequest("file_path: like cat.png, or cats/cat.png.")
    name = given.removeprefix("/")
    if name.startswith("models/"):
        raise AccessDisabled("Files of models are not kept here. Name them in `files` of a run.")
    return name.removeprefix("input/")


def _digest(given: object) -> dict[str, str]:
    """Return the digest that a file is said to have, by its kind; {} where nothing is said."""
    if not given:
        return {}
    found = digests.read(given)
    if found is None:
        raise InvalidRequest("expected_hash: like blake3:<64 hex digits>, or sha256:<64 of them>.")
    return found


def _seconds(given: object) -> int | None:
    return asking.seconds(given, "expires_in", least=LEAST_SECONDS, most=MOST_SECONDS)


def _tags(given: Any) -> list[str]:
    is_list = isinstance(given, list) and all(isinstance(each, str) for each in given)
    if not is_list or len(given) > MOST_TAGS or any(len(each) > LONGEST_TAG for each in given):
        raise InvalidRequest(f"tags: at most {MOST_TAGS} texts of {LONGEST_TAG} characters.")
    if any("\0" in each for each in given):
        raise InvalidRequest("No text may hold the character NUL.")
    return list(given)
