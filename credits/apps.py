from django.apps import AppConfig


class CreditsConfig(AppConfig):
    """The books."""

    name = "credits"
