"""All that the apps say they know of people, and what each does when one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts import personal as accounts
from apikeys import personal as apikeys
from audit import personal as audit
from credits import personal as money
from desk import personal as desk
from outbox import personal as outbox
from prices import personal as prices
from privacy import personal as privacy
from proxy import personal as proxy
from runs import personal as runs
from uploads import personal as uploads
from usage import personal as usage
from webhooks import personal as webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.personal import Fate, Kept, Known

APPS = (
    accounts,
    apikeys,
    money,
    usage,
    uploads,
    proxy,
    runs,
    prices,
    desk,
    outbox,
    audit,
    webhooks,
    privacy,
)


def known() -> Iterator[Known]:
    """Yield what each table knows."""
    for app in APPS:
        yield from app.KNOWN


def kept() -> Iterator[Kept]:
    """Yield each kind of data that is not kept for ever."""
    for app in APPS:
        yield from getattr(app, "KEPT", ())


def by_fate(*fates: Fate) -> list[Known]:
    """Return the tables with one of some fates."""
    return [each for each in known() if each.fate in fates]
