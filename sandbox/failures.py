"""How to make a vendor fail: the names, the two places they are read from, and their order.

A failure is written `NAME` or `NAME=VALUE`: in a prompt, as `sandbox:NAME=VALUE` anywhere in its
text, or through the control API, for the next few requests. A failure in a prompt belongs to that
submit and its job, so a poll failure there holds for every poll of the job; a planned one is used
up by the next submits, or by the next polls. An unknown name is refused, never ignored: a misspelt
failure must not let a test pass.

    of a submit   status=CODE  slow=SECONDS  nonjson  no_id  cut  drop_before  drop_after
    of a job      moderated  content_moderated  failed  never  delay=SECONDS  cost[=CENTS]
    of a poll     poll_status=CODE  poll_nonjson  poll_drop

Accepted, and so counted and billed by a real vendor, is every submit but those that end in
`status` or `drop_before`: a caller that got half an answer, or none, cannot know. Some HTTP clients
repeat a dropped GET by themselves, so a poll that shall really fail is dropped twice.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

Value = float | None
Failures = dict[str, Value]

STATUSES = (400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 504)
OF_SUBMIT = frozenset({"status", "slow", "nonjson", "no_id", "cut", "drop_before", "drop_after"})
OF_JOB = frozenset({"moderated", "content_moderated", "failed", "never", "delay", "cost"})
OF_POLL = frozenset({"poll_status", "poll_nonjson", "poll_drop"})
WITH_VALUE = frozenset({"status", "slow", "delay", "poll_status"})
WITH_OPTIONAL_VALUE = frozenset({"cost"})

MARK = "sandbox:"
WRITTEN = re.compile(r"([a-z_]+)(?:=(\d+(?:\.\d+)?))?")
IN_PROMPT = re.compile(MARK + WRITTEN.pattern)
PLANS_KEPT = 10_000


class UnknownFailureError(ValueError):
    """No such failure, or not with such a value; the message names it."""


def parse(written: str) -> tuple[str, Value]:
    """Read `NAME` or `NAME=VALUE`; raise UnknownFailureError for anything else."""
    match = WRITTEN.fullmatch(written)
    if match is None:
        raise UnknownFailureError(written)
    return _checked(match[1], match[2])


def in_prompt(prompt: object) -> Failures:
    """Find the failures that a prompt asks for; most ask for none."""
    if not isinstance(prompt, str) or MARK not in prompt:
        return {}
    return dict(_checked(match[1], match[2]) for match in IN_PROMPT.finditer(prompt))


def _checked(name: str, written: str | None) -> tuple[str, Value]:
    value = None if written is None else float(written)
    if name not in OF_SUBMIT | OF_JOB | OF_POLL:
        raise UnknownFailureError(name)
    if (value is None and name in WITH_VALUE) or (
        value is not None and name not in WITH_VALUE | WITH_OPTIONAL_VALUE
    ):
        raise UnknownFailureError(f"{name}={written}")
    if name in {"status", "poll_status"} and value not in STATUSES:
        raise UnknownFailureError(f"{name}={written}")
    return name, value


def of_poll(failures: Failures) -> Failures:
    """Translate poll failures into what they do to an answer; leave out all others."""
    done_by = {"poll_status": "status", "poll_nonjson": "nonjson", "poll_drop": "drop_after"}
    return {done_by[name]: value for name, value in failures.items() if name in OF_POLL}


@dataclass(slots=True)
class Plan:
    """Failures that wait for the next requests, and for how many of them."""

    failures: Failures
    times: int


@dataclass(slots=True)
class Plans:
    """What one vendor's next submits and next polls shall fail with, first planned first."""

    submits: deque[Plan] = field(default_factory=lambda: deque(maxlen=PLANS_KEPT))
    polls: deque[Plan] = field(default_factory=lambda: deque(maxlen=PLANS_KEPT))

    def add(self, written: Iterable[str], *, times: int) -> None:
        """Plan failures, together, for the next `times` submits, and the poll ones for polls."""
        failures = dict(parse(each) for each in written)
        of_polls = {name: failures.pop(name) for name in OF_POLL & failures.keys()}
        if failures and times > 0:
            self.submits.append(Plan(failures, times))
        if of_polls and times > 0:
            self.polls.append(Plan(of_polls, times))

    def next_submit(self) -> Failures:
        """Use up one submit's worth of the plan."""
        return _use(self.submits)

    def next_poll(self) -> Failures:
        """Use up one poll's worth of the plan."""
        return _use(self.polls)


def _use(plans: deque[Plan]) -> Failures:
    if not plans:
        return {}
    plan = plans[0]
    plan.times -= 1
    if plan.times == 0:
        plans.popleft()
    return plan.failures
