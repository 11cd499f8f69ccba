"""Where programs sign in for somebody: the consent page, tokens, their renewal, and what we are."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

from authlib.oauth2 import OAuth2Error
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render, resolve_url
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt

from accounts import oauth, origins, redirects, sessions, signingkeys, signins, tokens
from accounts.models import Membership
from common import ratelimits
from common.addresses import household
from common.drf import base_url
from common.errors import (
    InvalidRequest,
    PlatformError,
    RateLimited,
    Unauthorized,
)
from common.money import show

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.http import HttpRequest

View: TypeAlias = "Callable[[HttpRequest], HttpResponse]"

MOST_TRIES = 120
"""A minute, from one address: a lecture hall behind one."""
MOST_ANSWERS = 30
"""A minute, of one person at the consent page."""
CACHED = "public, max-age=300"


def only(*methods: str) -> Callable[[View], View]:
    """Answer other methods with a 405 in the path's own shape."""

    def decorated(view: View) -> View:
        @functools.wraps(view)
        def answered(request: HttpRequest) -> HttpResponse:
            if request.method in methods:
                return view(request)
            refusal = InvalidRequest(
                gettext("This takes %(methods)s.") % {"methods": " and ".join(methods)}
            )
            body = refusal.body_at(request.path)
            return JsonResponse(body, status=405, headers={"Allow": ", ".join(methods)})

        return answered

    return decorated


# --- the consent page ---------------------------------------------------------------------------


@only("GET", "POST")
def authorize(request: HttpRequest) -> HttpResponse:
    """Ask somebody whether the ComfyUI of that page may act for them; send them back with a code.

    They are asked each time. Where a request cannot be trusted to come from such a page, nobody is
    sent anywhere.
    """
    try:
        oauth.check_parameters(request)
        grant = oauth.server.get_consent_grant(request, end_user=request.user)
    except OAuth2Error as error:
        return _refused(request, error)
    session = sessions.of(request)
    if session is None:
        return redirect_to_login(request.get_full_path(), resolve_url(settings.LOGIN_URL))
    if request.method == "POST":
        return _answered(request, grant, session)
    return _asked(request, grant, session)


def _asked(request: HttpRequest, grant: Any, session: sessions.Session) -> HttpResponse:
    origin = redirects.named_by(grant.redirect_uri)
    assert origin is not None, "the grant was checked"
    page = render(
        request,
        "accounts/consent.html",
        {
            "origin": origin,
            "is_here": origin.is_this_machine,
            "person": session.user,
            "places": _places(session),
            "chosen": str(session.workspace_id),
            "parameters": request.GET.items(),
        },
    )
    # The answer to its form leads back to that page, against which browsers hold this.
    page.headers["Content-Security-Policy"] = _policy(str(origin))
    return page


def _policy(origin: str) -> str:
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {origin}"
    )


def _places(session: sessions.Session) -> list[dict[str, str]]:
    """Return the workspaces that one may choose, with what is there."""
    own = Membership.objects.filter(user=session.user).select_related("workspace__wallet")
    return [
        {
            "id": str(place.workspace_id),
            "name": place.workspace.name,
            "available": show(place.workspace.wallet.available_micros),
        }
        for place in own.order_by("workspace__created_at", "workspace_id")
    ]


def _answered(request: HttpRequest, grant: Any, session: sessions.Session) -> HttpResponse:
    try:
        ratelimits.take("consent", str(session.user.pk), most=MOST_ANSWERS, seconds=60)
    except RateLimited as exc:
        return _page(request, exc)
    allowed = request.POST.get("answer") == "allow"
    if allowed:
        grant.request.workspace_id = _own_place(session, request.POST.get("workspace", ""))
        if grant.request.workspace_id is None:
            return _page(
                request, InvalidRequest(gettext("You are not a member of that workspace."))
            )
    given: HttpResponse = oauth.server.create_authorization_response(
        grant.request, grant_user=session.user if allowed else None, grant=grant
    )
    return given


