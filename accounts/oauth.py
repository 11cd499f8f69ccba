"""Authorisation code with PKCE, for the stock frontend in a browser (contract 7.6).

    authorize --> consent page --> code --> token --> refreshed, again and again
                       '--> denied

One public client, one kind of challenge (S256), one row (`SignIn`). Authlib has the protocol; what
is looked at under lock, and what ends it, is in signins.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from authlib.integrations.django_oauth2 import AuthorizationServer
from authlib.integrations.django_oauth2.requests import DjangoOAuth2Payload
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    ClientMixin,
    InvalidRequestError,
    OAuth2Request,
    grants,
)
from authlib.oauth2.rfc7636 import CodeChallenge

from accounts import redirects, signins, tokens
from common.drf import base_url

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest

    from accounts.models import SignIn, User

CLIENT_ID = "comfy-local-web"
GRANT_TYPES = ("authorization_code", "refresh_token")
SCOPE = " ".join(tokens.SCOPES)
PLAIN = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")
"""What OAuth lets stand in a parameter, and Authlib repeats in its errors."""
LONGEST = 2000
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class Client(ClientMixin):  # type: ignore[misc]
    """The stock frontend, as any ComfyUI serves it: it can keep no secret, so it has none."""

    client_id = CLIENT_ID

    def get_client_id(self) -> str:
        """Return its name."""
        return CLIENT_ID

    def get_default_redirect_uri(self) -> None:
        """Know none: it is always said."""

    def get_allowed_scope(self, scope: str) -> str:
        """Return what a token may, whatever is asked for."""
        return SCOPE

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether a browser may be sent back there."""
        return redirects.origin_of(redirect_uri) is not None

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether it may prove itself so: not at all."""
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        """Whether it may be answered so."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether it may bring that."""
        return grant_type in GRANT_TYPES


class Asked(OAuth2Request):  # type: ignore[misc]
    """A request as Authlib reads one.

    Whether it came by https is for PUBLIC_URL and the proxy before us to say, not for Authlib.
    """

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.method, f"https://here{request.path}", headers=request.headers)
        self.payload = DjangoOAuth2Payload(request)
        self.django = request
        self.workspace_id: UUID | None = None
        """For which workspace a person allows it."""

    @property
    def args(self) -> Any:
        """The query."""
        return self.django.GET

    @property
    def form(self) -> Any:
        """The body."""
        return self.django.POST


class OnlyS256(CodeChallenge):  # type: ignore[misc]
    """A challenge is needed, and only a digest is one: Authlib would take `plain`, and none."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Raise InvalidRequestError for a request without one of the right kind."""
        data = grant.request.payload.data
        if data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge_method must be S256")
        if not CHALLENGE.fullmatch(data.get("code_challenge", "")):
            raise InvalidRequestError("code_challenge must be 43 characters of base64url")
        super().validate_code_challenge(grant, redirect_uri)

    def get_authorization_code_challenge(self, authorization_code: Any) -> str:
        """Return the challenge of the sign-in that the code begins."""
        challenge: str = authorization_code.row.challenge
        return challenge

    def get_authorization_code_challenge_method(self, authorization_code: Any) -> str:
        """Return the only one."""
        return "S256"


class Held:
    """A sign-in whose code or refresh token came, as Authlib asks about it."""

    def __init__(self, row: SignIn) -> None:
        self.row = row

    def get_redirect_uri(self) -> str:
        """Return where its code was sent."""
        return self.row.redirect_uri

    def get_scope(self) -> str:
        """Return what its tokens may."""
        return SCOPE

    def check_client(self, client: Client) -> bool:
        """Whether it is that program's."""
        return self.row.client_id == client.get_client_id()


def _came_from(request: Asked, row: SignIn) -> bool:
    """Whether a browser asks from the page that its code was sent to; programs say nothing."""
    origin = request.headers.get("Origin")
    return origin is None or f"{origin}/" == row.redirect_uri


def _issued(row: SignIn) -> dict[str, Any]:
    return {
        "token_type": "Bearer",
        "access_token": tokens.sign(row),
        "expires_in": tokens.LIFE_SECONDS,
        "refresh_token": signins.refreshed(row),
        "scope": SCOPE,
    }


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """A code, given at our page and exchanged once."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def validate_authorization_request(self) -> str:
        """Return where the browser is sent back to; raise what is wrong with the request."""
        redirect_uri: str = super().validate_authorization_request()
        wanted = self.request.payload.data.get("resource")
        if wanted is not None and wanted != f"{base_url(self.request.django)}/api":
            raise OAuth2Error(
                error="invalid_target",
                description="resource is another platform",
                redirect_uri=redirect_uri,
            )
        return redirect_uri

    def generate_authorization_code(self) -> str:
        """Begin a sign-in; return its code."""
        asked, payload = self.request.django, self.request.payload
        return signins.begin(
            user=self.request.user,
            workspace_id=self.request.workspace_id,
            client_id=CLIENT_ID,
            redirect_uri=payload.redirect_uri,
            challenge=payload.data["code_challenge"],
            address=asked.META.get("REMOTE_ADDR", ""),
            agent=asked.headers.get("User-Agent", ""),
        )

    def save_authorization_code(self, code: str, request: Asked) -> None:
        """Do nothing: it was saved as it was made."""

    def query_authorization_code(self, code: str, client: Client) -> Held | None:
        """Return what a code begins, locked."""
        row = signins.by_code(code)
        return Held(row) if row is not None and _came_from(self.request, row) else None

    def authenticate_user(self, authorization_code: Held) -> User:
        """Return for whom it acts."""
        return authorization_code.row.user

    def generate_token(self, **_: Any) -> dict[str, Any]:
        """Return the first tokens; the code is used up."""
        return _issued(self.request.authorization_code.row)

    def delete_authorization_code(self, authorization_code: Held) -> None:
        """Do nothing: it stays, so that a second use is seen."""


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """A refresh token, exchanged for the next."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Held | None:
        """Return the sign-in that it keeps, locked."""
        row = signins.by_refresh_token(refresh_token)
        return Held(row) if row is not None and _came_from(self.request, row) else None

    def authenticate_user(self, refresh_token: Held) -> User:
        """Return for whom it acts."""
        return refresh_token.row.user

    def generate_token(self, **_: Any) -> dict[str, Any]:
        """Return the next tokens; the one that came is used up."""
        return _issued(self.request.refresh_token.row)

    def revoke_old_credential(self, refresh_token: Held) -> None:
        """Do nothing: only the last that was given is good."""


class Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server, on our tables."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self.register_grant(CodeGrant, [OnlyS256(required=True)])
        self.register_grant(RefreshGrant)

    def query_client(self, client_id: str) -> Client | None:
        """Return the only one."""
        return Client() if client_id == CLIENT_ID else None

    def save_token(self, token: dict[str, Any], request: Asked) -> None:
        """Do nothing: it was saved as it was made."""

    def create_oauth2_request(self, request: HttpRequest) -> Asked:
        """Return the request as Authlib reads it."""
        return Asked(request)


server = Server()


def check_parameters(request: HttpRequest) -> None:
    """Raise InvalidRequestError for what OAuth has not: said twice, too long, of other signs."""
    for parameters in (request.GET, request.POST):
        for name, values in parameters.lists():
            whole = all(len(each) <= LONGEST and PLAIN.fullmatch(each) for each in values)
            if len(values) > 1 or not whole or not PLAIN.fullmatch(name):
                raise InvalidRequestError("a parameter is said twice, too long, or not of ASCII")
    if set(request.GET) & set(request.POST):
        raise InvalidRequestError("a parameter is said twice")
