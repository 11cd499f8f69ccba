"""Reading JSON Web Tokens as a vendor does that trusts nobody (RFC 7515, RFC 7519).

Only what the caller asks for is accepted: the algorithm is named by the reader, never by the token,
and a name that stands twice in an object makes the token unreadable.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class InvalidTokenError(ValueError):
    """It is not a token, or not one that its reader wants; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was taken apart and not yet believed."""

    header: Mapping[str, object]
    claims: Mapping[str, object]
    signed: bytes
    signature: bytes

    def seconds(self, claim: str) -> float | None:
        """Return a time in seconds since 1970, None where there is none; else InvalidTokenError."""
        value = self.claims.get(claim)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidTokenError(f"{claim} is not a number")
        return value

    def check_hmac(self, secret: str) -> None:
        """Believe it if it is signed with HS256 and this secret."""
        self._check_algorithm("HS256")
        made = hmac.digest(secret.encode(), self.signed, hashlib.sha256)
        if not hmac.compare_digest(made, self.signature):
            raise InvalidTokenError("the signature is not ours")

    def check_rsa(self, key: rsa.RSAPublicKey) -> None:
        """Believe it if it is signed with RS256 and the private half of this key."""
        self._check_algorithm("RS256")
        try:
            key.verify(self.signature, self.signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise InvalidTokenError("the signature is not ours") from None

    def _check_algorithm(self, wanted: str) -> None:
        if self.header.get("alg") != wanted:
            raise InvalidTokenError(f"alg is not {wanted}")
        if str(self.header.get("typ", "JWT")).upper() != "JWT":
            raise InvalidTokenError("typ is not JWT")
        if "crit" in self.header:
            raise InvalidTokenError("crit names what is not understood")


def read(text: str) -> Token:
    """Take a token apart; raise InvalidTokenError for anything that is none."""
    parts = text.split(".")
    if len(parts) != 3:
        raise InvalidTokenError("a token has three parts")
    header, claims, signature = (_decoded(part) for part in parts)
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Token(_object(header), _object(claims), signed, signature)


def _decoded(part: str) -> bytes:
    if not BASE64URL.fullmatch(part) or len(part) % 4 == 1:
        raise InvalidTokenError("a part is not base64url")
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _object(raw: bytes) -> dict[str, object]:
    try:
        content = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidTokenError("a part is not JSON") from None
    if not isinstance(content, dict):
        raise InvalidTokenError("a part is not an object")
    return content


def _no_number(name: str) -> object:
    raise InvalidTokenError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise InvalidTokenError("a name stands twice")
    return content
