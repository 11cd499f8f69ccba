from django.apps import AppConfig


class PricesConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "prices"
