"""What the far sides of plain synchronous vendors have in common: the answer is the result."""

import base64
from collections.abc import Mapping

from sandbox import works
from sandbox.failures import Failures
from sandbox.forms import Form, InvalidFormError, read
from sandbox.media import Media, look, render
from sandbox.vendor import Exchange, RefusedError

AT_ONCE: Failures = {"delay": 0.0}


def media(exchange: Exchange, format_: str, number: int = 0, *, seconds: float = 0.0) -> Media:
    """Return a small file of a format, looking as the body says."""
    return Media(format_, look(exchange.seen.sha256, number), 64, 64, seconds)


def hung(exchange: Exchange, vendor: str, *formats: str, seconds: float = 0.0) -> list[str]:
    """Return where anybody finds these files, now."""
    makes = [media(exchange, each, n, seconds=seconds) for n, each in enumerate(formats)]
    job = exchange.desk.jobs.start(*makes, failures=AT_ONCE)
    return works.addresses(exchange, vendor, job)


def encoded(made: Media) -> str:
    """Return a file in base64."""
    return base64.b64encode(render(made)).decode()


def form(exchange: Exchange, *, wrong: int = works.WRONG) -> Form:
    """Return the form that came."""
    try:
        return read(exchange.request.headers.get("content-type", ""), exchange.raw)
    except InvalidFormError as invalid:
        raise RefusedError(wrong, f"The form cannot be read: {invalid}") from None


def fields(given: Form) -> dict[str, object]:
    """Return the texts of a form; one that stands twice is a list."""
    return {name: each[0] if len(each) == 1 else each for name, each in given.fields.items()}


def number(
    body: Mapping[str, object], path: str, *, least: int, most: int, default: int, wrong: int = 400
) -> int:
    """Return a whole number, which a form has as text."""
    found = works.at(body, path)
    if isinstance(found, str) and found.isascii() and found.isdecimal():
        found = int(found[:9])
    found = default if found is None else found
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise RefusedError(wrong, f"{path} must be from {least} to {most}")
    return found
