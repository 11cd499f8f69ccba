"""A vendor's long-running tasks. A job's state is read off the clock: nothing runs for it.

Pending --(its time has come)--> Ready | Request Moderated | Content Moderated | Error
"""

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from sandbox.failures import Failures
from sandbox.media import Media

ENDINGS = {
    "moderated": "Request Moderated",
    "content_moderated": "Content Moderated",
    "failed": "Error",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted task: what it will deliver, when, and what goes wrong with it."""

    id: str
    media: Media
    started: float
    seconds: float
    failures: Failures

    @property
    def progress(self) -> float:
        """How much of its time has passed, from 0 to 1; a job that never ends stays at 0."""
        if "never" in self.failures:
            return 0.0
        passed = time.monotonic() - self.started
        return 1.0 if passed >= self.seconds else max(0.0, passed / self.seconds)

    @property
    def status(self) -> str:
        """Where the job stands, in the word of the drawing above."""
        if self.progress < 1:
            return "Pending"
        for name, ending in ENDINGS.items():
            if name in self.failures:
                return ending
        return "Ready"


class Jobs:
    """The jobs of one vendor, the newest `kept` of them; an older one is as if it never was."""

    def __init__(self, *, seconds: float, kept: int) -> None:
        """Begin with none; a job takes `seconds` unless its failures say `delay`."""
        self.seconds = seconds
        self.kept = kept
        self._by_id: OrderedDict[str, Job] = OrderedDict()

    def start(self, media: Media, failures: Failures) -> Job:
        """Accept a task under a new id, forgetting the oldest when there are too many."""
        delay = failures.get("delay")
        seconds = self.seconds if delay is None else delay
        job = Job(str(uuid.uuid4()), media, time.monotonic(), seconds, failures)
        self._by_id[job.id] = job
        if len(self._by_id) > self.kept:
            self._by_id.popitem(last=False)
        return job

    def find(self, job_id: str) -> Job | None:
        """Find a job by its id."""
        return self._by_id.get(job_id)
