"""What the far sides of plain jobs have in common: JSON in, a job, a word for where it stands.

A vendor's file says what its bodies must hold and how its answers look; here is what it reads them
with. A body that cannot be used is refused in the vendor's own shape, by its usual status.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from sandbox.forms import Form
from sandbox.jobs import Job
from sandbox.media import Media, look
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    anybody,
    delivery,
)
from sandbox.video import FRAMES_PER_SECOND

WRONG = 400
BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
ADDRESS = re.compile(r"https?://[^\s/]+/\S*|data:[\w/.+-]+;base64,[A-Za-z0-9+/=]+")


def asked(exchange: Exchange, *, wrong: int = WRONG) -> Body:
    """Return the body, which must be a JSON object."""
    if exchange.body is None:
        raise RefusedError(wrong, "The body is no JSON object")
    return exchange.body


def at(body: object, path: str) -> object:
    """Return what stands at a dotted path, None where nothing does."""
    for name in path.split("."):
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def text(body: Body, path: str, *, wrong: int = WRONG) -> str:
    """Return a text that must be there."""
    found = at(body, path)
    if not isinstance(found, str) or not found:
        raise RefusedError(wrong, f"{path} is required and must be a string")
    return found


def address(body: Body, path: str, *, wrong: int = WRONG) -> str:
    """Return the address of a file that must be there, or its data URI."""
    found = text(body, path, wrong=wrong)
    if not ADDRESS.fullmatch(found):
        raise RefusedError(wrong, f"{path} is not a URL that can be fetched")
    return found


def given(
    body: Body, path: str, inside: str = "", *, form: Form | None = None, wrong: int = WRONG
) -> None:
    """Want a file: by its address, as base64 at a path of its own, or as a part of the form."""
    if form is not None and form.files.get(inside):
        return
    found = at(body, inside or path)
    if not (isinstance(found, str) and BASE64.fullmatch(found)):
        address(body, path, wrong=wrong)


def one_of(
    body: Body,
    path: str,
    among: Iterable[object],
    *,
    default: object = None,
    wrong: int = WRONG,
) -> object:
    """Return a value that must be one of those, its usual one where it is missing."""
    found = at(body, path)
    found = default if found is None else found
    choices = list(among)
    if not any(type(found) is type(choice) and found == choice for choice in choices):
        raise RefusedError(wrong, f"{path} must be one of {choices}")
    return found


def only(body: Body, known: Iterable[str], *, wrong: int = WRONG) -> None:
    """Refuse a field that the vendor does not know."""
    if unknown := body.keys() - set(known):
        raise RefusedError(wrong, f"unknown field {min(unknown)}")


def start(
    exchange: Exchange,
    *formats: str,
    seconds: float = 0.0,
    rate: int = FRAMES_PER_SECOND,
    job_id: str | None = None,
    alias: str | None = None,
    **facts: object,
) -> Job:
    """Accept a job that makes files of these formats, looking as the body says."""
    seen = look(exchange.seen.sha256)
    makes = [Media(each, look=seen, seconds=seconds, rate=rate) for each in formats]
    return exchange.desk.jobs.start(
        *makes, failures=exchange.failures, job_id=job_id, alias=alias, facts=facts
    )


def find(exchange: Exchange, name: str = "id", *, status: int = 404) -> Job:
    """Return the job that the path names, or refuse it as unknown."""
    job = exchange.find_job(exchange.request.match_info[name])
    if job is None:
        raise RefusedError(status)
    return job


def addresses(exchange: Exchange, vendor: str, job: Job) -> list[str]:
    """Return where the files of a job lie."""
    base = f"{exchange.public}/{vendor}/files/{job.id}"
    return [f"{base}/{number}.{made.format}" for number, made in enumerate(job.makes)]


async def _file(exchange: Exchange) -> Answer:
    job = exchange.desk.jobs.find(exchange.request.match_info["job"])
    number, _, ending = exchange.request.match_info["name"].partition(".")
    if job is None or job.ending != "done" or not number.isdecimal():
        raise RefusedError(404)
    made = dict(enumerate(job.makes)).get(int(number[:4]))
    if made is None or made.format != ending:
        raise RefusedError(404)
    return await delivery(made)


FILES = Route("GET", "/files/{job}/{name}", Kind.DOWNLOAD, _file, anybody)
"""What a finished job made, for anybody."""


def refusing(
    said: Mapping[int, str], shape: Callable[[int, str], object]
) -> Callable[[int, object], Answer]:
    """Return how a vendor refuses: by the sentence of a status, in its own shape."""

    def refuse(status: int, detail: object) -> Answer:
        sentence = f"{detail or said.get(status) or USUAL.get(status, 'Error')}"
        return Answer.json(shape(status, sentence), status=status)

    return refuse


USUAL = {
    400: "Bad request",
    401: "The API key is not valid",
    402: "You do not have enough credits",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    422: "The request cannot be processed",
    429: "Too many requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}
