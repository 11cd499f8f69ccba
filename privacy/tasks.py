"""When something about privacy runs by itself."""

from celery import shared_task

from privacy import deletion, exports, retention, steps, watch


@shared_task
def tend() -> None:
    """Make archives, go on with deletions, and look whether one is late."""
    exports.expire()
    exports.make_due()
    deletion.lapse()
    steps.run_due()
    watch.look()


@shared_task
def forget() -> None:
    """Take away what need not be kept any longer."""
    retention.sweep()
    steps.end_pseudonyms()
