"""Secrets and signatures, as Standard Webhooks has them (symmetric, version 1).

    webhook-signature: v1,<base64 of HMAC-SHA256(secret, id.timestamp.body)>

While a secret is being replaced, there is a signature by each of the two, parted by a space.
Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from nacl.exceptions import CryptoError

from common import sealing

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
BYTES: Final = 32
"""The standard allows 24 to 64."""
PURPOSE: Final = b"webhooks.secret"


def new_secret() -> str:
    """Return a new secret, as its receiver is told it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def seal(secret: str) -> str:
    """Return a secret as it is kept."""
    return sealing.seal(secret, purpose=PURPOSE)


class Unreadable(Exception):
    """No pepper of today opens a secret."""


def unseal(sealed: str) -> str:
    """Return a secret that was kept; raise Unreadable if its pepper is gone."""
    try:
        return sealing.unseal(sealed, purpose=PURPOSE)
    except (KeyError, CryptoError) as exc:
        raise Unreadable from exc


def headers(message_id: str, at: int, body: bytes, *, by: Sequence[str]) -> dict[str, str]:
    """Return the headers of a message that is sent at a second of the clock, signed by each."""
    content = f"{message_id}.{at}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(_signature(each, content) for each in by),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
