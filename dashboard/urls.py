"""The pages of members, below /my/."""

from django.urls import path

from dashboard import calls, home, shell

urlpatterns = [
    path("", shell.front, name="front"),
    path("my/", home.home, name="home"),
    path("my/usage", calls.usage, name="usage"),
    path("my/usage.csv", calls.usage_csv, name="usage_csv"),
    path("my/usage/<uuid:call_id>", calls.call, name="call"),
    path("my/<path:anything>", shell.nowhere),
]
