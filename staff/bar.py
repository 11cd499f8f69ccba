"""The bar above every page of staff: who one is, where one may go, and what waits there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import connection
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from desk import roles
from desk.roles import Right

if TYPE_CHECKING:
    from django.http import HttpRequest

PLACES: Final = (
    # name of its address, what it is called, which right, which count
    ("staff:home", "Customers", Right.READ, ""),
    ("staff:money", "Money", Right.READ, "money"),
    ("staff:vouchers", "Vouchers", Right.READ, ""),
    ("staff:deletions", "Deletions", Right.READ, "deletions"),
    ("staff:vendors", "Vendors", Right.READ, "vendors"),
    ("staff:machines", "Machines", Right.READ, ""),
    ("staff:origins", "Origins", Right.READ, "origins"),
    ("staff:prices", "Prices", Right.READ, ""),
    ("staff:margin", "Margin", Right.READ, ""),
    ("staff:books", "Books", Right.READ, ""),
    ("staff:events", "Webhooks", Right.READ, "events"),
    ("staff:notices", "Notices", Right.READ, ""),
    ("staff:log", "Staff log", Right.RECORDS, ""),
    ("staff:tables", "Tables", Right.RECORDS, ""),
)
COUNTS: Final = """
    SELECT (SELECT count(*) FROM credits_adjustment WHERE state = 'waiting')
         + (SELECT count(*) FROM credits_voucher
             WHERE needs_second AND approved_by IS NULL AND disabled_at IS NULL)
         + (SELECT count(*) FROM credits_refundask WHERE state = 'waiting')
         + (SELECT count(*) FROM credits_dispute WHERE phase IN ('open', 'withdrawn')) AS money,
           (SELECT count(*) FROM privacy_deletion
             WHERE state IN ('asked', 'waiting', 'running')) AS deletions,
           (SELECT count(*) FROM proxy_vendorswitch) AS vendors,
           (SELECT count(*) FROM accounts_refusedorigin WHERE hidden_at IS NULL) AS origins,
           (SELECT count(*) FROM credits_finding WHERE resolved_at IS NULL) AS events
"""
"""What waits in each place, in one question."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of staff."""

    label: str
    url: str
    count: int
    is_here: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """Who acts, and where they may go."""

    name: str
    roles: list[str]
    places: list[Place]
    may: frozenset[Right]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of staff's pages names; nothing is asked where no page has it."""
    return {"bar": SimpleLazyObject(lambda: _bar(request))}


def _bar(request: HttpRequest) -> Bar:
    user: Any = request.user
    having = roles.rights(user)
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        counts = dict(
            zip([one.name for one in cursor.description], cursor.fetchone() or (), strict=True)
        )
    urls = [(reverse(name), label, counts.get(count, 0)) for name, label, right, count in PLACES
            if right in having]  # fmt: skip
    here = max((url for url, *_ in urls if request.path.startswith(url)), key=len, default="")
    return Bar(
        name=user.name or user.email,
        roles=roles.of(user),
        places=[Place(label, url, count, is_here=url == here) for url, label, count in urls],
        may=having,
    )
