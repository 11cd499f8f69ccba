"""Charges as FOCUS has them: the FinOps Open Cost and Usage Specification, version 1.2.

Credits are bought before they are used. So a purchase is what is billed and has no effect on cost
yet, and a call is not billed again: its effective cost is what was charged (FOCUS 1.2, BilledCost
and EffectiveCost; its examples of prepaid agreements). Credits that were given have no purchase.

Null is an empty cell. Source: the specification's columns at tag v1.2; a test holds the table
against what it asks of each column.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db.models import Q

from common.money import MICROS_PER_CENT, MICROS_PER_USD
from credits.models import Refund, TopUp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from usage.history import Receipt

VERSION: Final = "1.2"
COLUMNS: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
    "Tags", "x_CallId", "x_KeyId", "x_MemberId", "x_PurchaseId", "x_RunId",
)  # fmt: skip
UNIT: Final = "Calls"
CREDITS: Final = "Prepaid credits"
AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed: a workspace. Its name is not in the file, which others may read."""

    id: str
    operator: str

    @classmethod
    def of(cls, workspace_id: UUID) -> Account:
        """Return that of a workspace."""
        return cls(str(workspace_id), settings.PLATFORM_NAME)

    def row(self, begins_at: datetime, ends_at: datetime, **given: Any) -> list[str]:
        """Return a row of all columns."""
        at = begins_at.astimezone(UTC)
        month = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        after = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        told = {
            "BillingAccountId": self.id,
            "BillingAccountType": "Workspace",
            "BillingCurrency": "USD",
            "BillingPeriodStart": _time(month),
            "BillingPeriodEnd": _time(after),
            "ChargePeriodStart": _time(at),
            "ChargePeriodEnd": _time(ends_at.astimezone(UTC)),
            "ProviderName": self.operator,
            "InvoiceIssuerName": self.operator,
            "ServiceCategory": "AI and Machine Learning",
            "ServiceSubcategory": "Generative AI",
            **given,
        }
        assert told.keys() <= set(COLUMNS), "each is a column"
        return ["" if told.get(name) is None else str(told[name]) for name in COLUMNS]


def usage(account: Account, call: Receipt) -> list[str]:
    """Return a call as a charge: one second long at the least, for its end is exclusive."""
    cost, sku = decimal(call.charged), f"{call.vendor}/{call.operation}"
    began = call.settled_at.replace(microsecond=0)
    return account.row(
        began,
        datetime.fromtimestamp(began.timestamp() + 1, UTC),
        BilledCost="0",
        EffectiveCost=cost,
        ListCost=cost,
        ContractedCost=cost,
        ListUnitPrice=cost,
        ContractedUnitPrice=cost,
        PricingCategory="Standard",
        PricingQuantity="1",
        PricingUnit=UNIT,
        ConsumedQuantity="1",
        ConsumedUnit=UNIT,
        ChargeCategory="Usage",
        ChargeFrequency="Usage-Based",
        ChargeDescription=f"Call of {call.title or call.operation}",
        PublisherName=call.vendor,
        ServiceName=call.vendor,
        SkuId=sku,
        SkuMeter=UNIT,
        SkuPriceId=f"{sku}@{call.price_version}",
        SkuPriceDetails=_details(call.inputs),
        Tags=json.dumps({"project": call.project}) if call.project else None,
        x_CallId=call.id,
        x_KeyId=call.key_id,
        x_MemberId=call.user_id,
        x_RunId=f"'{call.run}" if call.run[:1] in "=+-@\t\r" and call.run else call.run or None,
    )


def purchases(
    workspace_id: UUID, since: datetime | None, until: datetime | None
) -> Iterator[list[list[str]]]:
    """Yield what was bought and paid back in a time, with its taxes, some rows at a time."""
    account = Account.of(workspace_id)
    when = Q(credited_at__isnull=False)
    when &= Q(credited_at__gte=since) if since else Q()
    when &= Q(credited_at__lt=until) if until else Q()
    bought = TopUp.objects.filter(when, wallet=workspace_id).order_by("credited_at")
    for first in range(0, bought.count(), AT_ONCE):
        some = bought[first : first + AT_ONCE]
        yield [row for each in some for row in _bought(account, each)]
    within = Q(state=Refund.State.SUCCEEDED)
    within &= Q(created_at__gte=since) if since else Q()
    within &= Q(created_at__lt=until) if until else Q()
    back = Refund.objects.filter(within, top_up__wallet=workspace_id).order_by("created_at")
    for first in range(0, back.count(), AT_ONCE):
        some_back = back[first : first + AT_ONCE]
        yield [row for each in some_back for row in _returned(account, each)]


def _bought(account: Account, each: TopUp) -> Iterator[list[str]]:
    assert each.credited_at is not None, "only what was credited is read"
    tax = each.tax_cents * MICROS_PER_CENT
    yield _purchase(account, each.credited_at, each.amount_micros, f"{each.pk}")
    if tax:
        yield _tax(account, each.credited_at, tax, f"{each.pk}")


def _returned(account: Account, each: Refund) -> Iterator[list[str]]:
    tax, about = each.tax_cents * MICROS_PER_CENT, f"{each.top_up_id}"
    yield _purchase(account, each.created_at, tax - each.cents * MICROS_PER_CENT, about)
    if tax:
        yield _tax(account, each.created_at, -tax, about)


def _purchase(account: Account, at: datetime, amount: int, about: str) -> list[str]:
    cost, price = decimal(amount), decimal(abs(amount))
    quantity = "1" if amount >= 0 else "-1"
    return account.row(
        at.replace(microsecond=0),
        datetime.fromtimestamp(int(at.timestamp()) + 1, UTC),
        BilledCost=cost,
        EffectiveCost="0",
        ListCost=cost,
        ContractedCost=cost,
        ListUnitPrice=price,
        ContractedUnitPrice=price,
        PricingCategory="Standard",
        PricingQuantity=quantity,
        PricingUnit="Purchases",
        ChargeCategory="Purchase",
        ChargeFrequency="One-Time",
        ChargeDescription=CREDITS if amount >= 0 else f"{CREDITS}, paid back",
        PublisherName=account.operator,
        ServiceName=CREDITS,
        SkuId="credits",
        SkuMeter="Purchases",
        SkuPriceId="credits",
        x_PurchaseId=about,
    )


def _tax(account: Account, at: datetime, amount: int, about: str) -> list[str]:
    cost = decimal(amount)
    return account.row(
        at.replace(microsecond=0),
        datetime.fromtimestamp(int(at.timestamp()) + 1, UTC),
        BilledCost=cost,
        EffectiveCost=cost,
        ListCost=cost,
        ContractedCost=cost,
        ChargeCategory="Tax",
        ChargeFrequency="One-Time",
        ChargeDescription=f"Tax on {CREDITS.lower()}",
        PublisherName=account.operator,
        ServiceName=CREDITS,
        x_PurchaseId=about,
    )


def decimal(micros: int) -> str:
    """Return an amount as FOCUS writes numbers: -1.25."""
    whole, part = divmod(abs(micros), MICROS_PER_USD)
    text = f"{whole}.{part:06d}".rstrip("0").rstrip(".")
    return f"-{text}" if micros < 0 else text


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _details(inputs: dict[str, Any]) -> str | None:
    """Return of what the price was made; keys that FOCUS does not define begin with x_."""
    told = {
        f"x_{name}": value
        for name, value in inputs.items()
        if isinstance(value, str | int | float | bool)
    }
    return json.dumps(told) if told else None
