"""The name of the app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """What members and staff did."""

    name = "audit"
