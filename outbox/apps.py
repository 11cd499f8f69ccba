"""The name of the app."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Mails that must go out."""

    name = "outbox"
