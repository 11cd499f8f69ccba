"""What a workspace has bought, as its owner and staff read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, Sum
from django.utils.translation import gettext

from common.errors import InvalidRequest
from common.money import MICROS_PER_CENT, Micros
from credits.books import lots
from credits.models import Refund, TopUp

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase as it stands: what it was for, what went back, and what is unspent of it."""

    id: UUID
    state: TopUp.State
    is_automatic: bool
    amount: Micros
    tax: Micros
    refunded: Micros
    """With its share of the tax."""
    unspent: Micros
    checkout_url: str
    """Where to pay, while it is open."""
    receipt_url: str
    invoice_url: str
    failure: str
    created_at: datetime
    credited_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some purchases, newest first, and how many there are on all pages."""

    total: int
    purchases: list[Purchase]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which purchases; all if every field is empty. Times are inclusive, exclusive."""

    state: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def rows(self, workspace_id: UUID) -> QuerySet[TopUp]:
        """Return them, newest first."""
        named = {"state": self.state, "created_at__gte": self.since, "created_at__lt": self.until}
        given = {name: value for name, value in named.items() if value}
        return TopUp.objects.filter(wallet=workspace_id, **given).order_by("-created_at", "-id")


ALL = Wanted()


def page_of(workspace_id: UUID, *, page: int, limit: int, wanted: Wanted = ALL) -> Page:
    """Return one page (1-based) of a workspace's purchases."""
    found = wanted.rows(workspace_id)
    some = list(found[(page - 1) * limit : page * limit])
    return Page(found.count(), _read(workspace_id, some))


def older(
    workspace_id: UUID, *, than: UUID | None, limit: int, wanted: Wanted = ALL
) -> tuple[list[Purchase], UUID | None]:
    """Return the newest purchases that were begun before one, and which the next ones follow.

    Raises InvalidRequest if that one is none of the workspace's.
    """
    found = wanted.rows(workspace_id)
    if than is not None:
        one = TopUp.objects.filter(wallet=workspace_id, pk=than).first()
        if one is None:
            raise InvalidRequest(gettext("This cursor is of another list. Begin again without it."))
        before = Q(created_at__lt=one.created_at) | Q(created_at=one.created_at, id__lt=one.pk)
        found = found.filter(before)
    some = list(found[: limit + 1])
    rest = some[limit - 1].pk if len(some) > limit else None
    return _read(workspace_id, some[:limit]), rest


def _read(workspace_id: UUID, some: list[TopUp]) -> list[Purchase]:
    refunds = Refund.objects.filter(top_up__in=some).exclude(state=Refund.State.FAILED)
    sums = refunds.values("top_up_id").annotate(sum=Sum("cents"))
    refunded = {each["top_up_id"]: each["sum"] for each in sums}
    left = {lot.entry: lot.left for lot in lots.contents(workspace_id).lots}
    return [
        Purchase(
            id=each.pk,
            state=TopUp.State(each.state),
            is_automatic=each.source == TopUp.Source.AUTOMATIC,
            amount=Micros(each.amount_micros),
            tax=Micros(each.tax_cents * MICROS_PER_CENT),
            refunded=Micros(refunded.get(each.pk, 0) * MICROS_PER_CENT),
            unspent=left.get(each.entry_id or 0, Micros(0)),
            checkout_url=each.checkout_url if each.state == TopUp.State.OPEN else "",
            receipt_url=each.receipt_url,
            invoice_url=each.invoice_url,
            failure=each.failure,
            created_at=each.created_at,
            credited_at=each.credited_at,
        )
        for each in some
    ]
