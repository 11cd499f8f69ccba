"""What waits for a second person; refunds, disputes, vouchers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django import forms
from django.conf import settings
from django.shortcuts import render
from django.urls import reverse

from accounts.models import User
from common.errors import NotFound
from common.money import Micros, show
from credits.gifts import adjustments, vouchers
from credits.models import Adjustment, Dispute, Refund, RefundAsk, Voucher
from credits.payments import refund_asks
from dashboard.forms import DollarsField
from desk.roles import Right
from staff import customers
from staff.pages import About, ReasonForm, SureForm, act, page, who

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest, HttpResponse

MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that a second person must decide."""

    kind: str
    id: UUID
    amount: int
    what: str
    customer: Any
    reason: str
    by: UUID | None
    at: datetime
    accept: str
    refuse: str


@page(Right.READ)
def money(request: HttpRequest) -> HttpResponse:
    """Show what waits, and what went back or was contested lately."""
    waiting = sorted(_waiting(), key=lambda each: each.at)
    recent = Refund.objects.select_related("top_up__wallet__workspace__personal_of")
    contested = Dispute.objects.select_related("top_up__wallet__workspace__personal_of")
    shown = {
        "waiting": waiting,
        "names": names_of({each.by for each in waiting}),
        "me": who(request),
        "limit": show(settings.ADJUSTMENT_LIMIT_MICROS),
        "refunds": [
            (each, customers.name_of(each.top_up.wallet.workspace))
            for each in recent.order_by("-created_at")[:MOST]
        ],
        "disputes": [
            (each, customers.name_of(each.top_up.wallet.workspace))
            for each in contested.order_by("closed_at", "-created_at")[:MOST]
        ],
    }
    return render(request, "staff/money.html", shown)


def _waiting() -> Any:
    adjusted = Adjustment.objects.filter(state=Adjustment.State.WAITING)
    for one in adjusted.select_related("wallet__workspace__personal_of"):
        yield Waiting(
            "Gift" if one.is_gift else "Adjustment", one.pk, one.amount_micros,
            customers.name_of(one.wallet.workspace), one.wallet_id, one.reason, one.requested_by,
            one.created_at, *_links("adjustment", one.pk),
        )  # fmt: skip
    asked = RefundAsk.objects.filter(state=RefundAsk.State.WAITING)
    for ask in asked.select_related("top_up__wallet__workspace__personal_of"):
        yield Waiting(
            "Refund, wanted by its member" if ask.by_member else "Refund", ask.pk,
            ask.amount_micros, customers.name_of(ask.top_up.wallet.workspace),
            ask.top_up.wallet_id, ask.reason, ask.requested_by, ask.created_at,
            *_links("refund_ask", ask.pk),
        )  # fmt: skip
    for made in Voucher.objects.filter(vouchers.WAITING):
        yield Waiting(
            "Voucher", made.pk, made.amount_micros * made.uses, f"{made.name}, {made.uses} uses",
            None, made.reason, made.made_by, made.created_at, *_links("voucher", made.pk),
        )  # fmt: skip


def _links(kind: str, pk: UUID) -> tuple[str, str]:
    return (
        reverse(f"staff:accept_{kind}", kwargs={"pk": pk}),
        reverse(f"staff:refuse_{kind}", kwargs={"pk": pk}),
    )


