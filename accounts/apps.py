from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "accounts"
