"""The page about one's own data, below /account/."""

from django.urls import path

from privacy import pages

urlpatterns = [
    path("privacy/", pages.privacy, name="privacy"),
    path("privacy/archive", pages.ask_archive, name="ask_archive"),
    path("privacy/archives/<uuid:export_id>", pages.archive, name="archive"),
    path("privacy/delete", pages.ask_deletion, name="ask_deletion"),
    path("privacy/stay", pages.stay, name="stay"),
]
