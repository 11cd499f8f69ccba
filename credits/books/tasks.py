"""When something about the books runs by itself."""

from celery import shared_task

from credits.books import expiry


@shared_task
def expire_lots() -> None:
    """End credits whose time is over."""
    expiry.expire_due()
