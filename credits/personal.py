"""What money knows of people (common/personal.py); how it forgets them is in leaving.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db.models import Q
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from common.personal import Fate, Kept, Known, Person, oldest
from credits.models import Finding, StripeEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django_stubs_ext import StrOrPromise

BOOKS: Final = gettext_lazy(
    "amounts under numbers that are nobody's any more, which the law has us keep."
)


def _wallet(column: str = "wallet_id") -> Callable[[Person], Q]:
    return lambda person: Q(**{f"{column}__in": person.workspaces})


def _book(model: str, what: StrOrPromise, column: str, *shown: str) -> Known:
    return Known(
        model,
        Fate.PSEUDONYM,
        format_lazy("{}: {}", what, BOOKS),
        whose=_wallet(column),
        shown=shown,
    )


def _about_nobody(model: str, why: str, *harmless: str) -> Known:
    return Known(model, Fate.NOTHING, why, harmless=frozenset(harmless))


KNOWN = (
    Known(
        "credits.Billing",
        Fate.BLANKED,
        gettext_lazy(
            "Your address and your number at the payment provider, where you are deleted, too."
        ),
        whose=_wallet("wallet_id"),
        shown=("wallet_id", "email", "customer_id", "low_balance_micros"),
    ),
    Known(
        "credits.AutoTopUp",
        Fate.DELETED,
        gettext_lazy("Your saved card and the automatic top-up by it."),
        whose=_wallet("wallet_id"),
        shown=(
            "enabled", "threshold_micros", "amount_micros", "monthly_cap_micros", "method_label",
            "last_failure", "last_failure_at", "created_at",
        ),
    ),
    Known(
        "credits.SetupPage",
        Fate.DELETED,
        gettext_lazy("Pages on which you saved a card."),
        whose=_wallet("wish_id"),
        shown=("created_at",),
    ),
    Known(
        "credits.StripeEvent",
        Fate.BLANKED,
        gettext_lazy(
            "What the payment provider told us: numbers and states stay, names and addresses are "
            "taken out as soon as it was acted upon. Deleted when their time is over."
        ),
    ),
    _book("credits.Account", gettext_lazy("Your wallet"), "id",
          "id", "balance_micros", "paid_micros", "created_at"),
    _book("credits.Lot", gettext_lazy("What you bought or were given"), "wallet_id",
          "entry_id", "kind", "amount_micros", "left_micros", "expires_at"),
    Known(
        "credits.Entry",
        Fate.PSEUDONYM,
        gettext_lazy(
            "Every movement of credits: amounts under numbers that are nobody's any more, which "
            "the law has us keep. The number of a payment at the payment provider is part of its "
            "name, and a digest of the mailbox is where welcome credits were given, so that they "
            "are given once. A reason that staff wrote into one cannot be changed."
        ),
        whose=lambda person: Q(debit_id__in=person.workspaces) | Q(credit_id__in=person.workspaces),
        shown=("id", "kind", "debit_id", "credit_id", "amount_micros", "facts", "created_at"),
    ),
    _book("credits.Seal", gettext_lazy("The chain that proves them"),
          "wallet_id", "position", "entry_id", "at",
          "balance_micros"),
    _book("credits.GrantedLeft", gettext_lazy("A sum of them"), "wallet_id", "micros"),
    _book("credits.Carried", gettext_lazy("A sum of them"),
          "account_id", "balance_micros", "paid_micros"),
    Known(
        "credits.TopUp",
        Fate.PSEUDONYM,
        gettext_lazy(
            "Your purchases: amounts under numbers that are nobody's any more, which the law has "
            "us keep. The addresses of pages and receipts are taken out."
        ),
        whose=_wallet("wallet_id"),
        shown=(
            "id", "source", "state", "amount_micros", "tax_cents", "receipt_url", "invoice_url",
            "failure", "created_at", "credited_at",
        ),
    ),
    _book("credits.Refund", gettext_lazy("Money back"), "top_up__wallet_id",
          "id", "top_up_id", "state", "cents", "tax_cents", "reason", "created_at"),
    _book("credits.RefundAsk", gettext_lazy("Money back that a second person of staff decided on"),
          "top_up__wallet_id", "amount_micros", "reason", "state", "decision", "created_at"),
    _book("credits.Dispute", gettext_lazy("Payments that were contested"), "top_up__wallet_id",
          "id", "top_up_id", "status", "reason", "cents", "created_at", "closed_at"),
    _book("credits.Receivable", gettext_lazy("What was due"), "wallet_id",
          "amount_micros", "paid_micros", "waived_micros", "created_at"),
    _book("credits.Adjustment", gettext_lazy("What staff gave or took"), "wallet_id",
          "amount_micros", "reason", "state", "decision", "created_at"),
    _book("credits.VoucherUse", gettext_lazy("Vouchers that you redeemed"), "wallet_id",
          "voucher_id", "created_at"),
    _book("credits.Freeze", gettext_lazy("Pauses of your wallet"), "wallet_id",
          "cause", "sentence", "created_at", "lifted_at", "lift_reason"),
    _book("credits.Finding", gettext_lazy("What staff looked at"), "wallet_id",
          "kind", "sentence", "created_at", "resolved_at", "resolution"),
    Known(
        "credits.VoucherTry",
        Fate.DELETED,
        gettext_lazy("Codes that did not fit."),
        whose=_wallet("wallet_id"),
        shown=("created_at",),
    ),
    Known(
        "credits.Hold",
        Fate.PASSES,
        gettext_lazy("What is set aside for a call that runs; nobody is erased before it ended."),
        whose=_wallet("account_id"),
        shown=("amount_micros", "placed_at", "expires_at"),
    ),
    Known(
        "credits.Allowance",
        Fate.DELETED,
        gettext_lazy("How much might be spent, by you or in a workspace of yours."),
        whose=lambda person: _limits(person),
        shown=("owner_kind", "period", "limit_micros", "set_at"),
    ),
    Known(
        "credits.Budget",
        Fate.DELETED,
        gettext_lazy("How much of it was spent."),
        whose=lambda person: _limits(person),
        shown=("owner_kind", "period", "starts_at", "limit_micros", "taken_micros"),
    ),
    _about_nobody("credits.Voucher", "A code and what it gives; who made it is a number.",
                  "name", "reason", "made_by", "approved_by", "disabled_by", "disabled_reason"),
    _book("credits.Move", gettext_lazy("That your wallet moved to other machines"), "wallet_id",
          "direction", "state", "other_address", "balance_micros", "created_at", "ended_at"),
    _about_nobody("credits.Cell", "What this cell is called.", "address"),
    _about_nobody("credits.Process", "A program that sets money aside."),
    _about_nobody("credits.Tally", "Sums of all entries together."),
    _about_nobody("credits.DaySum", "Sums of all entries together."),
    _about_nobody("credits.Proof", "When books were proved, and which checks found something."),
    _about_nobody("credits.Watermark", "Up to when a listing was read.", "name"),
)  # fmt: skip


def _limits(person: Person) -> Q:
    whose = Q(pk__in=[])
    for place in person.workspaces:
        whose |= Q(owner__startswith=str(place))
    for place in person.others:
        whose |= Q(owner_kind="member", owner=f"{place}/{person.id}")
    return whose


def _forget_events(before: datetime, most: int) -> int:
    old = StripeEvent.objects.filter(processed_at__isnull=False, received_at__lt=before)
    return StripeEvent.objects.filter(pk__in=oldest(old, most)).delete()[0]


def _forget_findings(before: datetime, most: int) -> int:
    old = Finding.objects.filter(resolved_at__lt=before)
    return Finding.objects.filter(pk__in=oldest(old, most)).delete()[0]


KEPT = (Kept("payment_events", _forget_events), Kept("findings", _forget_findings))
