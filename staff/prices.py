"""The price book: its versions, drafts of the next one, and what a draft would have asked.

    draft, amend --> compare with the last week's calls --> publish, from an instant on

Each step is a function of prices/drafts.py, which `manage.py prices` calls, too. A version is never
changed; the database refuses one that begins before the one before it, or in the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from common.errors import InvalidRequest, NotFound
from common.money import usd
from dashboard.forms import MOST_DOLLARS
from desk.roles import Right
from prices import comparing, drafts, terms
from prices.models import Draft, Version
from prices.terms import Term
from proxy import price_book
from staff.money import names_of
from staff.pages import About, InstantField, ReasonForm, SureForm, act, page, who

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest
    from django.utils.safestring import SafeString

MOST: Final = 100
PARTS_IN_A_PERCENT: Final = 10_000
KINDS: Final = (
    (terms.MARKUP, "Percent on the published price"),
    (terms.FIXED, "Dollars for each call"),
    (terms.BY, "Dollars by a unit of the call"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """A version or a draft as a page shows it: each term in words."""

    row: Version | Draft
    terms: list[Term]
    holds: bool = False


def _said(row: Version | Draft, holds: int | None = None) -> Said:
    found = [terms.read(each) for each in row.terms]
    return Said(row, found, holds=holds is not None and row.pk == holds)


@page(Right.READ)
def price_list(request: HttpRequest) -> HttpResponse:
    """Show the drafts that are open, and the versions, the newest first."""
    open_drafts = list(Draft.objects.filter(version=None).order_by("-pk")[:MOST])
    versions = list(Version.objects.order_by("-number")[:MOST])
    holds = drafts.in_force().number
    people = {each.by for each in open_drafts} | {each.by for each in versions}
    shown = {
        "drafts": [_said(each) for each in open_drafts],
        "versions": [_said(each, holds) for each in versions],
        "holds": holds,
        "now": timezone.now(),
        "names": names_of(people),
    }
    return render(request, "staff/prices.html", shown)


def about_prices() -> About:
    """Return what a new draft is about."""
    newest = drafts.newest().number
    began = f"Version {newest}" if newest else "The published prices"
    return About("Prices", reverse("staff:prices"), [("It goes on from", began)])


@act(
    Right.PRICES, title="Draft prices", button="Make the draft", about=about_prices,
    lead="It has the terms of the newest version. Nothing is priced by it until it is published.",
)  # fmt: skip
def draft_prices(request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
    """Have a draft with the terms of the newest version, and open it."""
    made = drafts.draft(known=price_book.names(), by=who(request), reason=given["reason"])
    return redirect(_url(made.pk))


# --- A draft ------------------------------------------------------------------------------------


def _url(number: int) -> str:
    return reverse("staff:price_draft", kwargs={"number": number})


@page(Right.READ)
def price_draft(request: HttpRequest, number: int) -> HttpResponse:
    """Show a draft: its terms, and what can be done with it."""
    return _shown(request, number)


@page(Right.PRICES, changes=True)
def compare_prices(request: HttpRequest, number: int) -> HttpResponse:
    """Show a draft beside the calls of the last week; it may be published from then on.

    It reads a week of calls, so it is done by post, and by nobody's crawler.
    """
    if request.method != "POST":
        return redirect(_url(number))
    compared = comparing.compare(number)
    return _shown(request, number, {"compared": compared, "total": comparing.total(compared)})


def _shown(request: HttpRequest, number: int, more: dict[str, Any] | None = None) -> HttpResponse:
    found = drafts.find(number)
    shown = {
        "draft": found,
        "terms": _said(found).terms,
        "version": Version.objects.filter(draft=found).first(),
        "names": names_of({found.by}),
        "days": comparing.DAYS,
        **(more or {}),
    }
    return render(request, "staff/price_draft.html", shown)


def about_draft(number: int, term: str = "") -> About:
    """Return which draft is meant, and which term of it."""
    found = drafts.find(number)
    facts = [("Draft", f"{found.pk}: {found.reason}")]
    if term:
        said = next((each for each in _said(found).terms if each.about == term), None)
        if said is None:
            raise NotFound("The draft has no such term.")
        facts.append((said.about, said.words))
    return About(f"Draft {found.pk}", _url(number), facts)


class Listed(forms.TextInput):
    """A line to type in, with what there is to choose from."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the line and its list."""
        options = format_html_join(
            "", '<option value="{}">', ((each,) for each in price_book.names())
        )
        line = super().render(name, value, {**(attrs or {}), "list": f"{name}-list"}, renderer)
        return format_html('{}<datalist id="{}-list">{}</datalist>', line, name, options)


