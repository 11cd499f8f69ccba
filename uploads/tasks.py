"""What runs without anyone asking."""

from celery import shared_task

from uploads import places, shelf

MOST_BATCHES = 20


@shared_task
def delete_expired() -> int:
    """Delete files whose time is over, so many batches at the most; return how many."""
    count = 0
    for _ in range(MOST_BATCHES):
        count += (deleted := places.delete_expired())
        if deleted < places.BATCH:
            break
    shelf.sweep_arriving()
    return count
