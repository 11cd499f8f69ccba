"""What the stock frontend links to on the platform's site, and where we have it: in this one place.

/login             signing in
/profile/usage     what was spent, on what
/profile/billing   what is there, and how to buy more
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts import doors, sessions
from common.drf import base_url
from common.errors import InvalidRequest, PlatformError
from common.money import MICROS_PER_USD, Micros, credits_text, show
from credits.books import wallets
from credits.payments import stripe_api, topups

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

AMOUNTS = (10, 25, 50, 100)
"""Dollars that are offered."""


@require_safe
def sign_in(request: HttpRequest) -> HttpResponse:
    """Lead to the page of signing in, as it was asked for."""
    query = request.META.get("QUERY_STRING", "")
    return redirect(reverse("account_login") + (f"?{query}" if query else ""))


@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    """Lead to what there is about what was spent."""
    return redirect("usage")


@require_safe
def billing(request: HttpRequest) -> HttpResponse:
    """Lead to where credits are bought."""
    return redirect("purse")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def purse(request: HttpRequest) -> HttpResponse:
    """Show what there is to spend; begin a purchase, and show where it is paid."""
    session: Any = sessions.of(request)
    if session is None:  # Somebody without a workspace has no purse.
        return doors.refused(request, InvalidRequest("You belong to no workspace."))
    pay_at = ""
    if request.method == "POST":
        try:
            pay_at = _bought(request, session)
        except PlatformError as refusal:
            return doors.refused(request, refusal)
    now = wallets.balance(session.workspace_id)
    shown = {
        "available": show(now.available),
        "credits": credits_text(now.available),
        "held": show(now.held) if now.held else "",
        "sells": stripe_api.is_configured(),
        "amounts": AMOUNTS,
        "pay_at": pay_at,
    }
    return render(request, "accounts/purse.html", shown)


def _bought(request: HttpRequest, session: sessions.Session) -> str:
    """Begin a purchase of one of the amounts; return where it is paid."""
    offered = {str(dollars): dollars for dollars in AMOUNTS}
    dollars = offered.get(request.POST.get("dollars", ""))
    if dollars is None:
        raise InvalidRequest("Choose one of the amounts.")
    top_up = topups.start(
        session.workspace_id,
        amount=Micros(dollars * MICROS_PER_USD),
        email=session.user.email,
        user_id=session.user.pk,
        base_url=base_url(request),
    )
    return top_up.checkout_url
