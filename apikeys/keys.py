"""Issue and recognise `comfyui-` keys; states.py ends them.

A key is exactly 72 characters: `comfyui-`, the operator's own part if there is one (`KEY_PREFIX`,
like `acme-`), hex digits of chance (56 without it), and the CRC-32 of what stands before them in 8
more. So a mistyped or invented key is refused without a query, and a scanner can
tell a real one. It is shown once; what is stored is its HMAC-SHA-256 under a server pepper, and
that pepper's version beside it: a new pepper takes over key by key, as they are used.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
import uuid
import zlib
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext, gettext_noop

from accounts.models import Membership
from apikeys.models import ApiKey
from common import addresses, rotating
from common.cached import from_settings
from common.errors import AccessDisabled, InvalidRequest, Unauthorized
from credits.books import elsewhere

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

MOST_NAME = 100
PREFIX = "comfyui-"
LENGTH = 72
OWN_PART = r"(?:[a-z][a-z0-9]{1,11}-)?"
"""What may stand between: a key that was made under another setting stays one."""
_FORM = re.compile(rf"{PREFIX}{OWN_PART}[0-9a-f]{{51,64}}")
LOOKS_LIKE_ONE = re.compile(rf"{PREFIX}{OWN_PART}[0-9a-f]{{51,64}}", re.IGNORECASE)
"""What nobody may write into an address, where it would be kept in logs."""
_SHOWN = 8
"""So many digits of chance are shown of a key."""

LIVING = """
      FROM apikeys_apikey key JOIN accounts_user person ON person.id = key.user_id
      JOIN accounts_membership seat
        ON seat.workspace_id = key.workspace_id AND seat.user_id = key.user_id
       AND seat.created_at <= key.created_at
      JOIN accounts_workspace workspace ON workspace.id = key.workspace_id
     WHERE key.revoked_at IS NULL AND key.disabled_at IS NULL
       AND coalesce(key.expires_at > now(), true) AND person.is_active
"""
"""The keys that may be used for anything at all: who asks for a key, at whatever door, asks so.

A key is its person's in that workspace, for as long as they belong to it: `seat`. Who comes back
has a new seat, and the keys of before stay ended.
"""


def issue(
    *,
    workspace_id: UUID,
    user_id: UUID,
    name: str,
    description: str = "",
    scopes: list[str] | None = None,
    replaces: ApiKey | None = None,
    **fields: Any,
) -> tuple[str, ApiKey]:
    """Make a key; return it, for the only time, with its record.

    `fields` are further ones of that. A key that replaces another is of its family. Raises Moving
    or Moved where the workspace is about to be another cell's, which would not know the key.
    """
    name = named(name)
    elsewhere.require_wallet_here(workspace_id)
    own_id = uuid.uuid4()
    own_part = f"{settings.KEY_PREFIX}-" if settings.KEY_PREFIX else ""
    head = PREFIX + own_part
    head += secrets.token_hex(LENGTH)[: LENGTH - len(head) - 8]
    key = head + checksum(head)
    version = rotating.pepper()
    if scopes is not None:
        fields["scopes"] = scopes
    record = ApiKey.objects.create(
        id=own_id,
        family=replaces.family if replaces else own_id,
        replaces=replaces,
        workspace_id=workspace_id,
        user_id=user_id,
        name=name,
        description=description,
        prefix=key[: len(PREFIX + own_part) + _SHOWN],
        digest=digest(key, version),
        pepper_version=version,
        **fields,
    )
    return key, record


def named(name: str) -> str:
    """Return a key's name as it is kept; raise InvalidRequest if it is none."""
    if not 0 < len(name.strip()) <= MOST_NAME:
        raise InvalidRequest(
            gettext(
                "A key needs a name of at most %(most)s characters, like the machine it is for."
            )
            % {"most": MOST_NAME}
        )
    return name.strip()


