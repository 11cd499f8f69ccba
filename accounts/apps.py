from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class AccountsConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "accounts"
    default = True

    def ready(self) -> None:
        """Have every program hear what allauth tells, whichever of our modules it needs."""
        from accounts import happenings, signup  # noqa: F401 - they listen


class StaffConfig(SimpleAdminConfig):
    """Django's admin with our site; models are registered one by one, never allauth's own."""

    default = False
    default_site = "accounts.staff_site.StaffSite"
