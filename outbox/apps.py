"""The app's name and place."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Mails that must go out."""

    name = "outbox"
