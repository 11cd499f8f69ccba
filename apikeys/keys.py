"""Issue and recognise `comfyui-` keys; states.py ends them.

A key is exactly 72 characters: `comfyui-`, 56 hex digits of chance, and the CRC-32 of what stands
before them in 8 more. So a mistyped or invented key is refused without a query, and a scanner can
tell a real one. It is shown once; what is stored is its HMAC-SHA-256 under a server pepper, and
that pepper's version beside it: a new pepper takes over key by key, as they are used.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
import zlib
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models.expressions import RawSQL

from apikeys.models import ApiKey
from common.cached import from_settings
from common.errors import InvalidRequest, Unauthorized
from credits.books.batches import Payer

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet

MOST_NAME = 100
PREFIX = "comfyui-"
LENGTH = 72
_FORM = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")

LIVING = """
      FROM apikeys_apikey key JOIN accounts_user person ON person.id = key.user_id
     WHERE key.revoked_at IS NULL AND key.disabled_at IS NULL
       AND coalesce(key.expires_at > now(), true) AND person.is_active
"""
"""The keys that may be used for anything at all: who asks for a key, at whatever door, asks so."""

FIND = f"""
    LEFT JOIN LATERAL (SELECT key.* {LIVING} AND key.digest = asked.digest LIMIT 1) key ON true
"""
"""The living key of the row `asked` by its digest, as `key`; null if there is none."""

PAYER = Payer(
    columns="digest bytea, vendor text",
    join=FIND,
    wallet="key.workspace_id",
    refusal="""
        CASE WHEN key.id IS NULL THEN 'unauthorized'
             WHEN NOT 'proxy' = ANY (key.scopes) THEN 'scope'
             WHEN NOT asked.vendor = ANY (key.allowed_vendors) THEN 'vendor'
             WHEN asked.amount > key.call_limit_micros THEN 'call_limit'
        END
    """,
    memo="asked.memo || jsonb_build_object('key', key.id, 'user', key.user_id)",
    facts="key.id::text",
)
"""Who pays for a call: the workspace of its key, if the key may. See credits/books/batches.py."""


def issue(
    *,
    workspace_id: UUID,
    user_id: UUID,
    name: str,
    description: str = "",
    expires_at: datetime | None = None,
    scopes: list[str] | None = None,
) -> tuple[str, ApiKey]:
    """Make a key; return it, for the only time, with its record."""
    if not 0 < len(name.strip()) <= MOST_NAME:
        raise InvalidRequest(
            f"A key needs a name of at most {MOST_NAME} characters, like the machine it is for."
        )
    head = PREFIX + secrets.token_hex(28)
    key = head + checksum(head)
    version = max(settings.KEY_PEPPERS)
    fields = {} if scopes is None else {"scopes": scopes}
    record = ApiKey.objects.create(
        workspace_id=workspace_id,
        user_id=user_id,
        name=name.strip(),
        description=description,
        prefix=key[: len(PREFIX) + 8],
        digest=digest(key, version),
        pepper_version=version,
        expires_at=expires_at,
        **fields,
    )
    return key, record


def checksum(head: str) -> str:
    """Return the 8 hex digits that end a key: the CRC-32 of what stands before them."""
    return f"{zlib.crc32(head.encode()):08x}"


def is_wellformed(key: str) -> bool:
    """Whether this can be a key at all; costs no query."""
    return bool(_FORM.fullmatch(key)) and checksum(key[:-8]) == key[-8:]


def digest(key: str, version: int) -> bytes:
    """Return the keyed digest (32 bytes) under that version of the pepper."""
    return hmac.digest(settings.KEY_PEPPERS[version], key.encode(), "sha256")


def digests(key: str) -> list[bytes]:
    """Return the digests to look for, newest pepper first; raise Unauthorized if it is no key."""
    if not is_wellformed(key):
        raise Unauthorized("This is not an API key of this platform. Check for a typing error.")
    return [hmac.digest(pepper, key.encode(), "sha256") for pepper in _peppers()]


@from_settings
def _peppers() -> tuple[bytes, ...]:
    return tuple(pepper for _, pepper in sorted(settings.KEY_PEPPERS.items(), reverse=True))


def living() -> QuerySet[ApiKey]:
    """Return all keys that may be used."""
    return ApiKey.objects.filter(pk__in=RawSQL(f"SELECT key.id {LIVING}", []))  # noqa: S611


def authenticate(key: str) -> ApiKey:
    """Return the living key with its user, or raise Unauthorized. Notes that it was used."""
    found = living().select_related("user", "workspace").filter(digest__in=digests(key)).first()
    if found is None:
        raise Unauthorized("This API key is unknown, expired or revoked.")
    if found.pepper_version < max(settings.KEY_PEPPERS):
        repepper(key)
    used.note(str(found.pk))
    if used.is_due():
        used.write()
    return found


class Used:
    """When keys were last used, gathered in memory and written together at most once a minute.

    So the hot path never waits for it; a crash loses at most the last minute of it.
    """

    SECONDS = 60

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._written = 0.0

    def note(self, key_id: str) -> None:
        """Remember that the key was used now."""
        self._seen[key_id] = time.time()

    def is_due(self) -> bool:
        """Whether something waits, and the last writing was a minute ago."""
        return bool(self._seen) and time.monotonic() - self._written >= self.SECONDS

    def write(self) -> None:
        """Write what was gathered, in one query; never moves a time back.

        Keys are locked in the order of their ids: another process may write the same at the same
        moment. If that fails, it is gathered still.
        """
        seen, self._seen = self._seen, {}
        self._written = time.monotonic()
        if not seen:
            return
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    """
                    UPDATE apikeys_apikey key SET last_used_at = to_timestamp(seen.at)
                      FROM (SELECT one.id, seen.at
                              FROM apikeys_apikey one
                              JOIN unnest(%s::uuid[], %s::float8[]) AS seen(id, at) USING (id)
                             WHERE coalesce(one.last_used_at, '-infinity') < to_timestamp(seen.at)
                             ORDER BY one.id FOR NO KEY UPDATE OF one) AS seen
                     WHERE key.id = seen.id
                    """,
                    [list(seen), list(seen.values())],
                )
        except DatabaseError:
            self._seen = {**seen, **self._seen}
            raise


used = Used()


REPEPPER = "UPDATE apikeys_apikey SET digest = %s, pepper_version = %s WHERE digest = ANY (%s)"
"""Give a key that was found under an older pepper its digest under the newest."""


def repeppered(digests: list[bytes]) -> tuple[bytes, int, list[bytes]]:
    """Return the parameters of `REPEPPER` for what `digests` returned of the key."""
    return digests[0], max(settings.KEY_PEPPERS), digests[1:]


def repepper(key: str) -> None:
    """Do it by Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(REPEPPER, repeppered(digests(key)))
