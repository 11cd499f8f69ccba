"""The name of the app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Telling members' programs what happened."""

    name = "webhooks"
