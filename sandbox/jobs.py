"""A vendor's long-running tasks. A job's state is read off the clock: nothing runs for it.

running --(its time has come)--> done | moderated | content_moderated | failed

These are the sandbox's own words; each vendor says them in its own.
"""

import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.failures import Failures
from sandbox.media import Media

BAD_ENDINGS = ("moderated", "content_moderated", "failed")
NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted task: what it will deliver, when, and what goes wrong with it."""

    id: str
    makes: tuple[Media, ...]
    seconds: float
    failures: Failures
    facts: Mapping[str, object] = field(default_factory=dict)
    """What its vendor wants to remember of it."""
    alias: str | None = None
    """Another name that it is found by."""
    started: float = field(default_factory=time.monotonic)
    created_at: float = field(default_factory=time.time)

    @property
    def progress(self) -> float:
        """How much of its time has passed, from 0 to 1; a job that never ends stays at 0."""
        if "never" in self.failures:
            return 0.0
        passed = time.monotonic() - self.started
        return 1.0 if passed >= self.seconds else max(0.0, passed / self.seconds)

    @property
    def ending(self) -> str | None:
        """How it ended, in a word of the drawing above; None while it runs."""
        if self.progress < 1:
            return None
        return next((name for name in BAD_ENDINGS if name in self.failures), "done")


class Jobs:
    """The jobs of one vendor, the newest `kept` of them; an older one is as if it never was."""

    def __init__(self, *, seconds: float, kept: int) -> None:
        """Begin with none; a job takes `seconds` unless its failures say `delay`."""
        self.seconds = seconds
        self.kept = kept
        self._by_id: OrderedDict[str, Job] = OrderedDict()
        self._by_alias: dict[str, Job] = {}

    def start(
        self,
        *makes: Media,
        failures: Failures,
        job_id: str | None = None,
        alias: str | None = None,
        facts: Mapping[str, object] = NOTHING,
    ) -> Job:
        """Accept a task under a new id, forgetting the oldest when there are too many."""
        delay = failures.get("delay")
        seconds = self.seconds if delay is None else delay
        job = Job(job_id or str(uuid.uuid4()), makes, seconds, failures, facts, alias)
        self._by_id[job.id] = job
        if alias is not None:
            self._by_alias[alias] = job
        if len(self._by_id) > self.kept:
            _, oldest = self._by_id.popitem(last=False)
            if oldest.alias is not None:
                self._by_alias.pop(oldest.alias, None)
        return job

    def find(self, job_id: str) -> Job | None:
        """Find a job by its id."""
        return self._by_id.get(job_id)

    def find_by_alias(self, alias: str) -> Job | None:
        """Find a job by its other name."""
        return self._by_alias.get(alias)
