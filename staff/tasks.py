"""When books are proved by themselves."""

from celery import shared_task

from common.errors import Unavailable
from staff import proving


@shared_task
def prove_books(*, deep: bool = False) -> None:
    """Prove what came since the last proof, or everything; nothing while another does."""
    try:
        proving.run(deep=deep, wait=False)
    except Unavailable:
        return
