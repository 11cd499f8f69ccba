from django.apps import AppConfig


class ApikeysConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "apikeys"
