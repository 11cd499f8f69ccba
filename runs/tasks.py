"""When something about runs happens by itself. What carries them is a program (runner.py)."""

from celery import shared_task

from runs import address, assets, spending
from runs.fetching import cache


@shared_task
def tidy_cache() -> None:
    """Take away what processes that died left of files half fetched."""
    cache.ours().tidy()


@shared_task
def name_files() -> None:
    """Give files that were kept before BLAKE3 was theirs."""
    assets.name_some()


@shared_task
def forget_budgets() -> None:
    """Delete the budgets of runs that are over, and what is known of addresses that are."""
    spending.forget_budgets()
    address.forget()
