"""What would make several of a thing: at every operation it is counted, refused, or not sent.

The words are those that vendors anywhere have for it. Each is put beside the others of a recorded
request, and into the objects in which vendors keep their settings.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from sample_calls import SAMPLES, Sample, found, put
from test_samples import asked_of

from common.errors import PlatformError
from proxy.pricing import Flat
from proxy.pricing.shapes import MULTIPLIERS, One

SETTINGS = ("input", "parameters", "settings", "options", "generation_config")
"""Objects beside which, and within which, vendors have said how many."""
WANTED = 3
GONE = {"moonvalley/prompts/text-to-video", "moonvalley/prompts/image-to-video",
        "moonvalley/prompts/video-to-video"}  # fmt: skip
"""The service has ended."""
AS_IT_CAME = {
    f"bfl/{model}/generate"
    for model in (
        "flux-pro-1.1-ultra", "flux-pro-1.1", "flux-kontext-pro", "flux-kontext-max",
        "flux-pro-1.0-fill", "flux-pro-1.0-expand", "flux-pro-1.0-canny", "flux-pro-1.0-depth",
    )
}  # fmt: skip
"""One picture each, by BFL's OpenAPI, whatever is sent: its body is not even read."""
FIRST = {sample.operation.path: sample for sample in reversed(SAMPLES)}
CASES = [
    pytest.param(sample, id=path)
    for path, sample in sorted(FIRST.items())
    if path not in GONE | AS_IT_CAME and sample.operation.names is None
]


def places(sample: Sample) -> list[str]:
    """Return where how many might be said."""
    body = sample.entry["body"] or {}
    inside = [name for name in SETTINGS if isinstance(body.get(name), dict)]
    return ["", *(f"{name}." for name in inside)]


def quoted(sample: Sample, body: dict) -> tuple[int, dict | None]:
    """Return the most that it costs, and what of it is sent."""
    asked = asked_of(sample, body)
    try:
        quote = asyncio.run(sample.operation.price.quote(asked))
        prepare = sample.operation.prepare
        sent = prepare(asked, quote.inputs) if prepare is not None else None
        return quote.most, asked.body if sent is None else sent
    finally:
        if asked.form is not None:
            asked.form.close()


@pytest.mark.parametrize("sample", CASES)
def test_how_many_is_counted_refused_or_not_sent(sample):
    body = sample.entry["body"] or {}
    one, _ = quoted(sample, body)
    for place in places(sample):
        for word in MULTIPLIERS:
            at = f"{place}{word}"
            try:
                most, sent = quoted(sample, put(body, at, WANTED))
            except PlatformError:
                continue  # In a sentence: `test_any_words.py` looks at those.
            is_counted = most > one
            is_sent = sent is not None and (
                found(sent, at) != ["missing"] or f'"{word}"' in json.dumps(sent)
            )
            assert is_counted or not is_sent, f"{at} goes to the vendor, and costs nothing more"


def test_what_is_sent_as_it_came_costs_the_same_whatever_it_says():
    for path in AS_IT_CAME:
        price = FIRST[path].operation.price
        assert isinstance(price, Flat)
        assert not isinstance(price, One)