def _own_place(session: sessions.Session, text: str) -> UUID | None:
    """Return the workspace that was chosen, if it is one of theirs."""
    own = Membership.objects.filter(user=session.user).values_list("workspace_id", flat=True)
    return {str(each): each for each in own}.get(text or str(session.workspace_id))


def _refused(request: HttpRequest, error: OAuth2Error) -> HttpResponse:
    if error.redirect_uri:
        sent_back: HttpResponse = oauth.server.handle_error_response(None, error)
        return sent_back
    asked = [*request.GET.getlist("redirect_uri"), *request.POST.getlist("redirect_uri")]
    named = redirects.named_by(asked[0]) if len(asked) == 1 else None
    if named is not None and not origins.is_allowed(str(named)):
        return _page(request, origins.refusal(named))
    return _page(
        request,
        InvalidRequest(
            gettext(
                "The page that sent you here asks for something that is not given here. Sign in "
                "there with an API key instead."
            )
        ),
    )


def _page(request: HttpRequest, refusal: PlatformError) -> HttpResponse:
    told = {"title": gettext("Not signed in"), "sentence": str(refusal), "status": refusal.status}
    page = render(request, "accounts/refused.html", told, status=refusal.status)
    for name, value in refusal.headers.items():
        page.headers[name] = value
    return page


# --- tokens -------------------------------------------------------------------------------------


@csrf_exempt
@only("POST")
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a code, or a refresh token, for the next tokens: once."""
    try:
        _take(request, "token")
        oauth.check_parameters(request)
    except RateLimited as exc:
        return JsonResponse(
            {"error": "slow_down", "error_description": str(exc)},
            status=exc.status,
            headers=exc.headers,
        )
    except OAuth2Error as error:
        answer: HttpResponse = oauth.server.handle_error_response(None, error)
        return answer
    with transaction.atomic():
        # What ends a sign-in is written though the answer is a refusal: so it is none by exception.
        answer = oauth.server.create_token_response(request)
    answer.headers.setdefault("Content-Type", "application/json")
    return answer


@csrf_exempt
@only("POST")
def renew(request: HttpRequest) -> HttpResponse:
    """Give a node the next token of the same sign-in, also a while after the last one's end."""
    try:
        _take(request, "renew")
        said = tokens.of_header(request.headers.get("Authorization", ""))
        claims = tokens.read(said, grace=tokens.RENEWABLE_SECONDS)
        signin = signins.of_claims(claims)
        if signin is None or not _may_come_from(request, signin.redirect_uri):
            raise Unauthorized(gettext("This sign-in has ended. Sign in again."))
    except PlatformError as exc:
        return JsonResponse(exc.proxy_body(), status=exc.status, headers=exc.headers)
    return JsonResponse({"token": tokens.sign(signin)})


def _may_come_from(request: HttpRequest, redirect_uri: str) -> bool:
    """Whether a browser asks from the page that was signed in; programs say nothing."""
    origin = request.headers.get("Origin")
    return origin is None or f"{origin}/" == redirect_uri


def _take(request: HttpRequest, what: str) -> None:
    who = household(request.META.get("REMOTE_ADDR", ""))
    ratelimits.take(what, who, most=MOST_TRIES, seconds=60)


# --- what we are --------------------------------------------------------------------------------


@only("GET", "HEAD")
def metadata(request: HttpRequest) -> JsonResponse:
    """Say where what is, as RFC 8414 has it."""
    base = base_url(request)
    return _public(
        {
            "issuer": tokens.issuer(),
            "authorization_endpoint": f"{base}/oauth/authorize",
            "token_endpoint": f"{base}/oauth/token",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "response_types_supported": ["code"],
            "grant_types_supported": list(oauth.GRANT_TYPES),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "scopes_supported": list(tokens.SCOPES),
        }
    )


@only("GET", "HEAD")
def jwks(request: HttpRequest) -> JsonResponse:
    """Publish the keys by which tokens are verified, and the one that is next."""
    signingkeys.ring.load()
    return _public({"keys": signingkeys.ring.published()})


def _public(said: dict[str, Any]) -> JsonResponse:
    return JsonResponse(said, headers={"Cache-Control": CACHED})
