"""When something about accounts runs by itself."""

from celery import shared_task

from accounts import factors, forgotten, signingkeys, signins


@shared_task
def tend_accounts() -> None:
    """Take away what nobody came back to, and seal secrets by the newest pepper."""
    forgotten.sweep()
    factors.reseal()


@shared_task
def tend_sign_ins() -> None:
    """Publish the next signing key in time, and forget what says nothing any more."""
    signingkeys.reseal()
    signingkeys.tend()
    signins.forget()
