from celery import shared_task

from usage import partitions, sums


@shared_task
def make_partitions() -> None:
    """See partitions.make."""
    partitions.make()


@shared_task
def catch_up_sums() -> None:
    """See sums.catch_up_all."""
    sums.catch_up_all()