def checksum(head: str) -> str:
    """Return the 8 hex digits that end a key: the CRC-32 of what stands before them."""
    return f"{zlib.crc32(head.encode()):08x}"


def is_wellformed(key: str) -> bool:
    """Whether this can be a key at all; costs no query."""
    return len(key) == LENGTH and bool(_FORM.fullmatch(key)) and checksum(key[:-8]) == key[-8:]


def digest(key: str, version: int) -> bytes:
    """Return the keyed digest (32 bytes) under that version of the pepper."""
    return hmac.digest(settings.KEY_PEPPERS[version], key.encode(), "sha256")


def digests(key: str) -> list[bytes]:
    """Return the digests to look for, that of new keys first; raise Unauthorized if it is none."""
    if not is_wellformed(key):
        raise Unauthorized(
            gettext("This is not an API key of this platform. Check for a typing error.")
        )
    return [hmac.digest(pepper, key.encode(), "sha256") for pepper in _peppers()]


@from_settings
def _peppers() -> tuple[bytes, ...]:
    return tuple(settings.KEY_PEPPERS[version] for version in rotating.peppers())


def with_seats(some: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    """Have keys be read together with whether their person belongs to the workspace still."""
    seats = Membership.objects.filter(
        workspace_id=OuterRef("workspace_id"),
        user_id=OuterRef("user_id"),
        created_at__lte=OuterRef("created_at"),
    )
    return some.annotate(seated=Exists(seats))


def has_seat(key: ApiKey) -> bool:
    """Whether its person belongs to the workspace since before the key was made."""
    found: bool | None = getattr(key, "seated", None)
    return with_seats(ApiKey.objects.filter(pk=key.pk)).get().seated if found is None else found  # type: ignore[attr-defined]


def living() -> QuerySet[ApiKey]:
    """Return all keys that may be used."""
    return ApiKey.objects.filter(pk__in=RawSQL(f"SELECT key.id {LIVING}", []))  # noqa: S611  # nosec B611


def authenticate(key: str, *, address: str = "") -> ApiKey:
    """Return the living key with its user. Notes that it was used.

    Raises Unauthorized, Moved if its workspace is another cell's by now, or AccessDisabled if it
    may not be used from that address.
    """
    found = living_of(key)
    elsewhere.require_not_gone(found.workspace.wallet)
    if not may_come_from(found, address):
        raise AccessDisabled(ELSEWHERE)
    used.note(str(found.pk))
    if used.is_due():
        used.write()
    return found


def living_of(key: str) -> ApiKey:
    """Return the living key with its user, wherever it is used; raise Unauthorized.

    `role` is what its person is in its workspace now.
    """
    seats = Membership.objects.filter(
        workspace_id=OuterRef("workspace_id"), user_id=OuterRef("user_id")
    )
    known = (
        living()
        .select_related("user", "workspace__wallet")
        .annotate(role=Subquery(seats.values("role")))
    )
    found = known.filter(digest__in=digests(key)).first()
    if found is None:
        raise Unauthorized(gettext("This API key is unknown, expired or revoked."))
    if found.pepper_version < rotating.pepper():
        repepper(key)
    return found


ELSEWHERE = gettext_noop(
    "This key may not be used from your address. Its owner has said from which it may."
)


def may_come_from(key: ApiKey, address: str) -> bool:
    """Whether a key may be used from there; an address that is not known is nowhere."""
    if key.allowed_networks is None:
        return True
    found = addresses.read(address)
    return found is not None and any(found in ip_network(each) for each in key.allowed_networks)


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
    """Return the parameters of `REPEPPER` for what `digests` returned of the key.

    Under a pepper that other processes use already, and this one only knows, it stays.
    """
    version = rotating.pepper()
    older = [each for each, of in zip(digests, rotating.peppers(), strict=True) if of < version]
    return digests[0], version, older


def repepper(key: str) -> None:
    """Do it by Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(REPEPPER, repeppered(digests(key)))
