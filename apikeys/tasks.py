"""When something about keys runs by itself."""

from celery import shared_task

from apikeys import pairing


@shared_task
def tend_pairings() -> None:
    """Revoke keys that no machine took, and forget pairings that are over."""
    pairing.tend()
