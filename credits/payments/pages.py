"""The pages a member comes back to from Stripe. The address is the only secret that they need.

They ask Stripe themselves, so that credits are there at once even if no webhook ever comes; for one
household so often, and then tell what is known.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from common import ratelimits
from common.addresses import household
from common.errors import PlatformError
from common.money import MICROS_PER_CENT, credits_text, show
from credits.models import SetupPage, TopUp
from credits.payments import following, methods

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest
    from django_stubs_ext import StrOrPromise

ASKED: Final = 120
SECONDS: Final = 60
"""So often Stripe is asked for one household: a class that pays at once, a page open at each."""
State = TopUp.State
WORDS: dict[str, tuple[str, StrOrPromise]] = {
    State.CREDITED: ("done", _("Your credits are there")),
    State.PAID: ("waiting", _("Your payment arrived")),
    State.PROCESSING: ("waiting", _("Your bank is working on it")),
    State.OPEN: ("waiting", _("Not paid yet")),
    State.FAILED: ("failed", _("The payment did not succeed")),
    State.EXPIRED: ("failed", _("This purchase has expired")),
}


@require_safe
def purchase(request: HttpRequest, top_up_id: UUID) -> HttpResponse:
    """Say how a purchase stands, having asked Stripe; look again by itself while it waits."""
    top_up = TopUp.objects.filter(pk=top_up_id).first()
    if top_up is None:
        return _page(request, 404, mood="failed", title=_("There is no such purchase"))
    try:
        _count(request)
        following.check(top_up)
        top_up.refresh_from_db()
    except PlatformError:
        # The page tells what we know; the worker asks on.
        top_up.refresh_from_db()
    cancelled = "cancelled" in request.GET and top_up.state == State.OPEN
    mood, title = ("failed", _("Nothing was charged")) if cancelled else WORDS[top_up.state]
    return _page(
        request,
        200,
        mood=mood,
        title=title,
        again=mood == "waiting" and top_up.state != State.OPEN,
        top_up=top_up,
        cancelled=cancelled,
        credits=show(top_up.amount_micros),
        in_comfyui=f"{Decimal(credits_text(top_up.amount_micros)):,}",
        paid=show(top_up.total_cents * MICROS_PER_CENT),
        tax=show(top_up.tax_cents * MICROS_PER_CENT) if top_up.tax_cents else "",
    )


@require_safe
def method(request: HttpRequest) -> HttpResponse:
    """Say whether a method was saved, having asked Stripe; the session's id is the secret."""
    session = request.GET.get("session", "").replace("\0", "")
    # Of those that we opened: Stripe is not asked for what somebody made up.
    page = SetupPage.objects.filter(session_id=session).first() if session else None
    wish, asked = page.wish if page else None, True
    try:
        if wish is not None:
            _count(request)
            wish = methods.refresh_setup(wish.pk, session_id=session)
    except PlatformError:
        asked = False
    if wish is not None and wish.payment_method_id:
        saved = _("Your payment method is saved")
        return _page(request, 200, mood="done", title=saved, method=wish.method_label)
    if not asked:
        return _page(request, 200, mood="waiting", title=_("We cannot see it yet"), again=True)
    return _page(request, 200, mood="failed", title=_("No payment method was saved"))


def _count(request: HttpRequest) -> None:
    """Count one question to Stripe; raise RateLimited if it is one too many."""
    address = household(request.META.get("REMOTE_ADDR", ""))
    ratelimits.take("purchases", address, most=ASKED, seconds=SECONDS)


def _page(request: HttpRequest, status: int, **context: Any) -> HttpResponse:
    page = render(request, "credits/page.html", context, status=status)
    page["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; font-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    page["Referrer-Policy"] = "no-referrer"
    page["Cache-Control"] = "no-store"
    return page
