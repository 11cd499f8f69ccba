"""Secrets that are long overdue, and old ones that nothing needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min
from django.utils import timezone

from accounts import signingkeys
from accounts.models import SigningKey
from common import rotating
from config import rotation
from config.doctor.verdicts import Verdict, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from config.rotation import Secret

NAMES: Final[dict[Secret, str]] = {"pepper": "KEY_PEPPERS", "secret-key": "SECRET_KEY"}


def look() -> Iterator[Verdict]:
    """Say for each secret of ours how old it is, and what an old one is still kept for."""
    found = [*_begun(), *_old(), *_kept(), *_signing()]
    yield from found or [ok("rotation", "No secret is overdue, and none is kept in vain.")]


def _begun() -> Iterator[Verdict]:
    if settings.KEY_PEPPER_NEXT is not None:
        sentence = f"Pepper {settings.KEY_PEPPER_NEXT} is known, and makes nothing yet."
        yield warning("rotation", sentence, "Once every program knows it: manage.py rotate use.")
    if settings.SECRET_KEY_NEXT:
        sentence = "The next SECRET_KEY is known, and makes nothing yet."
        yield warning("rotation", sentence, "Once every program knows it: manage.py rotate use.")


def _old() -> Iterator[Verdict]:
    first = MigrationRecorder.Migration.objects.aggregate(at=Min("applied"))["at"]
    for secret, name in NAMES.items():
        since: datetime = rotation.used_at(secret) or first
        if since + rotation.A_YEAR < timezone.now():
            sentence = f"{name} is the same since {since:%Y-%m-%d}, longer than a year."
            yield warning(
                "rotation", sentence, f"manage.py rotate begin {secret}, docs/rotating.md."
            )


def _kept() -> Iterator[Verdict]:
    older = [each for each in rotating.peppers() if each < rotating.pepper()]
    if older:
        named, waiting = ", ".join(map(str, older)), rotation.keys_of_older_peppers()
        if waiting:
            sentence = f"Older peppers ({named}) are kept for {waiting} keys, unused since."
            do = "Wait until they are used, or manage.py rotate drop pepper --abandon."
        else:
            sentence, do = f"No key needs older peppers ({named}).", "manage.py rotate drop pepper."
        yield warning("rotation", sentence, do)
    at = rotation.used_at("secret-key")
    if at and rotation.older_secret_keys() and at + rotation.signed_for() < timezone.now():
        sentence = "Nothing that is good was signed by SECRET_KEY_FALLBACKS any more."
        yield warning("rotation", sentence, "manage.py rotate drop secret-key.")


def _signing() -> Iterator[Verdict]:
    newest = SigningKey.objects.order_by("number").last()
    if newest and newest.signs_at + signingkeys.SIGNS_FOR + signingkeys.AHEAD < timezone.now():
        sentence = (
            f"The key that signs tokens is of {newest.signs_at:%Y-%m-%d}: nobody made the next."
        )
        yield warning("rotation", sentence, "See whether beat and the queue `default` work.")