class TermForm(SureForm):
    """A term: what it is about, of which kind, and how much."""

    about = forms.CharField(
        label="About",
        max_length=200,
        initial=terms.EVERYTHING,
        help_text="* for everything, a vendor, or an operation: the nearest term holds alone.",
        widget=Listed({"autocomplete": "off", "spellcheck": "false"}),
    )
    kind = forms.ChoiceField(label="How it is asked", choices=KINDS)
    amount = forms.DecimalField(
        label="How much",
        max_digits=13,
        decimal_places=6,
        max_value=MOST_DOLLARS,
        localize=False,
        help_text="12.5 is 12.5 percent more, or $12.50. Below zero, percents are a discount.",
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )
    unit = forms.CharField(
        label="Unit",
        max_length=50,
        required=False,
        help_text="Of dollars by a unit: seconds, n. Calls without it cost the published price.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )

    def clean(self) -> dict[str, Any]:
        """Return the term that it says, beside its parts."""
        given: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                given["term"] = _term(**given)
            except InvalidRequest as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return given


def _term(*, about: str, kind: str, amount: Decimal, unit: str) -> Term:
    if kind != terms.MARKUP:
        return Term(about.strip(), kind, usd(str(amount)), unit.strip() if kind == terms.BY else "")
    parts = amount * PARTS_IN_A_PERCENT
    if parts % 1:
        raise InvalidRequest("Percents have four decimals at most.")
    return Term(about.strip(), kind, int(parts))


@act(
    Right.PRICES, title="Add or change a term", button="Put it in", about=about_draft,
    lead="A term about the same thing gives way to it. It must be compared anew.", form=TermForm,
)  # fmt: skip
def set_term(request: HttpRequest, given: dict[str, Any], number: int) -> str:
    """Have the draft say a term."""
    term: Term = given["term"]
    drafts.amend(number, changes=[term], known=price_book.names(), by=who(request))
    return f"{term.about}: {term.words}."


@act(
    Right.PRICES, title="Take a term out", button="Take it out", about=about_draft, form=SureForm,
    lead="What is nearest then holds; without any, the published price.",
)  # fmt: skip
def drop_term(request: HttpRequest, given: dict[str, Any], number: int, term: str) -> str:
    """Have the draft say nothing about that."""
    drafts.amend(number, without=[term], known=price_book.names(), by=who(request))
    return f"The draft says nothing about {term} any more."


@act(Right.PRICES, title="Discard the draft", button="Discard it", about=about_draft, is_grave=True)
def discard_draft(request: HttpRequest, given: dict[str, Any], number: int) -> HttpResponse:
    """Take the draft away."""
    drafts.discard(number, by=who(request), reason=given["reason"])
    return redirect("staff:prices")


class PublishForm(ReasonForm):
    """From when on."""

    at = InstantField(
        label="From",
        help_text=f"After every version before, and {drafts.LEAD.seconds} seconds away at least.",
    )
    field_order = ("at", "reason")


@act(
    Right.PRICES, title="Publish", button="Publish it", about=about_draft, form=PublishForm,
    lead="From that instant on every process asks these prices. A version is never changed.",
    is_grave=True,
)  # fmt: skip
def publish_prices(request: HttpRequest, given: dict[str, Any], number: int) -> HttpResponse | str:
    """Have the draft hold from an instant on."""
    at: datetime = given["at"]
    made = drafts.publish(number, at=at, by=who(request), reason=given["reason"])
    return f"Version {made.number} holds from {made.effective_at:%Y-%m-%d %H:%M} UTC on."
