"""Settings: secrets that are some, debugging off, our own host allowed, Django's own checks."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.db.models import Count
from django.http.request import validate_host

from apikeys import keys
from config.doctor.verdicts import Verdict, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_TOKEN = 16
HARDER_TO_PACK = 0.75
"""Chance does not get shorter; what is packed to less of its length repeats itself."""


def look() -> Iterator[Verdict]:
    """Look at what needs nothing but the settings; those that nobody may have stop every start."""
    yield from _secrets()
    yield from _debug()
    yield from _hosts()
    is_deployed = settings.PUBLIC_URL.startswith("https://")  # Else that is told, and is the cause.
    found = checks.run_checks(include_deployment_checks=is_deployed)
    loud = [each for each in found if not each.is_silenced()]
    for each in loud:
        judge = failed if each.level >= checks.ERROR else warning
        yield judge("django", f"{each.id}: {each.msg}", each.hint or "See its documentation.")
    if not loud:
        yield ok("django", "Its own checks find nothing.")


def _secrets() -> Iterator[Verdict]:
    named = {"SECRET_KEY": settings.SECRET_KEY.encode()}
    named |= {f"KEY_PEPPERS, version {v}": pepper for v, pepper in settings.KEY_PEPPERS.items()}
    weak = [name for name, secret in named.items() if not _is_of_chance(secret)]
    for name in weak:
        do = "Make a new one by chance; .env.example says how. A new pepper is a version more."
        yield failed("secrets", f"{name} repeats itself: it can be guessed.", do)
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < SHORTEST_TOKEN:
        sentence = f"METRICS_TOKEN has fewer than {SHORTEST_TOKEN} characters."
        yield warning(
            "secrets", sentence, "python3 -c 'import secrets; print(secrets.token_hex())'"
        )
    elif not weak:
        yield ok("secrets", "They are long, and of chance.")


def _is_of_chance(secret: bytes) -> bool:
    return len(zlib.compress(secret, 9)) >= len(secret) * HARDER_TO_PACK


def _debug() -> Iterator[Verdict]:
    if settings.DEBUG:
        judge = failed if settings.PUBLIC_URL else warning
        sentence = "DEBUG is on: whoever meets an error reads our settings and code."
        yield judge("debug", sentence, "Set DEBUG=0.")
    else:
        yield ok("debug", "It is off.")


def _hosts() -> Iterator[Verdict]:
    allowed, own = settings.ALLOWED_HOSTS, urlsplit(settings.PUBLIC_URL).hostname or ""
    if own and not validate_host(own, allowed):
        sentence = f"{own} of PUBLIC_URL is not in ALLOWED_HOSTS: every request there is refused."
        yield failed("hosts", sentence, f"Set ALLOWED_HOSTS={own}")
    elif "*" in allowed:
        sentence = "ALLOWED_HOSTS is *: whatever Host somebody invents is taken for ours."
        do = f"Set ALLOWED_HOSTS={own}" if own else "Set it to the names that clients ask for."
        yield warning("hosts", sentence, do)
    elif not allowed:
        yield failed("hosts", "ALLOWED_HOSTS is empty: every request is refused.", "Set it.")
    else:
        yield ok("hosts", f"Requests are taken for {', '.join(allowed)}.")


def look_at_keys() -> Iterator[Verdict]:
    """Look for living keys that nobody can use, because their pepper is gone."""
    lost = keys.living().exclude(pepper_version__in=settings.KEY_PEPPERS)
    found = lost.values("pepper_version").annotate(number=Count("id")).order_by("pepper_version")
    for row in found:
        version = row["pepper_version"]
        sentence = f"{row['number']} keys were made with pepper {version}, which is not there."
        do = f"Put version {version} back into KEY_PEPPERS, or revoke them (manage.py keys)."
        yield failed("keys", sentence, do)
    if not found:
        yield ok("keys", "Every living key can be recognised.")
