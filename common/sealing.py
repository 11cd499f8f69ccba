"""Secrets at rest: each in a box that only the holder of a pepper opens.

A box says by which pepper (KEY_PEPPERS) it was closed. The newest closes; the older ones open what
was closed before, until whoever keeps it has sealed it anew. Each purpose has a key of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from nacl.secret import SecretBox

from common import rotating

if TYPE_CHECKING:
    from django.db.models import QuerySet


def seal(text: str, *, purpose: bytes) -> str:
    """Return a text in a box that the newest pepper opens: `version:box`."""
    version = rotating.pepper()
    box = _box(version, purpose).encrypt(text.encode())
    return f"{version}:{base64.b64encode(box).decode()}"


def unseal(sealed: str, *, purpose: bytes) -> str:
    """Return what is in a box; raises if its pepper is gone, or if it was changed."""
    version, _, box = sealed.partition(":")
    return _box(int(version), purpose).decrypt(base64.b64decode(box)).decode()


def newest() -> str:
    """Return how a box begins that needs no new seal."""
    return f"{rotating.pepper()}:"


def reseal(rows: QuerySet[Any], *fields: str, purpose: bytes) -> int:
    """Have these texts of every row sealed by the newest pepper; return how many rows were not.

    Row by row, each in a transaction: whoever changes one meanwhile is waited for. Raises KeyError
    for one whose pepper is gone.
    """
    changed = 0
    for pk in list(rows.values_list("pk", flat=True)):
        with transaction.atomic():
            row = rows.select_for_update().filter(pk=pk).first()
            old = [name for name in fields if row is not None and is_old(getattr(row, name))]
            for name in old:
                text = unseal(getattr(row, name), purpose=purpose)
                setattr(row, name, seal(text, purpose=purpose))
            if row is not None and old:
                row.save(update_fields=old)
                changed += 1
    return changed


def is_old(sealed: str) -> bool:
    """Whether there is a box, and another pepper than the newest opens it."""
    return bool(sealed) and not sealed.startswith(newest())


def _box(version: int, purpose: bytes) -> SecretBox:
    return SecretBox(hmac.new(settings.KEY_PEPPERS[version], purpose, hashlib.sha256).digest())
