"""Margin by vendor and day, and the exports by which vendors say what they ask of us.

Both are pages and, with `?format=json`, documents of the same figures.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from common.errors import InvalidRequest
from desk.roles import Right
from prices import bills, exports, margins
from prices.models import Bill, BilledCall
from proxy.vendors import catalogue
from staff.books import day_of
from staff.money import names_of
from staff.pages import About, ReasonForm, act, page, who
from staff.records import number as number_of

if TYPE_CHECKING:
    from django.http import HttpRequest

    from prices.margins import Margin

DAYS: Final = 14
MOST_BILLS: Final = 20
PAGE: Final = 100
MOST_IN_JSON: Final = 1_000
WORDS: Final = {
    "missing": "Missing here",
    "double": "Asked for twice",
    "different": "Asked more than was due",
    "unbilled": "Missing in the export",
    "matched": "Matched",
    "again": "Said before",
}
"""The verdicts, what must be looked at first."""


@page(Right.READ)
def margin(request: HttpRequest) -> HttpResponse:
    """Show what was charged against what vendors asked: by vendor, and by day of one of them."""
    today = timezone.now().date()
    first = day_of(request.GET.get("from"), today - timedelta(days=DAYS - 1))
    last = day_of(request.GET.get("to"), today)
    vendor = request.GET.get("vendor", "")[:32]
    found = margins.by_day(first, last, vendor=vendor)
    if request.GET.get("format") == "json":
        return JsonResponse({"from": first, "to": last, "days": [_told(each) for each in found]})
    shown = {
        "first": first,
        "last": last,
        "vendor": vendor,
        "vendors": margins.by_vendor(found),
        "days": found if vendor else [],
        "total": margins.total(found),
        "query": f"from={first}&to={last}&vendor={vendor}",
        "bills": Bill.objects.order_by("-pk")[:MOST_BILLS],
    }
    return render(request, "staff/margin.html", shown)


def _told(one: Margin) -> dict[str, Any]:
    return {**asdict(one), "margin": one.margin, "percent": one.percent}


# --- An export ----------------------------------------------------------------------------------


def _vendors() -> list[tuple[str, str]]:
    named = [(each.name, each.display) for each in catalogue().vendors.values()]
    return sorted(named, key=lambda each: each[1].lower())


class ExportForm(ReasonForm):
    """A vendor's file, and how it is to be read."""

    vendor = forms.ChoiceField(label="Vendor", choices=_vendors)
    file = forms.FileField(
        label="Usage export (CSV)",
        help_text="UTF-8, the first line names the columns. A larger one than 64 MB: "
        "manage.py prices import.",
    )
    request = forms.CharField(
        label="Column of the request id", max_length=60, required=False,
        help_text="Empty: request_id, job_id, id, or what is alike.",
    )  # fmt: skip
    cost = forms.CharField(
        label="Column of the cost", max_length=60, required=False,
        help_text="Empty: cost, amount, price, or what is alike.",
    )  # fmt: skip
    time = forms.CharField(label="Column of the time", max_length=60, required=False)
    dollars = forms.DecimalField(
        label="Dollars for one unit of the cost", initial=1, min_value=Decimal("0.000000001"),
        max_value=1000, max_digits=13, decimal_places=9, localize=False,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
        help_text="0.01 where the vendor counts in cents, or in credits of a cent.",
    )  # fmt: skip
    field_order = ("vendor", "file", "request", "cost", "time", "dollars", "reason")


def about_exports() -> About:
    """Return what bringing one in is about."""
    return About("Margin", reverse("staff:margin"))


@act(
    Right.PRICES, title="Bring in a vendor's export", button="Bring it in", about=about_exports,
    lead="Each request is matched with our call of it. A file is brought in whole, or not at all.",
    form=ExportForm,
)  # fmt: skip
def bring_in(request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
    """Match an export with our calls, and show what came of it."""
    form = exports.Form(given["request"], given["cost"], given["time"], given["dollars"])
    made = bills.bring_in(
        given["file"].file, vendor=given["vendor"], filename=given["file"].name or "", form=form,
        by=who(request), reason=given["reason"],
    )  # fmt: skip
    return redirect("staff:bill", number=made.pk)


@page(Right.READ)
def bill(request: HttpRequest, number: int) -> HttpResponse:
    """Show an export: how many requests have which verdict, and the requests of one."""
    found = bills.find(number)
    verdict = request.GET.get("verdict", "")
    if verdict and verdict not in WORDS:
        raise InvalidRequest(f"A verdict is one of {', '.join(WORDS)}.")
    sums = bills.sums(found)
    is_json = request.GET.get("format") == "json"
    most = MOST_IN_JSON if is_json else PAGE
    after = number_of(request.GET.get("after")) or 0
    if not (verdict or is_json):
        verdict = next((each for each in WORDS if each in sums), "")
    some = bills.page(found, verdict=verdict, after=after, most=most + 1)
    following = some[most - 1].pk if len(some) > most else None
    if is_json:
        return JsonResponse(_document(found, sums, some[:most], following))
    shown = {
        "bill": found,
        "sums": [(each, WORDS[each], *sums[each]) for each in WORDS if each in sums],
        "verdict": verdict,
        "heading": WORDS.get(verdict, ""),
        "rows": some[:most],
        "after": following,
        "names": names_of({found.by}),
    }
    return render(request, "staff/bill.html", shown)


ROW: Final = ("request", "verdict", "lines", "micros", "due_micros", "charged_micros", "call_id",
              "day")  # fmt: skip


def _document(
    found: Bill, sums: dict[str, tuple[int, int]], rows: list[BilledCall], after: int | None
) -> dict[str, Any]:
    return {
        "id": found.pk,
        "vendor": found.vendor,
        "filename": found.filename,
        "lines": found.lines,
        "unnamed": {"lines": found.unnamed_lines, "micros": found.unnamed_micros},
        "verdicts": {
            verdict: {"requests": count, "micros": micros}
            for verdict, (count, micros) in sums.items()
        },
        "requests": [{name: getattr(each, name) for name in ROW} for each in rows],
        "after": after,
    }
