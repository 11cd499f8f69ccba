"""A Google and a GitHub of one's own: they insist on state, PKCE and the client's secret.

What they check and sign with is not ours: Authlib for PKCE, PyJWT for the token of who somebody is.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from authlib.oauth2.rfc7636 import create_s256_code_challenge

CLIENT, SECRET = "client-of-the-test", "secret-of-the-test"
ISSUER = "https://accounts.google.com"


@dataclass
class Site:
    """Both sites at one address, and who is signed in there."""

    key: bytes
    url: str = ""
    email: str = ""
    is_verified: bool = True
    number: int = field(default_factory=lambda: secrets.randbelow(10**9))
    """Who they are there, whatever their address."""
    claims: dict[str, Any] = field(default_factory=dict)
    """What the token says otherwise than it should."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def authorize(self, url: str) -> str:
        """Say yes, as the person does at that page; return where their browser is sent."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert "email" in asked["scope"]
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Exchange a code, once; None for whoever may not."""
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or form.get("client_secret") != SECRET:
            self.refused.append("code or secret")
            return None
        proof = create_s256_code_challenge(form.get("code_verifier", ""))
        if proof != asked["code_challenge"] or form.get("redirect_uri") != asked["redirect_uri"]:
            self.refused.append("PKCE or redirect_uri")
            return None
        told: dict[str, Any] = {"access_token": "of-the-site", "token_type": "bearer"}
        return {**told, "expires_in": 3600, "id_token": self._who()}

    def _who(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": f"{self.number}",
            "email": self.email,
            "email_verified": self.is_verified,
            "name": "Ada",
            "iat": now,
            "exp": now + 600,
        }
        return jwt.encode({**claims, **self.claims}, self.key, algorithm="HS256")

    def read(self, path: str) -> Any:
        """Answer what GitHub tells of who has the token."""
        if path.endswith("/emails"):
            return [{"email": self.email, "primary": True, "verified": self.is_verified}]
        return {"id": self.number, "login": "ada", "name": "Ada", "email": None}


@contextmanager
def site() -> Iterator[Site]:
    """Serve both from a thread."""
    made = Site(secrets.token_bytes(32))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told = made.token({name: values[0] for name, values in parse_qs(body).items()})
            self._answer(told or {"error": "invalid_grant"}, 200 if told else 400)

        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "token of-the-site"
            self._answer(made.read(self.path) if known else {}, 200 if known else 401)

        def _answer(self, told: Any, status: int) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", f"{len(body)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
