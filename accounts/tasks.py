"""When something about accounts runs by itself."""

from celery import shared_task

from accounts import factors, forgotten


@shared_task
def tend_accounts() -> None:
    """Take away what nobody came back to, and seal secrets by the newest pepper."""
    forgotten.sweep()
    factors.reseal()
