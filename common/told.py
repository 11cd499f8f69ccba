"""Sentences of ours that rows keep: written in English, shown in the language of whoever looks.

A worker writes why a purchase failed, long before somebody reads it. Such a sentence is marked
where it is written, by `gettext_noop`; one with figures by `kept`, and is found by its words again.
"""

from __future__ import annotations

import functools
import re

from django.utils import translation

_KEPT: list[str] = []
NAMED = re.compile(r"%\((\w+)\)s")


def kept(message: str) -> str:
    """Mark a message that is kept with its figures; return it."""
    _KEPT.append(message)
    return message


def told(sentence: str) -> str:
    """Return a kept sentence in the language of now; what is not of ours stays as it is."""
    if not sentence:
        return ""  # The message that is empty is the catalogue's own head.
    known = translation.gettext(sentence)
    if known != sentence:
        return known
    for pattern, message in _patterns(len(_KEPT)):
        if found := pattern.fullmatch(sentence):
            parts = {name: translation.gettext(part) for name, part in found.groupdict().items()}
            return translation.gettext(message) % parts
    return sentence


@functools.lru_cache(maxsize=1)
def _patterns(_count: int) -> list[tuple[re.Pattern[str], str]]:
    """Return each message that may be kept with figures, and what its sentences look like."""
    return [(re.compile(_pattern(each), re.DOTALL), each) for each in _KEPT]


def _pattern(message: str) -> str:
    parts = NAMED.split(message)  # Words and names in turn.
    return "".join(
        f"(?P<{part}>.+?)" if at % 2 else re.escape(part.replace("%%", "%"))
        for at, part in enumerate(parts)
    )
