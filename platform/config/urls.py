"""The site's URLs: each app's own."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from accounts.views import CustomersView, MeView
from config.health import health, metrics, ready
from credits.views import BalanceView
from usage.views import EventsView

urlpatterns = [
    path("health", health),
    path("ready", ready),
    path("metrics", metrics),
    path("openapi.json", SpectacularJSONAPIView.as_view()),
    path("customers", CustomersView.as_view()),
    path("customers/me", MeView.as_view()),
    path("customers/balance", BalanceView.as_view()),
    path("customers/events", EventsView.as_view()),
]
handler404 = "config.health.not_found"
handler500 = "config.health.server_error"
handler400 = "config.health.bad_request"
