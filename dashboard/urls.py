"""The pages of members, below /my/; and the addresses by which the stock frontend links to them."""

from django.urls import path
from django.views.generic import RedirectView

from dashboard import calls, home, shell

urlpatterns = [
    path("", shell.front, name="front"),
    path("profile/usage", RedirectView.as_view(pattern_name="usage")),
    path("my/", home.home, name="home"),
    path("my/usage", calls.usage, name="usage"),
    path("my/usage.csv", calls.usage_csv, name="usage_csv"),
    path("my/usage/<uuid:call_id>", calls.call, name="call"),
    path("my/<path:anything>", shell.nowhere),
]
