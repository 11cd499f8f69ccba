"""The pages about one's own account that allauth does not have, and what every page needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.views.decorators.http import require_POST, require_safe

from accounts import browsers
from accounts.adapters import SessionsAdapter
from audit import log
from common.money import show

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest

    from accounts.models import User
    from audit.models import Event

SITES: Final = {"google": "Google", "github": "GitHub"}
SAID: Final = {
    "account.made": "Account made",
    "session.began": "Signed in",
    "session.refused": "Wrong password or code",
    "session.ended": "Signed out elsewhere",
    "password.changed": "Password changed",
    "password.reset": "Password reset by mail",
    "email.changed": "Mail address changed",
    "factor.added.totp": "Codes from an app set up",
    "factor.added.webauthn": "Passkey added",
    "factor.added.recovery_codes": "Spare codes made",
    "factor.removed.totp": "Codes from an app switched off",
    "factor.removed.webauthn": "Passkey removed",
    "factor.removed.recovery_codes": "Spare codes taken away",
    "factor.made_anew": "New spare codes made",
    "social.connected": "Other site connected",
    "social.disconnected": "Other site disconnected",
    "member.deactivated": "Account deactivated by staff",
    "member.reactivated": "Account active again, by staff",
    "member.made_staff": "Made staff",
    "member.viewed": "Your pages looked at by staff",
    "member.view_ended": "Staff stopped looking at your pages",
    "deletion.asked": "Asked to be deleted",
    "deletion.confirmed": "Deletion confirmed",
    "deletion.cancelled": "Stayed after all",
    "export.asked": "Archive asked for",
    "export.taken": "Archive taken",
    "keys.stopped": "Keys stopped",
    "keys.restarted": "Keys work again",
    "key.made": "Key made",
    "key.changed": "Key changed",
    "key.renamed": "Key renamed",
    "key.rotated": "Key rotated",
    "sign-in.begun": "ComfyUI signed in",
    "sign-in.ended": "ComfyUI signed out",
    "key.disabled": "Key disabled",
    "key.enabled": "Key enabled",
    "pairing.approved": "Machine paired",
    "pairing.refused": "Machine not paired",
    "ask.made": "More asked for",
    "ask.granted": "More allowed",
    "ask.declined": "More not allowed",
    "key.revoked": "Key revoked",
}
"""What happened to somebody, as they read it; what is not here shows its own name."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One place where somebody is signed in."""

    id: int
    browser: str
    address: str
    since: datetime
    seen: datetime
    is_this: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of what happened."""

    said: str
    from_where: str
    at: datetime
    reason: str


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what every template may name."""
    welcome = settings.WELCOME_GRANT_MICROS
    return {
        "PLATFORM": settings.PLATFORM_NAME,
        "WELCOME": show(welcome) if welcome else "",
        "LANGUAGES": settings.LANGUAGES,
        "LANGUAGE_CODE": get_language(),
    }


@require_safe
@login_required
def security(request: HttpRequest) -> HttpResponse:
    """Show how one signs in, where one is signed in, and what happened."""
    user: Any = request.user
    factors = list(Authenticator.objects.filter(user=user).order_by("created_at"))
    codes = [each for each in factors if each.type == Authenticator.Type.RECOVERY_CODES]
    connected = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
    shown = {
        "passkeys": [each for each in factors if each.type == Authenticator.Type.WEBAUTHN],
        "has_totp": any(each.type == Authenticator.Type.TOTP for each in factors),
        "spare_codes": len(codes[0].wrap().get_unused_codes()) if codes else None,
        "sites": [(SITES[name], name in connected) for name in settings.SOCIAL],
        "visits": _visits(user, request.session.session_key),
        "events": [_happening(event) for event in log.of_subject(user.pk, most=30)],
    }
    return render(request, "accounts/security.html", shown)


@require_safe
@login_required
def to_security(request: HttpRequest) -> HttpResponse:
    """Lead there from allauth's own lists, of which it shows the same."""
    return redirect("security")


@require_POST
@login_required
def end_session(request: HttpRequest, session: int) -> HttpResponse:
    """End one of one's own sessions; another's is not there."""
    user: Any = request.user
    found = UserSession.objects.filter(user=user, pk=session).first()
    if found is None:
        raise Http404
    SessionsAdapter().end_sessions([found])
    messages.success(request, "That browser is signed out.")
    return redirect("security")


def _visits(user: User, this: str | None) -> list[Visit]:
    found = [
        Visit(
            id=each.pk,
            browser=browsers.name(each.user_agent),
            address=each.ip,
            since=each.created_at,
            seen=each.last_seen_at,
            is_this=each.session_key == this,
        )
        for each in UserSession.objects.purge_and_list(user)
    ]
    return sorted(found, key=lambda visit: (not visit.is_this, -visit.seen.timestamp()))


def _happening(event: Event) -> Happening:
    by_staff = event.actor_id is not None and event.actor_id != event.subject_id
    name = ".".join(filter(None, (event.action, event.after.get("type"))))
    return Happening(
        said=SAID.get(name) or SAID.get(event.action, event.action),
        from_where="Staff" if by_staff else event.address,
        at=event.at,
        reason=event.reason if by_staff else "",
    )
