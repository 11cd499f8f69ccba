"""How long a sound is that came with a form: what a vendor would find when it plays it."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up
from proxy import probing
from proxy.pricing import Quote

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.forms import Form

MINUTE = 60
USUAL_SECONDS = 5
"""Of a sound that nobody knows yet."""


async def seconds_of(form: Form, name: str) -> Fraction:
    """Return the length of the one sound of that field; raise InvalidRequest where it has none."""
    files = [file for file in form.files if file.name == name]
    if len(files) != 1:
        raise InvalidRequest(f"{name} must be one file: a sound.")
    content = await asyncio.to_thread(form.on_the_disk)
    found = await probing.of_file(
        content, owner=form.in_memory.owner, start=files[0].start, size=files[0].size
    )
    if "heard" not in found:
        known = "MP3, MP4, WAV, FLAC, Ogg or WebM"
        raise InvalidRequest(f"{name} cannot be measured: it must be a sound in {known}.")
    return found["heard"]


async def quote_of(
    asked: Asked, name: str, a_minute: Micros, *, longest: int, too_long: str
) -> Quote:
    """Return the quote of the one sound of that field, by its length: a second at least.

    Of a mere question whose sound is not there, from the shortest to the longest.
    """
    assert asked.form is not None, "a form was read"
    asked.form.check_files(name)
    if asked.is_question and not any(file.size for file in asked.form.files):
        return Quote(
            _price(a_minute, Fraction(longest)),
            {
                "seconds": f"1 to {longest}",
                "least_price": int(_price(a_minute, Fraction(1))),
                "price": int(_price(a_minute, Fraction(USUAL_SECONDS))),
            },
        )
    seconds = max(Fraction(1), await seconds_of(asked.form, name))
    if seconds > longest:
        raise InvalidRequest(too_long)
    price = _price(a_minute, seconds)
    return Quote(price, {"seconds": f"{seconds}", "price": int(price)})


def least_of(inputs: dict[str, Any]) -> Micros:
    """Return the least that such a quote comes to."""
    return Micros(inputs.get("least_price", inputs["price"]))


def _price(a_minute: Micros, seconds: Fraction) -> Micros:
    return round_up(a_minute * seconds / MINUTE)
