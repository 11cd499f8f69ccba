"""The site's URLs: each app's own, and those of the site itself."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView

from accounts import linked
from accounts.support import personal_workspace
from apikeys import pairing_pages
from config.health import health, metrics, ready
from config.static import static
from usage.views import CustomerEventsView

urlpatterns = [
    path("health", health),
    path("ready", ready),
    path("metrics", metrics),
    path("openapi.json", SpectacularJSONAPIView.as_view()),
    path("static/<path:path>", static),
    path("login", linked.sign_in),
    path("profile/usage", linked.usage),
    path("profile/billing", linked.billing),
    path("pair", pairing_pages.lead),
    path("account/", include("apikeys.pages_urls")),
    path("account/", include("privacy.pages_urls")),
    path("account/", include("accounts.pages_urls")),
    path("staff/", include("staff.urls")),
    path("staff/", admin.site.urls),
    path("_allauth/", include("accounts.headless_urls")),
    path("", include("apikeys.urls")),
    path("", include("accounts.urls")),
    path("", include("credits.urls")),
    path("", include("webhooks.urls")),
    path("", include("usage.urls")),
    path(
        "customers/<uuid:user_id>/events",
        CustomerEventsView.as_view(workspace_of=staticmethod(personal_workspace)),
    ),
    path("", include("uploads.urls")),
    path("", include("proxy.urls")),
    path("", include("runs.faces.urls")),
    path("", include("privacy.urls")),
    path("", include("dashboard.urls")),
]
handler403 = "config.health.denied"
handler404 = "config.health.not_found"
handler500 = "config.health.server_error"
handler400 = "config.health.bad_request"
