"""The stock frontend's way to sign in, step by step, as a browser and a page take it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

ORIGIN = "http://127.0.0.1:8188"
CLIENT = "comfy-local-web"
AUTHORIZE = "/oauth/authorize"


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass
class Flow:
    """One sign-in of a page at `origin`."""

    client: object
    origin: str = ORIGIN
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @property
    def redirect_uri(self) -> str:
        return f"{self.origin}/"

    def parameters(self, **changes):
        asked = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "state": self.state,
            "resource": "http://localhost/api",
            **changes,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def page(self, **changes):
        return self.client.get(f"{AUTHORIZE}?{urlencode(self.parameters(**changes))}")

    def answer(self, answer="allow", **changes):
        """Send the form of the consent page as it stands there."""
        shown = self.page().content.decode()
        fields = {
            unescape(name): unescape(value)
            for name, value in re.findall(
                r'<input type="hidden"\s+name="([^"]+)"\s+value="([^"]*)"', shown
            )
        }
        sent = {**fields, "answer": answer, **changes}
        return self.client.post(AUTHORIZE, {k: v for k, v in sent.items() if v is not None})

    def code(self, **changes) -> str:
        back = self.answer(**changes)
        assert back.status_code == 302, back.content
        url = urlsplit(back["Location"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == self.redirect_uri
        said = parse_qs(url.query)
        assert said["state"] == [self.state]
        return said["code"][0]

    def exchange(self, code: str, /, client=None, headers=None, **changes):
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": self.verifier,
            "redirect_uri": self.redirect_uri,
            "client_id": CLIENT,
            **changes,
        }
        return post(client or self.client, sent, headers)

    def signed_in(self) -> dict:
        answer = self.exchange(self.code())
        assert answer.status_code == 200, answer.content
        return answer.json()


def refresh(client, token: str, headers=None, **changes):
    sent = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": CLIENT,
        **changes,
    }
    return post(client, sent, headers)


def post(client, sent, headers=None):
    body = urlencode({name: value for name, value in sent.items() if value is not None})
    return client.post(
        "/oauth/token",
        body,
        content_type="application/x-www-form-urlencoded",
        headers=headers or {},
    )
