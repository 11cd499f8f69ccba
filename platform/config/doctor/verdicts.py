"""What a look says: fine, to be mended soon, or broken; and what to do about it. Never a secret."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_SECRET = 8
"""What is shorter is no secret, and would be found in every other word."""


class State(enum.Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and an operator should know."""
    FAILED = "failed"
    """Something that members or money depend on does not work."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one thing that was looked at."""

    check: str
    state: State
    sentence: str
    do: str = ""
    """What the operator is to do; empty where nothing is to be done."""


def ok(check: str, sentence: str) -> Verdict:
    """Say that it is as it should be."""
    return Verdict(check, State.OK, sentence)


def warning(check: str, sentence: str, do: str) -> Verdict:
    """Say what should be otherwise, and what to do."""
    return Verdict(check, State.WARNING, sentence, do)


def failed(check: str, sentence: str, do: str) -> Verdict:
    """Say what is broken, and what to do."""
    return Verdict(check, State.FAILED, sentence, do)


def without_secrets(verdict: Verdict) -> Verdict:
    """Cover whatever of our secrets got into the sentences, as part of an error's text."""
    sentence, do = verdict.sentence, verdict.do
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        sentence, do = sentence.replace(secret, "***"), do.replace(secret, "***")
    return replace(verdict, sentence=sentence, do=do)


def _secrets() -> Iterator[str]:
    found: list[str] = [
        settings.SECRET_KEY,
        *settings.SECRET_KEY_FALLBACKS,
        str(settings.DATABASES["default"]["PASSWORD"]),
        settings.METRICS_TOKEN,
        settings.STRIPE_API_KEY,
        *settings.STRIPE_WEBHOOK_SECRETS,
        settings.EMAIL_HOST_PASSWORD,
        *(pepper.hex() for pepper in settings.KEY_PEPPERS.values()),
        *(v for name, v in settings.VENDOR_SETTINGS.items() if not name.endswith("_BASE_URL")),
        unquote(urlsplit(settings.CELERY_BROKER_URL).password or ""),
        *(v for v in settings.CELERY_BROKER_TRANSPORT_OPTIONS.values() if isinstance(v, str)),
    ]
    return (secret for secret in found if len(secret) >= SHORTEST_SECRET)
