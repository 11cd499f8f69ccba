from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class UsageConfig(AppConfig):
    """History of calls."""

    name = "usage"

    def ready(self) -> None:
        """Make the next months' partitions after every migrate too: a row never waits for one."""
        post_migrate.connect(_make_partitions, sender=self)


def _make_partitions(plan: Any = (), **_: Any) -> None:
    from usage import partitions

    if not any(is_backwards for _, is_backwards in plan):  # What makes them may be gone by then.
        partitions.make()
