from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """The pages of members. It has no models: it asks what the API's views ask."""

    name = "dashboard"
