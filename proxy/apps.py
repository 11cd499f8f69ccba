from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "proxy"
