"""The name of the app."""

from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    """Who goes, and what is told about them."""

    name = "privacy"
