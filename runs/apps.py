from django.apps import AppConfig


class RunsConfig(AppConfig):
    """See the package's modules; this names the app."""

    name = "runs"
