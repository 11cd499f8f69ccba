"""Access tokens: a signed statement, good for minutes, that a sign-in acts for somebody.

A token says which sign-in (`sid`) and which workspace; whether that still may act is never believed
from it, but asked in the statement that acts (signins.LIVING). So verifying is arithmetic, done
once for each token and process.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.conf import settings
from joserfc import jwt
from joserfc.errors import JoseError

from accounts import signingkeys
from accounts.signingkeys import ALGORITHM
from common.cached import from_settings
from common.errors import Unauthorized

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from accounts.models import SignIn
    from accounts.signingkeys import Ring

AUDIENCE = "comfy-partner-node"
"""A node renews only tokens with this one (contract 2.5)."""
TYPE = "at+jwt"
LIFE_SECONDS = 15 * 60
RENEWABLE_SECONDS = 24 * 3600
"""After its end: jobs that waited in a queue for longer than a token lives."""
SKEW_SECONDS = 60
"""By so much the clocks of our own machines may differ."""
SCOPES = ("proxy", "usage:read")
"""What a token may: what a new key may. Programs in a page make no keys, and buy nothing alone."""
LONGEST = 4096
REMEMBERED = 20_000
SCHEME = re.compile(r"bearer +(\S+)", re.IGNORECASE)
SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    sid: UUID
    user_id: UUID
    workspace_id: UUID
    expires_at: float


class Remembered:
    """Tokens that were verified, by their digests, until they expire: the newest so many."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._claims: OrderedDict[bytes, Claims] = OrderedDict()

    def get(self, token: str, *, now: float) -> Claims | None:
        """Return what a token says that was verified before, and is good now."""
        found = self._claims.get(_digest(token))
        return found if found is not None and found.expires_at + SKEW_SECONDS > now else None

    def put(self, token: str, claims: Claims) -> None:
        """Remember one; the oldest of too many is forgotten."""
        self._claims[_digest(token)] = claims
        while len(self._claims) > self._most:
            self._claims.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._claims.clear()


remembered = Remembered()


def of_header(authorization: str) -> str:
    """Return the token of an `Authorization` header; raise Unauthorized for anything else."""
    found = SCHEME.fullmatch(authorization.strip())
    token = found[1] if found else ""
    if len(token) > LONGEST or not SHAPE.fullmatch(token):
        raise Unauthorized("This platform does not know that token. Sign in, or send a key.")
    return token


def read(token: str, *, grace: int = 0) -> Claims:
    """Return what a good token says, or raise Unauthorized; asks Django's connection for keys."""
    now = time.time()
    if (known := remembered.get(token, now=now)) is not None:
        return known
    signingkeys.ring.load(kid_of(token))
    return verified(token, signingkeys.ring, now=now, grace=grace)


def kid_of(token: str) -> str:
    """Return which key a token says that it was signed by; raise Unauthorized.

    Its header says what ours say, and nothing else: no other algorithm, and no key of its own.
    """
    part = token.partition(".")[0]
    try:
        header = orjson.loads(_unpadded(part))
    except ValueError as exc:
        raise _unknown() from exc
    ours = {"alg": ALGORITHM, "typ": TYPE}
    if not isinstance(header, dict) or header != {**ours, "kid": header.get("kid")}:
        raise _unknown()
    kid = header["kid"]
    if not isinstance(kid, str) or not kid:
        raise _unknown()
    return kid


def verified(token: str, ring: Ring, *, now: float, grace: int = 0) -> Claims:
    """Return what a token says, if it is signed by a key of the ring, ours, and good now.

    With `grace` it may have expired by so many seconds: then it is not remembered.
    """
    key = ring.public(kid_of(token))
    try:
        said = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        claims = _checked(said, now=now, grace=grace)
    except (JoseError, ValueError, KeyError, TypeError) as exc:
        raise _unknown() from exc
    if not grace:
        remembered.put(token, claims)
    return claims


def _checked(said: dict[str, Any], *, now: float, grace: int) -> Claims:
    """Return the claims; raise ValueError, KeyError or TypeError for those that are not ours."""
    expires_at, issued_at = said["exp"], said["iat"]
    if type(expires_at) is not int or type(issued_at) is not int:
        raise ValueError("times are whole seconds")
    if (said["iss"], said["aud"]) != (issuer(), AUDIENCE) or issued_at > now + SKEW_SECONDS:
        raise ValueError("it is for somebody else, or for later")
    if expires_at + SKEW_SECONDS + grace <= now:
        raise Unauthorized("This token has expired. Sign in again.")
    ids = [said[name] for name in ("sid", "sub", "workspace_id")]
    if not all(isinstance(each, str) for each in ids):
        raise ValueError("ids are texts")
    sid, user_id, workspace_id = map(UUID, ids)
    return Claims(sid, user_id, workspace_id, float(expires_at))


def sign(signin: SignIn) -> str:
    """Return a new token for a sign-in that may act now."""
    kid, key = signingkeys.ring.signer()
    now = int(time.time())
    user = signin.user
    claims = {
        "iss": issuer(),
        "aud": AUDIENCE,
        "sub": str(user.pk),
        "sid": str(signin.pk),
        "workspace_id": str(signin.workspace_id),
        "email": user.email,
        "name": user.name,
        "client_id": signin.client_id,
        "scope": " ".join(SCOPES),
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "jti": secrets.token_hex(8),
    }
    return _encoded(claims, kid, key)


def _encoded(claims: dict[str, Any], kid: str, key: ECKey) -> str:
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": kid}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


@from_settings
def issuer() -> str:
    """Return who we are to whoever verifies."""
    return settings.PUBLIC_URL or "http://localhost"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _unknown() -> Unauthorized:
    return Unauthorized("This platform does not know that token. Sign in, or send a key.")
