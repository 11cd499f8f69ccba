"""The site's URLs: each app's own, and those of the site itself."""

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView

from config.health import health, metrics, ready

urlpatterns = [
    path("health", health),
    path("ready", ready),
    path("metrics", metrics),
    path("openapi.json", SpectacularJSONAPIView.as_view()),
    path("", include("apikeys.urls")),
    path("", include("accounts.urls")),
    path("", include("credits.urls")),
    path("", include("usage.urls")),
    path("", include("proxy.urls")),
]
handler404 = "config.health.not_found"
handler500 = "config.health.server_error"
handler400 = "config.health.bad_request"
