"""When something about the books runs by itself."""

from celery import shared_task

from credits.books import allowances, expiry


@shared_task
def expire_lots() -> None:
    """End credits whose time is over."""
    expiry.expire_due()


@shared_task
def forget_budgets() -> None:
    """Delete budgets of periods that are long over."""
    allowances.forget_finished()
