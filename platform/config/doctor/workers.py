"""What runs without anyone asking: the broker, beat, and a worker for every queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from kombu.exceptions import OperationalError

from config import preflight
from config.celery import app
from config.doctor.verdicts import Verdict, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECONDS = 5
LATE_SECONDS, GONE_SECONDS = 60, 300
WORK = {
    "beat": "nothing runs by itself",
    "calls": "holds of calls whose end is not known are never freed",
    "money": "purchases, refunds and Stripe's events wait",
    "jobs": "jobs that nobody polls are never settled",
    "default": "mails wait, and the history gets no partitions",
}
"""What does not happen while nobody takes from a queue."""
START = "Start one: celery -A config.celery worker"


def look_at_broker() -> Iterator[Verdict]:
    """See that messages can be sent at all."""
    if settings.CELERY_BROKER_URL.startswith("memory:"):
        sentence = "Messages stay in the process that sends them: no worker ever gets one."
        yield failed("broker", sentence, "Set CELERY_BROKER_URL to Redis or RabbitMQ.")
        return
    broker = app.connection_for_write(settings.CELERY_BROKER_URL, connect_timeout=CONNECT_SECONDS)
    try:
        with broker:
            broker.connect()
            channel: Any = broker.default_channel
            channel.close()
    except _errors(broker) as exc:
        sentence = f"It cannot be reached: {preflight.first_line(exc)}"
        do = "Start it, or mend CELERY_BROKER_URL. What was to be hurried waits for beat meanwhile."
        yield failed("broker", sentence, do)
    else:
        yield ok("broker", f"It answers ({broker.transport.driver_name}).")


def _errors(broker: Any) -> tuple[type[BaseException], ...]:
    return (OperationalError, OSError, *broker.connection_errors, *broker.channel_errors)


def look_at_queues() -> Iterator[Verdict]:
    """See that beat fills each queue and a worker takes from it: heartbeats go through them all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, extract(epoch FROM now() - seen_at) FROM proxy_heartbeat")
        silent = {name: int(seconds) for name, seconds in cursor.fetchall()}
    ages = {queue: silent.get(name) for queue, name in settings.HEARTBEATS.items()}
    late = [age for age in ages.values() if age is None or age > LATE_SECONDS]
    if len(late) == len(ages):
        sentence = "Nothing was taken from any queue of late: no worker runs, or nobody is beat."
        yield failed("queues", sentence, f"{START} -B -Q {','.join(ages)} (docs/running.md).")
        return
    for queue, age in ages.items():
        yield _of_queue(queue, age)


def _of_queue(queue: str, age: int | None) -> Verdict:
    do = f"{START} -Q {queue} (docs/running.md), or see what keeps the one that runs."
    if age is None:
        return failed(f"queue {queue}", f"No worker ever took from it: {WORK[queue]}.", do)
    if age > LATE_SECONDS:
        judge = failed if age > GONE_SECONDS else warning
        sentence = f"Nobody took from it for {age} s: {WORK[queue]}."
        return judge(f"queue {queue}", sentence, do)
    return ok(f"queue {queue}", f"A worker took from it {age} s ago.")
