"""The Django project. Every process that loads it knows the broker: a shared task needs the app."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
