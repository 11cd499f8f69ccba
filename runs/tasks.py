"""When something about runs happens by itself. What carries them is a program (runner.py)."""

from celery import shared_task

from runs import spending
from runs.fetching import cache


@shared_task
def tidy_cache() -> None:
    """Take away what processes that died left of files half fetched."""
    cache.ours().tidy()


@shared_task
def forget_budgets() -> None:
    """Delete the budgets of runs that are over."""
    spending.forget_budgets()
