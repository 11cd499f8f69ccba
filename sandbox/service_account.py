"""Google's way in: a service account signs an assertion, and gets a token for an hour (RFC 7523).

    GET  /console/service-account.json -> the key file, as the console gives it, for anybody here
    POST /token                        -> {"access_token", "expires_in", "token_type"}

The account's key is made when it is first wanted and lives as long as the process, or it is read
from the file that was made before (`content`). A token is not remembered but sealed, so that a
reset of the vendor ends them all.
"""

import asyncio
import json
import time
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox import tokens
from sandbox.far_side import Desk
from sandbox.vendor import Answer, Exchange, RefusedError

PROJECT = "sandbox-project"
EMAIL = f"relay@{PROJECT}.iam.gserviceaccount.com"
KEY_ID = "4f1c7b0d5e6a49c08d21b3a7f0e9c8d6a5b4c3d2"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GOOGLES_OWN = "https://oauth2.googleapis.com/token"
LONGEST_ASSERTION_SECONDS = 3600
SKEW_SECONDS = 60


@cache
def _key(file: str | None) -> rsa.RSAPrivateKey:
    """Return the account's key: of the file, or a new one."""
    if file is None:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    written = json.loads(Path(file).read_text())["private_key"]
    key = serialization.load_pem_private_key(written.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey), "the file is one that was made here"
    return key


def content(token_uri: str, file: str | None = None) -> dict[str, str]:
    """Make what stands in a key file, with the key of an earlier file where there is one."""
    written = _key(file).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": written.decode(),
        "client_email": EMAIL,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }


def _token_uri(exchange: Exchange) -> str:
    vendor = exchange.request.path.split("/")[1]
    return f"{exchange.here}/{vendor}/token"


async def key_file(exchange: Exchange) -> Answer:
    """Give the file that an operator would be given."""
    file = exchange.desk.settings.service_account
    return Answer.json(await asyncio.to_thread(content, _token_uri(exchange), file))


async def grant(exchange: Exchange) -> Answer:
    """Give a token for an assertion of the account's own."""
    form = parse_qs(exchange.raw.decode("ascii", "replace"))
    if form.get("grant_type") != [GRANT]:
        return _no("unsupported_grant_type", "Invalid grant_type")
    try:
        assertion = tokens.read(form.get("assertion", [""])[0])
        await _believe(assertion, exchange)
    except tokens.InvalidTokenError as invalid:
        return _no("invalid_grant", f"Invalid JWT: {invalid}")
    if SCOPE not in str(assertion.claims.get("scope", "")).split():
        return _no("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    lives = exchange.desk.settings.token_seconds
    until = f"{time.time() + lives:.3f}"
    content = {
        "access_token": f"ya29.{until}.{exchange.desk.seal(until)}",
        "expires_in": int(lives),
        "token_type": "Bearer",
    }
    return Answer.json(content)


async def _believe(assertion: tokens.Token, exchange: Exchange) -> None:
    """Raise InvalidTokenError unless the account signed this for us, just now."""
    if assertion.header.get("kid") not in {None, KEY_ID}:
        raise tokens.InvalidTokenError("kid is not one of the account's keys")
    key = await asyncio.to_thread(_key, exchange.desk.settings.service_account)
    assertion.check_rsa(key.public_key())
    if assertion.claims.get("iss") != EMAIL:
        raise tokens.InvalidTokenError("iss is no account")
    if assertion.claims.get("aud") not in {_token_uri(exchange), GOOGLES_OWN}:
        raise tokens.InvalidTokenError("aud is not this address")
    issued, ends = assertion.seconds("iat"), assertion.seconds("exp")
    now = time.time()
    if issued is None or ends is None:
        raise tokens.InvalidTokenError("iat and exp are needed")
    if not now - SKEW_SECONDS < ends or issued > now + SKEW_SECONDS:
        raise tokens.InvalidTokenError("it must be short-lived and in a reasonable timeframe")
    if ends - issued > LONGEST_ASSERTION_SECONDS:
        raise tokens.InvalidTokenError("it lives longer than an hour")


def _no(error: str, said: str) -> Answer:
    return Answer.json({"error": error, "error_description": said}, status=400)


def by_token(desk: Desk, request: web.Request) -> RefusedError | None:
    """Admit a token that was given here and is still good, in the account's own project."""
    shown = request.headers.getall("authorization", [])
    scheme, _, written = (shown[0] if len(shown) == 1 else "").partition(" ")
    kind, _, sealed = written.partition(".")
    until, _, seal = sealed.rpartition(".")
    if (scheme, kind) != ("Bearer", "ya29") or not desk.is_sealed(until, seal):
        return RefusedError(401)
    if float(until) <= time.time():
        return RefusedError(401)
    if request.match_info["project"] != PROJECT:
        return RefusedError(403, "Permission denied on resource project")
    return None
