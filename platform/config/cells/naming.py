"""What a cell is called, so that others know it, and ids of entries that no other cell gives."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import connection, transaction

from audit import log
from common.errors import InvalidRequest
from credits.models import Cell

if TYPE_CHECKING:
    from uuid import UUID

ROOM: Final = 1 << 44
"""Ids of entries of one cell: a thousand a second for five hundred years."""
RAISE: Final = """
    SELECT setval('credits_entry_id_seq', greatest(last_value, %(first)s))
      FROM credits_entry_id_seq
"""


def fingerprint() -> str:
    """Return what two cells have in common if keys and boxes of one are good in the other."""
    peppers = sorted(settings.KEY_PEPPERS.items())
    secrets = [settings.SECRET_KEY, *(f"{version}:{pepper.hex()}" for version, pepper in peppers)]
    return hmac.new(b"cell", "\n".join(secrets).encode(), hashlib.sha256).hexdigest()


@transaction.atomic
def name(number: int, address: str, *, by: UUID, reason: str) -> Cell:
    """Call this cell so from now on; again: its address and its secrets are the new ones.

    Keys of entries name entries by their ids (`expiry:<id>`), and go along with a wallet; so each
    cell gives ids of its own. Raises InvalidRequest for another number than it has already.
    """
    before = Cell.objects.select_for_update().first()
    if before is not None and before.number != number:
        raise InvalidRequest(f"This cell is number {before.number}, and stays it.")
    if not 0 <= number <= 510:
        raise InvalidRequest("A cell's number is 0 to 510.")
    with connection.cursor() as cursor:
        cursor.execute(RAISE, {"first": max(1, number * ROOM)})
    cell, _ = Cell.objects.update_or_create(
        pk=1, defaults={"number": number, "address": address.rstrip("/"), "secrets": fingerprint()}
    )
    log.note("cell.named", actor=by, target=f"{number} {cell.address}", reason=reason)
    return cell
