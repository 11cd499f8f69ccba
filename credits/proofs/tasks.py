"""When something about proofs runs by itself."""

from celery import shared_task

from credits.proofs import accounting


@shared_task
def sum_days() -> None:
    """Sum the entries by day, so that a trial balance has few left to read."""
    accounting.tally()
