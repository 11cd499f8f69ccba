from django.apps import AppConfig


class StaffPagesConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "staff"

    def ready(self) -> None:
        """Have the admin site know the tables that staff may look at."""
        from staff import tables

        tables.register()
