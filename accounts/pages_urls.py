"""The pages by which people sign in and look after their account, below /account/.

allauth's addresses, chosen one by one: its Google sign-in by token has no CSRF, and is left out.
"""

from importlib import import_module
from typing import Any

from allauth.socialaccount.providers.oauth2.urls import default_urlpatterns
from django.conf import settings
from django.urls import include, path

from accounts import languages, linked, pages


def _social() -> list[Any]:
    """Return the addresses from which people go to other sites, and at which they come back."""
    found: list[Any] = []
    for name in settings.SOCIAL:
        provider = import_module(f"allauth.socialaccount.providers.{name}.provider")
        found += default_urlpatterns(provider.provider_classes[0])
    return found


urlpatterns = [
    path("", pages.security, name="security"),
    path("credits/", linked.purse, name="purse"),
    path("language", languages.language, name="language"),
    path("", include("allauth.account.urls")),
    path("2fa/", pages.to_security),
    path("2fa/webauthn/", pages.to_security),
    path("2fa/", include("allauth.mfa.urls")),
    path("3rdparty/", include("allauth.socialaccount.urls")),
    path("sessions/<int:session>/end", pages.end_session, name="end_session"),
    path("sessions/", include("allauth.usersessions.urls")),
    *_social(),
]
