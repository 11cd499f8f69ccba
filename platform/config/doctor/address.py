"""Where clients reach us: that it is said, is https, and leads here and nowhere else."""

from __future__ import annotations

import ipaddress
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings

from config.doctor import asking, database
from config.doctor.verdicts import Verdict, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

SET_IT = "Set PUBLIC_URL to where clients reach you, like https://credits.example.org."
NEEDED = ("database", "migrations", "encoding")
"""The fields of /ready without which a web process cannot serve."""


def look() -> Iterator[Verdict]:
    """Look at PUBLIC_URL, and ask there what a client would."""
    url = settings.PUBLIC_URL
    if not url:
        sentence = "PUBLIC_URL is empty: clients are sent to whatever Host they asked for."
        yield warning("public url", sentence, SET_IT)
        yield from _metrics_unasked()
        return
    yield _scheme(url)
    try:
        answer = asking.get(f"{url}/health")
    except asking.NoAnswer as exc:
        sentence = f"Nobody answers at {url}: {exc}."
        do = "Start the web process and the proxy before it, or mend PUBLIC_URL or its DNS."
        yield failed("reached", sentence, do)
        return
    yield _reached(url, answer)
    yield from _clock(answer)
    yield from _ready(url)
    yield from _metrics(url)


def _scheme(url: str) -> Verdict:
    if url.startswith("https://"):
        return ok("public url", f"It is {url}.")
    sentence = f"{url} is not https: keys and prompts pass in clear."
    do = "End TLS in a proxy before the web process, and set PUBLIC_URL to https://..."
    return (warning if _is_of_this_machine(url) else failed)("public url", sentence, do)


def _is_of_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reached(url: str, answer: asking.Answer) -> Verdict:
    if answer.status == 200 and answer.json() == {"status": "ok"}:
        return ok("reached", f"{url}/health is answered by a web process.")
    went = answer.headers.get("Location", "")
    said = f"{answer.status}, and leads to {went}" if went else f"{answer.status}"
    sentence = f"{url}/health answers {said}: that is not our web process."
    do = "Have the proxy pass every path on, and set PUBLIC_URL to what it answers without detour."
    return failed("reached", sentence, do)


def _clock(answer: asking.Answer) -> Iterator[Verdict]:
    try:
        there = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (TypeError, ValueError):
        return  # A web process alone does not say what time it is.
    yield database.difference("clock", there.timestamp() - time.time(), of="the proxy's")


def _ready(url: str) -> Iterator[Verdict]:
    try:
        answer = asking.get(f"{url}/ready")
    except asking.NoAnswer as exc:
        yield failed("ready", f"{url}/ready is not answered: {exc}.", "Look at its log.")
        return
    fields = answer.json()
    if "ready" not in fields:
        sentence = f"{url}/ready answers {answer.status}, and not what a web process says."
        yield warning("ready", sentence, "Have the proxy pass /ready on, or ask a web process.")
        return
    if not fields["ready"]:
        wrong = ", ".join(name for name in NEEDED if fields.get(name) is False)
        sentence = f"The web process that was asked cannot serve: {wrong}."
        yield failed("ready", sentence, "Look at its log; start it again when that is mended.")
    else:
        yield ok("ready", "The web process that was asked can serve.")
    if (told := fields.get("public_url", "fine")) != "fine":
        sentence = f"A web process that is asked at {url} would hand out other addresses: {told}"
        do = "Give web processes the same PUBLIC_URL, and have the proxy pass Host and scheme on."
        yield failed("ready", sentence, do)


def _metrics(url: str) -> Iterator[Verdict]:
    try:
        answer = asking.get(f"{url}/metrics")
    except asking.NoAnswer as exc:
        yield failed("metrics", f"{url}/metrics is not answered: {exc}.", "Look at its log.")
        return
    if answer.status == 200 and not _is_of_this_machine(url):
        sentence = f"{url}/metrics answers anybody: how much is sold is for all to read."
        yield failed("metrics", sentence, "Set METRICS_TOKEN for every web process.")
    else:
        yield from _metrics_unasked()


def _metrics_unasked() -> Iterator[Verdict]:
    if (
        settings.METRICS_TOKEN
        or not settings.PUBLIC_URL
        or _is_of_this_machine(settings.PUBLIC_URL)
    ):
        yield ok("metrics", "They are for whoever may read them.")
    else:
        sentence = "/metrics answers nobody, because a proxy stands before it."
        yield warning("metrics", sentence, "Set METRICS_TOKEN, and give it to Prometheus.")
