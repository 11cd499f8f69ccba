"""REST framework's doors: a key, or who is signed in at the browser.

A bearer token wins over a key, and either over a session (contract 2.1): who sends a credential is
judged by that alone.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as FrameworkSession

from accounts import sessions, signins, tokens
from accounts.models import Membership
from apikeys import keys
from apikeys.life import Giver
from apikeys.models import SCOPES
from apikeys.rights import Rights
from common.drf import SESSION, STAFF
from common.errors import CHALLENGE, Unauthorized

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from accounts.sessions import Session
    from apikeys.models import ApiKey

OF_WHO_PAYS = frozenset({"billing:manage"})


class ByHeader(BaseAuthentication):
    """What is shown in a header, and so is no cookie of any page."""

    def authenticate_header(self, request: Request) -> str:
        """Return what makes a missing credential a 401, not a 403."""
        return CHALLENGE


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """An access token, as `request.auth`."""

    workspace_id: UUID
    sid: UUID
    role: str
    scopes: tuple[str, ...] = tokens.SCOPES


class TokenAuthentication(ByHeader):
    """`Authorization: Bearer ...`: an access token of a sign-in that has not ended."""

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        """Return for whom it acts, and the token; None without such a header."""
        given = request.headers.get("Authorization", "").strip()
        if not given:
            return None
        claims = tokens.read(tokens.of_header(given))
        signin = signins.of_claims(claims)
        if signin is None:
            raise Unauthorized("This sign-in has ended. Sign in again.")
        return signin.user, Token(claims.workspace_id, claims.sid, signins.role_of(signin))


class KeyAuthentication(ByHeader):
    """`X-API-KEY: comfyui-...`."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Return the key's user and the key, or None without a credential.

        What its person's role does not allow any more, the key does not either: its `scopes` are
        those that it has now.
        """
        key = request.headers.get("X-API-KEY")
        if not key:
            return None
        found = keys.authenticate(key.strip(), address=request.META.get("REMOTE_ADDR", ""))
        role: str = found.role  # type: ignore[attr-defined]  # As it is looked up with the key.
        found.scopes = [each for each in found.scopes if each in allowed_to(role)]
        return found.user, found


class SessionAuthentication(FrameworkSession):
    """The cookie of a browser at our own pages, with the proof that one of them asks."""

    def authenticate(self, request: Request) -> tuple[Any, Session] | None:
        """Return who is signed in and their session, or None."""
        session = sessions.of(request._request)  # noqa: SLF001 - the framework's way to Django's
        if session is None:
            return None
        self.enforce_csrf(request)
        return session.user, dataclasses.replace(session, scopes=scopes_of(session))


def allowed_to(role: str) -> frozenset[str]:
    """Return the scopes that somebody of a role may have, by whatever credential."""
    pays = role in (Membership.Role.OWNER, Membership.Role.BILLING)
    return frozenset(SCOPES) if pays else frozenset(SCOPES) - OF_WHO_PAYS


def scopes_of(session: Session) -> frozenset[str]:
    """Return what somebody who is signed in may: all that a key may, as their role allows.

    What is for staff needs one of them who showed a second factor.
    """
    scopes = allowed_to(session.role) | {SESSION}
    is_staff = session.user.is_staff and session.by_factors
    return scopes | {STAFF} if is_staff else scopes


def giver(session: Session) -> Giver:
    """Return what somebody who is signed in can give to a key: all that they may themselves."""
    own = Rights(scopes=frozenset(SCOPES) & scopes_of(session))
    is_owner = session.role == Membership.Role.OWNER
    return Giver(session.user.pk, session.workspace_id, own, everybodys=is_owner)


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document names the credential."""

    target_class = KeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "apiKey", "in": "header", "name": "X-API-KEY"}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The same of a token."""

    target_class = TokenAuthentication
    name = "Token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The same of the cookie."""

    target_class = SessionAuthentication
    name = "Session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
