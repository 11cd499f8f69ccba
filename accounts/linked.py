"""What the stock frontend links to on the platform's site, and where we have it: in this one place.

/login             signing in
/profile/usage     what was spent, on what
/profile/billing   what is there, and how to buy more
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


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
    return redirect("credits")


@require_safe
@login_required
def purse(request: HttpRequest) -> HttpResponse:
    """Lead there from where it was before."""
    return redirect("credits")
