from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "accounts"

    def ready(self) -> None:
        """Have every program hear what allauth tells, whichever of our modules it needs."""
        from accounts import happenings, signup  # noqa: F401 - they listen
