from django.apps import AppConfig


class DeskConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "desk"
