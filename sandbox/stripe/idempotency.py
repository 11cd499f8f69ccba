"""The same idempotency key again: replayed, refused as another request, or still in progress.

A key belongs to an API key. What never began (a bad parameter, a conflict) is not remembered; what
was tried is, a declined card as well as a made refund.
"""

import hashlib
import json
from dataclasses import dataclass

from sandbox.stripe.desk import Desk
from sandbox.stripe.wire import Json, Refusal

LONGEST = 255


@dataclass(slots=True)
class Remembered:
    """What a key was first used for, and the answer once there is one."""

    path: str
    digest: str
    request_id: str
    status: int = 0
    body: bytes = b""


def begin(
    desk: Desk, api_key: str, key: str, *, path: str, params: Json, request_id: str
) -> tuple[Remembered, bool]:
    """Claim a key, or give what it already answered: (remembered, whether it is a replay)."""
    if len(key) > LONGEST:
        raise Refusal(400, f"Idempotency-Key is too long: {LONGEST} characters at most.")
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    known: Remembered | None = desk.keys.get((api_key, key))
    if known is None:
        known = desk.keys[api_key, key] = Remembered(path, digest, request_id)
        return known, False
    if known.path != path:
        raise _mismatch(
            f"Keys for idempotent requests can only be used for the same endpoint they were first "
            f"used for ('{known.path}' vs '{path}'). Try using a key other than '{key}' if you "
            "meant to execute a different request."
        )
    if known.digest != digest:
        raise _mismatch(
            f"Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request."
        )
    if not known.status:
        message = (
            f"There is currently another in-progress request using this Idempotent Key (that "
            f"probably means you submitted twice, and the other request is still going through): "
            f"{key}. Please try again later."
        )
        raise Refusal(409, message, kind="idempotency_error", code="idempotency_key_in_use")
    return known, True


def forget(desk: Desk, api_key: str, key: str) -> None:
    """Let a key be used afresh: nothing came of it."""
    desk.keys.pop((api_key, key), None)


def _mismatch(message: str) -> Refusal:
    return Refusal(400, message, kind="idempotency_error")
