"""How to make a vendor fail: the names, the two places they are read from, and their order.

A failure is written `NAME` or `NAME=VALUE`: in a request, as `sandbox:NAME=VALUE` anywhere in its
body (a prompt is the natural place), or through the control API, for the next few requests. A
failure in a body belongs to that submit and its job, so a poll failure there holds for every poll
of the job; a planned one is used up by the next submits, or by the next polls. A name that is
unknown, or that this vendor has no use for, is refused, never ignored: a misspelt failure must not
let a test pass.

    of a submit   status=CODE  slow=SECONDS  nonjson  no_id  echo  cut  drop_before  drop_after
    in its words  code=N  inside[=N]
    of a job      moderated  content_moderated  failed  never  delay=SECONDS  cost[=AMOUNT]
    of a model    tokens=N  no_usage
    of a poll     poll_status=CODE  poll_inside[=N]  poll_slow=SECONDS  poll_nonjson  poll_echo
                  poll_cut  poll_drop
    of a result   result_...  and of a token  token_...  as of a poll
    of an upload  upload_...  and of where its content goes  store_...  as of a poll

`code` is the vendor's own error code with its own status, `inside` the same error in a body that
says 2xx. `echo` is an answer that carries our credential.

Accepted, and so counted and billed by a real vendor, is every submit but those that end in
`status`, `code`, `inside` or `drop_before`: a caller that got half an answer, or none, cannot know.
Some HTTP clients repeat a dropped GET by themselves, so a poll that shall really fail is dropped
twice.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

Value = float | None
Failures = dict[str, Value]

STATUSES = (400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 504)
OF_SUBMIT = frozenset(
    {"status", "slow", "nonjson", "no_id", "echo", "cut", "drop_before", "drop_after"}
)
OF_WORDS = frozenset({"code", "inside"})
OF_JOB = frozenset({"moderated", "content_moderated", "failed", "never", "delay", "cost"})
OF_MODEL = frozenset({"tokens", "no_usage"})
OF_QUESTION = ("status", "inside", "slow", "nonjson", "echo", "cut", "drop")
PREFIXES = ("poll_", "result_", "token_", "upload_", "store_")
OF_POLL, OF_RESULT, OF_TOKEN, OF_UPLOAD, OF_STORE = (
    frozenset(prefix + name for name in OF_QUESTION) for prefix in PREFIXES
)
OF_STORED = OF_UPLOAD | OF_STORE
EVERY = OF_SUBMIT | OF_WORDS | OF_JOB | OF_MODEL | OF_POLL | OF_RESULT | OF_TOKEN | OF_STORED
WITH_VALUE = frozenset({"status", "code", "slow", "delay", "tokens"})
WITH_OPTIONAL_VALUE = frozenset({"inside", "cost"})

MARK = "sandbox:"
WRITTEN = re.compile(r"([a-z_]+)(?:=(\d+(?:\.\d+)?))?")
IN_BODY = re.compile((MARK + WRITTEN.pattern).encode())
PLANS_KEPT = 10_000


class UnknownFailureError(ValueError):
    """No such failure, or not with such a value; the message names it."""


def parse(written: str) -> tuple[str, Value]:
    """Read `NAME` or `NAME=VALUE`; raise UnknownFailureError for anything else."""
    match = WRITTEN.fullmatch(written)
    if match is None:
        raise UnknownFailureError(written)
    return _checked(match[1], match[2])


def in_body(raw: bytes) -> Failures:
    """Find the failures that a body asks for; most ask for none."""
    if MARK.encode() not in raw:
        return {}
    found = ((name.decode(), value.decode()) for name, value in IN_BODY.findall(raw))
    return dict(_checked(name, value or None) for name, value in found)


def _split(name: str) -> tuple[str, str]:
    """Take a name apart into whose failure it is and what is done: `poll_drop`, `poll_` `drop`."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return prefix, name.removeprefix(prefix)
    return "", name


def _checked(name: str, written: str | None) -> tuple[str, Value]:
    value = None if written is None else float(written)
    if name not in EVERY:
        raise UnknownFailureError(name)
    does = _split(name)[1]
    if (value is None and does in WITH_VALUE) or (
        value is not None and does not in WITH_VALUE | WITH_OPTIONAL_VALUE
    ):
        raise UnknownFailureError(f"{name}={written}")
    if does == "status" and value not in STATUSES:
        raise UnknownFailureError(f"{name}={written}")
    return name, value


def of_question(failures: Failures, prefix: str) -> Failures:
    """Translate the failures of one kind of question into what they do to its answer."""
    split = ((_split(name), value) for name, value in failures.items())
    return {
        "drop_after" if does == "drop" else does: value
        for (whose, does), value in split
        if whose == prefix
    }


@dataclass(slots=True)
class Plan:
    """Failures that wait for the next requests, and for how many of them."""

    failures: Failures
    times: int


def _few() -> deque[Plan]:
    return deque(maxlen=PLANS_KEPT)


@dataclass(slots=True)
class Plans:
    """What one vendor's next submits and next questions shall fail with, first planned first."""

    submits: deque[Plan] = field(default_factory=_few)
    questions: dict[str, deque[Plan]] = field(default_factory=lambda: defaultdict(_few))

    def add(self, written: Iterable[str], *, times: int) -> None:
        """Plan failures, together, for the next `times` submits, and the poll ones for polls."""
        planned: dict[str, Failures] = defaultdict(dict)
        for name, value in [parse(each) for each in written]:
            planned[_split(name)[0]][name] = value
        if times < 1:
            return
        for prefix, failures in planned.items():
            plans = self.questions[prefix] if prefix else self.submits
            plans.append(Plan(failures, times))

    def next_submit(self) -> Failures:
        """Use up one submit's worth of the plan."""
        return _use(self.submits)

    def next_question(self, prefix: str) -> Failures:
        """Use up one poll's worth of the plan, or one result's, or one token's."""
        return of_question(_use(self.questions[prefix]), prefix)


def _use(plans: deque[Plan]) -> Failures:
    if not plans:
        return {}
    plan = plans[0]
    plan.times -= 1
    if plan.times == 0:
        plans.popleft()
    return plan.failures
