"""When something about keys runs by itself."""

from celery import shared_task

from apikeys import pairing, reached, summaries


@shared_task
def tend_pairings() -> None:
    """Revoke keys that no machine took, and forget pairings that are over."""
    pairing.tend()


@shared_task
def tell_of_limits() -> None:
    """Tell whose calls a budget refused, and who set it."""
    reached.tell()


@shared_task
def tell_of_months() -> None:
    """Tell who wants it what was spent in the month before."""
    summaries.tell()
