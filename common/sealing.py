"""Secrets at rest: each in a box that only the holder of a pepper opens.

A box says by which pepper (KEY_PEPPERS) it was closed. The newest closes; the older ones open what
was closed before, until whoever keeps it has sealed it anew. Each purpose has a key of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from django.conf import settings
from nacl.secret import SecretBox


def seal(text: str, *, purpose: bytes) -> str:
    """Return a text in a box that the newest pepper opens: `version:box`."""
    version = max(settings.KEY_PEPPERS)
    box = _box(version, purpose).encrypt(text.encode())
    return f"{version}:{base64.b64encode(box).decode()}"


def unseal(sealed: str, *, purpose: bytes) -> str:
    """Return what is in a box; raises if its pepper is gone, or if it was changed."""
    version, _, box = sealed.partition(":")
    return _box(int(version), purpose).decrypt(base64.b64decode(box)).decode()


def newest() -> str:
    """Return how a box begins that needs no new seal."""
    return f"{max(settings.KEY_PEPPERS)}:"


def _box(version: int, purpose: bytes) -> SecretBox:
    return SecretBox(hmac.new(settings.KEY_PEPPERS[version], purpose, hashlib.sha256).digest())
