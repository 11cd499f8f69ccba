"""Secrets of which several are known at a time, while one takes over from another.

    next --> makes --> still known --> dropped

`*_NEXT` is known by all processes before the first of them makes anything with it; what the old one
made is good until that is dropped. So machines may be restarted one by one (docs/rotating.md).
"""

from __future__ import annotations

from django.conf import settings

from common.cached import from_settings


@from_settings
def pepper() -> int:
    """Return the version of the pepper that makes new digests and boxes: the newest but `next`."""
    return max(version for version in settings.KEY_PEPPERS if version != settings.KEY_PEPPER_NEXT)


@from_settings
def peppers() -> tuple[int, ...]:
    """Return all versions: the one that makes, then the others, the newest first."""
    others = sorted(settings.KEY_PEPPERS.keys() - {pepper()}, reverse=True)
    return pepper(), *others


@from_settings
def secret_keys() -> tuple[bytes, ...]:
    """Return every SECRET_KEY whose signatures are good; the first one makes new ones."""
    return tuple(key.encode() for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
