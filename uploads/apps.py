from django.apps import AppConfig


class UploadsConfig(AppConfig):
    """Files that nodes put here for vendors to fetch."""

    name = "uploads"
