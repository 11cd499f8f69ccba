"""The pages on which keys are given, below /account/."""

from django.urls import path

from apikeys import pairing_pages

urlpatterns = [
    path("pair/", pairing_pages.typed, name="pair"),
    path("pair/<uuid:pairing_id>/", pairing_pages.machine, name="pair_machine"),
]