def names_of(ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Return what people are called, by their ids."""
    found = User.objects.filter(pk__in=[each for each in ids if each])
    return {user.pk: user.name or user.email for user in found}


# --- Deciding -----------------------------------------------------------------------------------


def _about_waiting(pk: UUID) -> About:
    for each in _waiting():
        if each.id == pk:
            facts = [
                (each.kind, show(Micros(each.amount))),
                ("For", each.what),
                ("Reason", each.reason),
            ]
            return About("Money", reverse("staff:money"), facts)
    return About("Money", reverse("staff:money"), [("It", "was decided already")])


@act(Right.DECIDE, title="Accept it?", button="Accept", about=_about_waiting, form=SureForm)
def accept_adjustment(request: HttpRequest, given: dict[str, Any], pk: UUID) -> str:
    """Post what waits, as a second person."""
    made = adjustments.decide(pk, accept=True, decided_by=who(request))
    return f"It is {made.state}."


@act(Right.DECIDE, title="Refuse it?", button="Refuse", about=_about_waiting)
def refuse_adjustment(request: HttpRequest, given: dict[str, Any], pk: UUID) -> str:
    """Refuse what waits."""
    made = adjustments.decide(pk, accept=False, decided_by=who(request), reason=given["reason"])
    return f"It is {made.state}."


@act(Right.DECIDE, title="Accept it?", button="Accept", about=_about_waiting, form=SureForm)
def accept_refund_ask(request: HttpRequest, given: dict[str, Any], pk: UUID) -> str:
    """Give the money back, as a second person."""
    made = refund_asks.decide(pk, accept=True, decided_by=who(request))
    return f"The refund is {made.state}."


@act(Right.DECIDE, title="Refuse it?", button="Refuse", about=_about_waiting)
def refuse_refund_ask(request: HttpRequest, given: dict[str, Any], pk: UUID) -> str:
    """Refuse a refund that waits."""
    made = refund_asks.decide(pk, accept=False, decided_by=who(request), reason=given["reason"])
    return f"The refund is {made.state}."


@act(Right.DECIDE, title="Accept it?", button="Accept", about=_about_waiting, form=SureForm)
def accept_voucher(request: HttpRequest, given: dict[str, Any], pk: UUID) -> str:
    """Let a voucher be redeemed, as a second person."""
    changed = vouchers.approve(pk, by=who(request))
    return "It can be redeemed." if changed else "It did not wait."


@act(Right.DECIDE, title="Refuse it?", button="Refuse", about=_about_waiting)
def refuse_voucher(request: HttpRequest, given: dict[str, Any], pk: UUID) -> str:
    """Refuse a voucher that waits: nobody can redeem it."""
    vouchers.stop(pk, by=who(request), reason=given["reason"])
    return "Nobody can redeem it."


# --- Vouchers -----------------------------------------------------------------------------------


@page(Right.READ)
def voucher_list(request: HttpRequest) -> HttpResponse:
    """Show the vouchers, the newest first."""
    found = list(Voucher.objects.order_by("-created_at", "id")[:200])
    names = names_of({each.made_by for each in found})
    rows = [(each, vouchers.told(each), names.get(each.made_by, "")) for each in found]  # type: ignore[arg-type]
    return render(request, "staff/vouchers.html", {"vouchers": rows})


class VoucherForm(ReasonForm):
    """What a code gives, how often, and until when."""

    name = forms.CharField(label="Name", max_length=vouchers.MOST_NAME)
    amount = DollarsField(label="Credits for each use", least="0.000001")
    uses = forms.IntegerField(label="Uses", min_value=1, max_value=vouchers.MOST_USES, initial=1)
    until = forms.DateField(
        label="Last day to redeem it (UTC)",
        required=False,
        widget=forms.DateInput({"type": "date"}),
    )
    days = forms.IntegerField(
        label="Days that its credits last",
        required=False,
        min_value=1,
        max_value=vouchers.MOST_DAYS,
        help_text="Empty: they do not expire.",
    )
    field_order = ("name", "amount", "uses", "until", "days", "reason")


def about_vouchers() -> About:
    """Return what making one is about."""
    return About("Vouchers", reverse("staff:vouchers"))


@act(
    Right.DECIDE, title="Make a voucher", button="Make the voucher", about=about_vouchers,
    form=VoucherForm, lead="Its code is shown once. What could give more than the limit waits.",
)  # fmt: skip
def make_voucher(request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
    """Make a code, which is readable only in this answer."""
    until = given["until"]
    code, made = vouchers.make(
        name=given["name"],
        amount=given["amount"],
        uses=given["uses"],
        redeem_until=datetime.combine(until, time(), UTC) + timedelta(days=1) if until else None,
        credits_last_days=given["days"],
        made_by=who(request),
        reason=given["reason"],
    )
    return render(request, "staff/voucher_made.html", {"code": code, "made": made})


def about_voucher(voucher_id: UUID) -> About:
    """Return what stopping one is about."""
    found = Voucher.objects.filter(pk=voucher_id).first()
    if found is None:
        raise NotFound("There is no such voucher.")
    facts = [
        ("Voucher", f"{found.name}, ending in {found.hint}"),
        ("Used", f"{found.used} of {found.uses}"),
        ("Credits", show(Micros(found.amount_micros))),
    ]
    return About("Vouchers", reverse("staff:vouchers"), facts)


@act(
    Right.DECIDE, title="Stop a voucher", button="Stop the voucher", about=about_voucher,
    lead="Nobody redeems it any more. What was given stays given.", is_grave=True,
)  # fmt: skip
def stop_voucher(request: HttpRequest, given: dict[str, Any], voucher_id: UUID) -> str:
    """Let nobody redeem it any more."""
    changed = vouchers.stop(voucher_id, by=who(request), reason=given["reason"])
    return "Nobody redeems it any more." if changed else "It was stopped before."
