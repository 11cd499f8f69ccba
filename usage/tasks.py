from celery import shared_task

from usage import partitions


@shared_task
def make_partitions() -> None:
    """See partitions.make."""
    partitions.make()
