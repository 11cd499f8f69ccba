"""The Django project: it wires, and decides nothing.

The worker's app is imported with it: a message that a web process sends must go to our broker, and
without an app of ours Celery sends it to one of its own invention.
"""

from config.celery import app as celery_app

__all__ = ["celery_app"]
