"""The shapes that prices of many vendors have.

- `Ruled`: a rule of the vendor's file reads the request, and gives `known` (the price follows from
  the request), `per_second` (a rate for each second of what is delivered) or `of_input` (of a file
  that the request names).
- `One`: a flat price of one thing.
- `choice_of` and `count`: what a rule reads, or the refusal that names it; `one_only`: that nothing
  multiplies it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, show, usd
from proxy.pricing import Flat, Quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.asked import Asked, Evidence

MULTIPLIERS = (
    "n", "num", "num_images", "num_outputs", "num_results", "num_videos", "number_of_images",
    "numberOfImages", "batch_size", "sampleCount", "sample_count", "samples", "candidateCount",
    "N", "num_generations", "num_samples", "num_variations", "number_of_outputs", "image_count",
    "number_of_videos", "numberOfVideos", "numImages", "numSamples", "batchSize", "batch_count",
    "candidate_count", "output_count", "variations", "quantity",
)  # fmt: skip
"""What vendors call how many of a thing they make, at whatever vendor and in whatever spelling."""
MANY = 12
"""So many models are not listed in a sentence."""
MOST_UNMEASURED = usd("250")
"""More is held for no file that cannot be measured: nobody has it free for one call."""
SLACK_SECONDS = 1
"""A file is a frame or two longer than what it was made from: so far the longest is charged."""


def known(price: Micros | int, **inputs: Any) -> Quote:
    """Return the quote of a price that follows from the request."""
    return Quote(Micros(price), {**inputs, "price": int(price)})


def per_second(
    rate: Micros | Fraction, *, least: str, most: str, base: int = 0, **inputs: Any
) -> Quote:
    """Return the quote of a rate for each second that is delivered, on top of a base.

    Held for the longest that there is; where no length can be read, the shortest is charged.
    """
    held = Micros(base + round_up(rate * Fraction(most)))
    priced = {"rate": int(rate) if rate == int(rate) else f"{rate}", "least": least, "most": most}
    return Quote(held, {**inputs, **priced, **({"base": base} if base else {})})


def bearable(asked: Asked, name: str, most: Micros) -> Micros:
    """Return the most that a file of unknown length can cost, or raise InvalidRequest.

    Nobody sets that much aside, and a member is told what to do instead. Of a mere question, whose
    file is not here yet, it is the upper end of what is told.
    """
    if most <= MOST_UNMEASURED or asked.is_question:
        return most
    raise InvalidRequest(
        f"{name} is a file whose length cannot be known here, and as long as the provider takes "
        f"one it would cost {show(most)}. Please upload it to this platform, as nodes do: then it "
        "is priced by its length."
    )


def of_input(
    asked: Asked,
    name: str,
    rate: Micros | Fraction,
    *,
    least: str,
    most: str,
    capped: bool = False,
    **inputs: Any,
) -> Quote:
    """Return the quote of a rate for each second of a file that the request names.

    Where the file could not be measured it is held at the longest that the vendor takes, and
    settled by what is delivered, which is as long. `capped`: no more than the longest is charged.
    Of one that was measured the price is known; where more is delivered, it is charged by that.
    """
    seconds = asked.measured.get(name)
    if seconds is None:
        told = {**inputs, "capped": True} if capped else inputs
        bearable(asked, name, round_up(rate * Fraction(most)))
        return per_second(rate, least=least, most=most, **told)
    seconds = max(Fraction(least), min(seconds, Fraction(most)) if capped else seconds)
    told = {"seconds": f"{seconds}", "rate": f"{rate}", "measured": True, "capped": capped}
    return known(round_up(rate * seconds), **inputs, **told)


def longest(asked: Asked, name: str, *, least: str, most: str, beside: int = 0) -> str:
    """Return how many seconds a file comes to at the most, with others beside it.

    A file that was measured may be so much longer when it was made anew.
    """
    measured = asked.measured.get(name)
    if measured is None:
        return f"{Fraction(most) + beside}"
    seconds = max(Fraction(least), min(Fraction(most), measured + SLACK_SECONDS))
    return f"{seconds + beside}"


@dataclass(frozen=True, slots=True)
class One(Flat):
    """The same amount for every call, each of which makes one."""

    inside: tuple[str, ...] = ()
    """Objects of the body in which it might be said how many, too."""

    async def quote(self, asked: Asked) -> Quote:
        """Return the amount; raise InvalidRequest for a field that would make it several."""
        one_only(asked.body, *self.inside)
        return Quote(self.amount)


@dataclass(frozen=True, slots=True)
class Ruled:
    """A price that depends on what is asked for.

    What a rule makes of the request: see `known` and `per_second`.
    """

    rule: Callable[[Asked], Quote]
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the rule's quote; raise InvalidRequest where it has no price."""
        return self.rule(asked)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price that was known, or that of the seconds delivered, at the end."""
        if "price" in inputs and not inputs.get("measured"):
            return Micros(inputs["price"])
        if not evidence.is_final:
            return None
        if "price" in inputs:
            return _of_measured(inputs, evidence)
        least, most = Fraction(inputs["least"]), Fraction(inputs["most"])
        seconds = max(least, evidence.measured.get("seconds", least))
        if most < seconds and (inputs.get("capped") or seconds <= most + SLACK_SECONDS):
            seconds = most
        return Micros(inputs.get("base", 0) + round_up(Fraction(inputs["rate"]) * seconds))


def _of_measured(inputs: dict[str, Any], evidence: Evidence) -> Micros:
    """Return the price of what was measured before, or of what came if that is longer."""
    came = evidence.measured.get("seconds", Fraction(0))
    if inputs["capped"] or came <= Fraction(inputs["seconds"]) + SLACK_SECONDS:
        return Micros(inputs["price"])
    return round_up(Fraction(inputs["rate"]) * came)


def at(body: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None where there is none or a part is no object."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def choice_of(
    body: dict[str, Any], path: str, among: Iterable[str], *, default: str | None = None
) -> str:
    """Return a word of the request in lower case, or raise InvalidRequest naming it."""
    value = at(body, path)
    if value is None:
        value = default
    words = {word.lower() for word in among}
    if not isinstance(value, str) or value.lower() not in words:
        named = f"{value[:100]!r} has no price here. " if isinstance(value, str) else ""
        raise InvalidRequest(f"{named}{path} must be one of {', '.join(sorted(words))}.")
    return value.lower()


def count(
    body: dict[str, Any], path: str, *, least: int, most: int, default: int | None = None
) -> int:
    """Return a whole number of the request, which may be a text, or raise InvalidRequest."""
    value = at(body, path)
    if value is None:
        value = default
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"{path} must be a whole number from {least} to {most}.")
    return value


def one_only(body: dict[str, Any], *inside: str, counted: str = "") -> None:
    """Raise InvalidRequest for a field that would have the vendor make, and bill, several.

    `counted`: the path of the one that its rule counts.
    """
    for path in ("", *inside):
        held = at(body, path) if path else body
        for name in MULTIPLIERS if isinstance(held, dict) else ():
            is_one = held.get(name) in (None, 1, "1") and held.get(name) is not True
            if not is_one and f"{path}.{name}".lstrip(".") != counted:
                raise InvalidRequest(f"{name} has no price here: it must be 1.")


def only(body: dict[str, Any], names: Iterable[str], where: str = "") -> None:
    """Raise InvalidRequest for a field beside those: nobody knows what it costs."""
    known = frozenset(names)
    for name, value in body.items():
        if name not in known and value is not None:
            told = f"{where}.{name[:100]}" if where else name[:100]
            raise InvalidRequest(f"{told} has no price here. Please leave it out.")


def model_of(body: dict[str, Any], among: Iterable[str], path: str = "model") -> str:
    """Return the model that a request names, as it is written, or raise InvalidRequest."""
    value, models = at(body, path), list(among)
    if not isinstance(value, str) or value not in models:
        named = f"{value[:100]!r} has no price here. " if isinstance(value, str) else ""
        choices = f"one of {', '.join(models)}" if len(models) < MANY else "one that a node offers"
        raise InvalidRequest(f"{named}{path} must be {choices}.")
    return value
