"""A place for a file: offered, claimed by its first content, filled, and taken away.

Whatever content comes first and whole is the file. The same again is welcome, as clients repeat
what they are not sure of; another is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from common.errors import AccessDisabled, InvalidRequest, RateLimited
from common.ids import uuid7
from uploads import shelf, signing
from uploads.models import Upload

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

MOST_PLACES = 20_000
"""Of a workspace at a time."""
BATCH = 200
TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,58}", re.ASCII)
UNKNOWN_TYPE = "application/octet-stream"
TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp",
    ".gif": "image/gif", ".svg": "image/svg+xml", ".mp4": "video/mp4", ".mov": "video/quicktime",
    ".webm": "video/webm", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".m4a": "audio/mp4",
    ".flac": "audio/flac", ".ogg": "audio/ogg", ".glb": "model/gltf-binary",
}  # fmt: skip

ROOM = """
INSERT INTO uploads_storage AS had (workspace_id, places) VALUES (%(workspace)s, 1)
ON CONFLICT (workspace_id) DO UPDATE SET places = had.places + 1
 WHERE had.places < %(places)s AND had.used_bytes < %(quota)s
RETURNING 1
"""
FIND = """
SELECT workspace_id::text, name, content_type, size_bytes, stored_at IS NOT NULL
  FROM uploads_upload WHERE id = %s AND expires_at > now()
"""
"""Who has it, and what it is; nothing where its time is over."""
CLAIM = """
WITH found AS (
    SELECT id, workspace_id, digest FROM uploads_upload
     WHERE id = %s AND expires_at > now() FOR UPDATE
), asked AS (
    SELECT %s::text AS digest, %s::bigint AS size, %s::bigint AS quota
), room AS (
    UPDATE uploads_storage had SET used_bytes = had.used_bytes + asked.size
      FROM found, asked
     WHERE had.workspace_id = found.workspace_id AND found.digest = ''
       AND had.used_bytes + asked.size <= asked.quota
    RETURNING 1
), claimed AS (
    UPDATE uploads_upload place SET digest = asked.digest, size_bytes = asked.size
      FROM found, asked, room WHERE place.id = found.id
    RETURNING 1
)
SELECT CASE WHEN found.digest = asked.digest THEN 'same'
            WHEN found.digest <> '' THEN 'other'
            WHEN EXISTS (SELECT FROM claimed) THEN 'claimed'
            ELSE 'full' END
  FROM found, asked
"""
"""Have a content be the file; no row where the place is gone."""
STORED = """
UPDATE uploads_upload SET stored_at = coalesce(stored_at, now())
 WHERE id = %s AND digest = %s AND expires_at > now() RETURNING 1
"""
"""Say that it can be fetched; no row where its time was over meanwhile."""
TAKE_AWAY = """
WITH held AS (
    SELECT id FROM uploads_upload WHERE id = ANY (%s) ORDER BY id FOR UPDATE
), gone AS (
    DELETE FROM uploads_upload place USING held WHERE place.id = held.id
    RETURNING place.workspace_id, place.size_bytes
), sums AS (
    SELECT workspace_id, sum(size_bytes) AS bytes, count(*) AS places FROM gone GROUP BY 1
), locked AS (
    SELECT had.workspace_id FROM uploads_storage had JOIN sums USING (workspace_id)
     ORDER BY 1 FOR UPDATE OF had
)
UPDATE uploads_storage had
   SET used_bytes = had.used_bytes - sums.bytes, places = had.places - sums.places
  FROM sums JOIN locked USING (workspace_id) WHERE had.workspace_id = sums.workspace_id
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node is told."""

    upload_url: str
    download_url: str
    expires_at: datetime


@transaction.atomic
def offer(*, workspace_id: UUID, file_name: str, content_type: str, base: str) -> Offer:
    """Make a place for a file; raise where the workspace has no room for one.

    `base` is where the client, and the vendor, reach us.
    """
    if content_type and not TYPE.fullmatch(content_type):
        raise InvalidRequest("content_type must be a media type, like image/png.")
    _take_room(workspace_id)
    name = _clean(file_name)
    kind = content_type or TYPES.get(name[name.rfind(".") :].lower(), UNKNOWN_TYPE)
    seconds = settings.UPLOADS_HOURS * 3600
    upload = Upload(id=uuid7(), workspace_id=workspace_id, name=name, content_type=kind.lower())
    upload.expires_at = timezone.now() + timedelta(seconds=seconds)
    until = int(upload.expires_at.timestamp())
    if shelf.is_bucket():
        fetched = shelf.bucket_address(upload.key, upload.content_type, seconds)
    else:
        fetched = base + signing.path("get", str(upload.pk), name, until)
    upload.address_digest = shelf.digest_of(fetched)
    upload.save(force_insert=True)
    put = base + signing.path("put", str(upload.pk), name, until)
    return Offer(put, fetched, upload.expires_at)


def _take_room(workspace_id: UUID) -> None:
    given: dict[str, Any] = {
        "workspace": workspace_id,
        "places": MOST_PLACES,
        "quota": settings.UPLOADS_QUOTA_BYTES,
    }
    with connection.cursor() as cursor:
        cursor.execute(ROOM, given)
        if cursor.fetchone():
            return
        cursor.execute(
            "SELECT places >= %(places)s FROM uploads_storage WHERE workspace_id = %(workspace)s",
            given,
        )
        (has_many,) = cursor.fetchone() or (False,)
    if has_many:
        raise RateLimited(
            "This workspace has asked for more places for files than one may have in a day.",
            headers={"Retry-After": "600"},
        )
    raise full()


def full() -> AccessDisabled:
    """Return the refusal of a file for which there is no room."""
    quota, hours = settings.UPLOADS_QUOTA_BYTES >> 20, settings.UPLOADS_HOURS
    return AccessDisabled(
        f"This workspace's files fill the {quota} MiB that it has here. Each is deleted {hours} "
        "hours after it came; please wait for that, or send smaller ones."
    )


def _clean(file_name: str) -> str:
    """Return a name that is good in an address and in a folder, with its ending."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", file_name.replace("\\", "/").rpartition("/")[2])
    return kept[-100:].lstrip(".-") or "file"


def delete_expired() -> int:
    """Delete files whose time is over, a batch; return how many. Two at once do it once.

    The file goes first: what is left of a broken try is found again by its row.
    """
    due = Upload.objects.filter(expires_at__lt=timezone.now()).order_by("expires_at")
    return _delete(list(due[:BATCH]))


def forget(workspace_id: UUID) -> int:
    """Leave nothing of a workspace here; return how many files and places there were."""
    count = 0
    while found := list(Upload.objects.filter(workspace_id=workspace_id)[:BATCH]):
        count += _delete(found)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM uploads_storage WHERE workspace_id = %s AND places = 0", [workspace_id]
        )
    return count


def _delete(found: list[Upload]) -> int:
    for upload in found:
        shelf.drop(upload.key)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_AWAY, [[upload.pk for upload in found]])
    return len(found)
