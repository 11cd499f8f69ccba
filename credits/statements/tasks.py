"""When something about statements runs by itself."""

from celery import shared_task

from credits.statements import sealing


@shared_task
def seal_books() -> None:
    """Seal what was posted since, so that a statement has little left to seal."""
    sealing.seal_all()
