"""The admin site, by the same login as everybody's, with a second factor in this very session.

Django's own form is never shown: it would let staff in past second factors and limits.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts import doors
from common.errors import AccessDisabled

OF_FORMS = frozenset(("view_on_site", "autocomplete", "jsi18n"))
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
SET_ONE_UP = "Staff need a second factor: set up codes from an app, or add a passkey."


class StaffSite(AdminSite):
    """Django's admin, for staff who showed a second factor when they signed in."""

    @property
    def site_header(self) -> str:  # type: ignore[override]
        """Return what stands above every page."""
        return f"{settings.PLATFORM_NAME}: staff"

    def get_urls(self) -> list[Any]:
        """Return its addresses, without those that serve forms: there are none to fill in here."""
        return [each for each in super().get_urls() if getattr(each, "name", "") not in OF_FORMS]

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether whoever asks is staff, has a second factor, and showed it in this session."""
        user: Any = request.user
        return is_staff(user) and has_factor(user) and showed_factor(request)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to what is missing: signing in, a second factor, or showing it."""
        user: Any = request.user
        back = urlencode({"next": reverse("admin:index")})
        if not user.is_authenticated:
            return redirect(f"{reverse('account_login')}?{back}")
        if not is_staff(user):
            return doors.refused(request, AccessDisabled("This is for staff alone."))
        if not has_factor(user):
            messages.warning(request, SET_ONE_UP)
            return redirect("security")
        if not showed_factor(request):
            return redirect(f"{reverse(_how_to_show_it(user))}?{back}")
        return redirect("admin:index")

    def logout(  # type: ignore[override]  # It redirects.
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to where everybody signs out."""
        return redirect("account_logout")

    def password_change(  # type: ignore[override]  # It redirects.
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to where everybody changes a password."""
        return redirect("account_change_password")


def is_staff(user: Any) -> bool:
    """Whether somebody may act for the house."""
    return bool(user.is_authenticated and user.is_active and user.is_staff)


def has_factor(user: Any) -> bool:
    """Whether somebody has a second factor; spare codes alone are none."""
    return bool(get_adapter().is_mfa_enabled(user, FACTORS))


def showed_factor(request: HttpRequest) -> bool:
    """Whether a second factor was shown in this session."""
    records = get_authentication_records(request, request.user)
    return any(record.get("method") == "mfa" for record in records)


def _how_to_show_it(user: Any) -> str:
    has_codes = get_adapter().is_mfa_enabled(user, [Authenticator.Type.TOTP])
    return "mfa_reauthenticate" if has_codes else "mfa_reauthenticate_webauthn"
