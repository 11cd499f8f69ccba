"""When something about accounts runs by itself."""

from celery import shared_task

from accounts import broken_webhooks, factors, forgotten, signingkeys, signins


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


@shared_task
def tell_of_webhooks() -> None:
    """Tell owners of webhooks that were switched off."""
    broken_webhooks.tell_owners()
