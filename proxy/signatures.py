"""Schemes whose signature covers the exact bytes that are sent: of Tencent Cloud, of BytePlus.

A key of a day, a service and more is derived from the secret by one HMAC after the other; that key
signs a digest of the request. Nothing may change the body, its type or the host afterwards.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.credentials import NOT_SET_UP
from proxy.wire.dialing import target

if TYPE_CHECKING:
    from proxy.credentials import Account, Exchange
    from proxy.relay import Outgoing


@dataclass(frozen=True, slots=True)
class TC3:
    """Tencent Cloud's TC3-HMAC-SHA256: KEY is the SecretId, SECRET its SecretKey, REGION a place.

    What is asked stands in a header, so each operation has a scheme of its own. Source:
    https://www.tencentcloud.com/document/api/1284/75531
    """

    service: str
    version: str
    action: str
    region: str
    required: tuple[str, ...] = ("KEY", "SECRET")
    optional: tuple[str, ...] = ()
    public: tuple[str, ...] = ("REGION",)

    def problem(self, account: Account) -> str:
        """See Scheme."""
        return "" if all(name in account.settings for name in self.required) else NOT_SET_UP

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        now = int(time.time())
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        content_type = outgoing.headers.setdefault("content-type", "application/json")
        host = target(outgoing.url).authority.lower()
        scope = f"{day}/{self.service}/tc3_request"
        # The path of this signature is always the root, whatever stands before the vendor.
        request = "\n".join(
            ("POST", "/", "", f"content-type:{content_type}", f"host:{host}", "",
             "content-type;host", digest(whole(outgoing)))
        )  # fmt: skip
        text = "\n".join(("TC3-HMAC-SHA256", f"{now}", scope, digest(request.encode())))
        secret = account.settings["SECRET"]
        key = derived(f"TC3{secret}", day, self.service, "tc3_request")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        outgoing.headers |= {
            "authorization": f"TC3-HMAC-SHA256 Credential={account.settings['KEY']}/{scope}, "
            f"SignedHeaders=content-type;host, Signature={signature}",
            "x-tc-action": self.action,
            "x-tc-version": self.version,
            "x-tc-timestamp": f"{now}",
            "x-tc-region": account.settings.get("REGION", self.region),
        }


def derived(secret: str, *scope: str) -> bytes:
    """Return the key of a scope: each part of it is signed by the key of those before."""
    return functools.reduce(
        lambda key, part: hmac.digest(key, part.encode(), "sha256"), scope, secret.encode()
    )


def digest(body: bytes) -> str:
    """Return the SHA-256 of what is sent."""
    return hashlib.sha256(body).hexdigest()


def whole(outgoing: Outgoing) -> bytes:
    """Return a body that is there whole, which alone can be signed."""
    assert isinstance(outgoing.body, bytes), "what streams by cannot be signed"
    return outgoing.body


@dataclass(frozen=True, slots=True)
class AccessKey:
    """BytePlus's HMAC-SHA256: ACCESS_KEY is an access key's id, ACCESS_SECRET its secret.

    Signed are the path and query as they are sent, too. Source: byteplus-python-sdk-v2 3.0.63.
    """

    service: str
    region: str
    required: tuple[str, ...] = ("ACCESS_KEY", "ACCESS_SECRET")
    optional: tuple[str, ...] = ()
    public: tuple[str, ...] = ()

    def problem(self, account: Account) -> str:
        """See Scheme."""
        return "" if all(name in account.settings for name in self.required) else NOT_SET_UP

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        moment = datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.region}/{self.service}/request"
        there, body = target(outgoing.url), digest(whole(outgoing))
        path, _, query = there.path.partition("?")
        signed = {
            "content-type": outgoing.headers.setdefault("content-type", "application/json"),
            "host": there.authority.lower(),
            "x-content-sha256": body,
            "x-date": moment,
        }
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = "\n".join(
            (
                outgoing.method,
                path,
                "&".join(sorted(query.split("&"))),
                lines,
                ";".join(signed),
                body,
            )
        )
        text = "\n".join(("HMAC-SHA256", moment, scope, digest(request.encode())))
        secret = account.settings["ACCESS_SECRET"]
        key = derived(secret, moment[:8], self.region, self.service, "request")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        outgoing.headers |= {
            "x-date": moment,
            "x-content-sha256": body,
            "authorization": f"HMAC-SHA256 Credential={account.settings['ACCESS_KEY']}/{scope}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}",
        }
