"""Google's two ways in: a service account that asks for a token an hour (RFC 7523), or a key.

CREDENTIALS is the account's key file: its JSON, or where it lies. PROJECT and LOCATION say where
its models are called; without them it is the file's own project, and `global`. A file that changes
is read again at the next start.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common import logs
from common.errors import ProviderDisabled
from proxy.catalogue import moved_to
from proxy.credentials import NOT_SET_UP
from proxy.relay import Lost, Outgoing, Refused

if TYPE_CHECKING:
    from proxy.catalogue import Vendor
    from proxy.credentials import Account, Exchange

GLOBAL = "https://aiplatform.googleapis.com"
REGIONS = ("us", "eu")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS = 3600
ASK_SECONDS = 20.0
ANSWER_LIMIT_BYTES = 64 << 10
KEY_HEADER = "x-goog-api-key"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What a key file says."""

    email: str
    key_id: str
    key: rsa.RSAPrivateKey
    token_uri: str
    project: str


@dataclass(frozen=True, slots=True)
class ServiceAccountOrKey:
    """A token of a service account as Bearer; without one, a key in a header of Google's."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ("CREDENTIALS", "KEY")
    public: tuple[str, ...] = ("PROJECT", "LOCATION")

    def problem(self, account: Account) -> str:
        """See Scheme."""
        if "CREDENTIALS" not in account.settings:
            return "" if "KEY" in account.settings else NOT_SET_UP
        if service_account(account) is None:
            return "is not set up right on this platform: its service account cannot be read."
        return ""

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        found = service_account(account)
        if found is None:
            outgoing.headers[KEY_HEADER] = account.settings["KEY"]
            return
        token = await account.minted("token", lambda: _granted(account.vendor, found, exchange))
        outgoing.headers["authorization"] = f"Bearer {token}"


def service_account(account: Account) -> ServiceAccount | None:
    """Return the account's service account; None if there is none, or none that can be read."""
    try:
        return _read(account.settings["CREDENTIALS"])
    except (KeyError, OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None


def model_url(vendor: Vendor, account: Account, verb: str) -> str:
    """Return the URL of a model's verb: in the operator's project and place, or without them.

    With a key there are none.
    """
    model = f"publishers/google/models/{verb}"
    found = service_account(account)
    if found is None:
        return f"{vendor.address()}/v1/{model}"
    project = quote(account.settings.get("PROJECT", found.project), safe="")
    place = quote(account.settings.get("LOCATION", "global"), safe="")
    base = moved_to(vendor.name) or _host(place)
    return f"{base}/v1/projects/{project}/locations/{place}/{model}"


def _host(place: str) -> str:
    if place == "global":
        return GLOBAL
    if place in REGIONS:
        return f"https://aiplatform.{place}.rep.googleapis.com"
    return f"https://{place}-aiplatform.googleapis.com"


@functools.lru_cache(maxsize=8)
def _read(credentials: str) -> ServiceAccount:
    text = credentials if credentials.lstrip().startswith("{") else Path(credentials).read_text()
    content = orjson.loads(text)
    key = load_pem_private_key(content["private_key"].encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("a service account signs with RSA")
    return ServiceAccount(
        email=str(content["client_email"]),
        key_id=str(content.get("private_key_id", "")),
        key=key,
        token_uri=str(content["token_uri"]),
        project=str(content["project_id"]),
    )


async def _granted(vendor: str, account: ServiceAccount, exchange: Exchange) -> tuple[str, float]:
    """Return a token and the seconds that it lasts. Raises as `Scheme.sign` does."""
    assertion = await asyncio.to_thread(_assertion, account)
    asked = Outgoing(
        "POST",
        account.token_uri,
        {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
        body=urlencode({"grant_type": GRANT, "assertion": assertion}).encode(),
        silence_seconds=ASK_SECONDS,
        total_seconds=ASK_SECONDS,
    )
    reply = await exchange(asked)
    try:
        raw = await reply.read(ANSWER_LIMIT_BYTES)
    finally:
        reply.close()
    if reply.status in (400, 401, 403):
        logs.line(level="error", event="vendor_account", vendor=vendor, status=reply.status)
        raise ProviderDisabled(
            "Google does not take this platform's service account at the moment. Nothing was "
            "charged. Please tell the operator of this platform."
        )
    if reply.status != 200:
        raise Refused(f"the token endpoint answered {reply.status}")
    return _token(raw)


def _token(raw: bytes) -> tuple[str, float]:
    try:
        content: Any = orjson.loads(raw)
        token, seconds = content["access_token"], float(content["expires_in"])
    except (ValueError, KeyError, TypeError) as exc:
        raise Lost("the token endpoint answered no token") from exc
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,8000}", token):
        raise Lost("the token endpoint answered no token")
    return token, seconds


def _assertion(account: ServiceAccount) -> str:
    now = int(time.time())
    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    return jwt.encode(
        claims, account.key, algorithm="RS256", headers={"kid": account.key_id or None}
    )
