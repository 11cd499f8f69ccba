"""When something about accounts runs by itself."""

from celery import shared_task

from accounts import signingkeys, signins


@shared_task
def tend_sign_ins() -> None:
    """Publish the next signing key in time, and forget what says nothing any more."""
    signingkeys.tend()
    signins.forget()
