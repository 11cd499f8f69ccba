"""Prices: what is asked for each operation, and what a workflow would cost.

The list is the one that `GET /prices` gives. A quote is worked out by the rule that sets money
aside: nothing is sent, and nothing is set aside.
"""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from common import ratelimits, strict_json
from common.errors import InvalidRequest, PlatformError
from credits.books import wallets
from dashboard.forms import Form
from dashboard.shell import page
from prices import drafts
from proxy.quoting import workflows
from proxy.quoting.views import KNOWN, price_list

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session
    from common.money import Micros
    from proxy.quoting.estimates import Estimate

ON_A_PAGE: Final = 50
ROWS: Final = 12
"""So many of an operation's prices stand in the list; its own page has all."""
LONGEST: Final = 100
MOST_BYTES: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """An operation of the list, and the range of all that it may come to."""

    route: str
    vendor: str
    display: str
    title: str
    nodes: tuple[str, ...]
    unit: str
    rule: str
    term: str
    least: int
    most: int
    rows: tuple[tuple[str, int, int], ...]
    """What is asked for some parameters: these in words, the least, the most."""
    words: str
    """All by which it is found, in small letters."""

    @property
    def name(self) -> str:
        """What the catalogue calls it."""
        return self.route.partition("/proxy/")[2]


class WorkflowForm(Form):
    """A workflow in ComfyUI's API format."""

    prompt = forms.CharField(
        label=_("Workflow, in the API format"),
        max_length=MOST_BYTES,
        help_text=_("In ComfyUI: File, Export (API). Paste what is in that file, or drop it here."),
        widget=forms.Textarea({"rows": 10, "spellcheck": "false", "data-drop": ""}),
    )

    def clean_prompt(self) -> dict[str, Any]:
        """Return it; what a request to ComfyUI holds is taken as well."""
        try:
            told = strict_json.loads(self.cleaned_data["prompt"].encode())
        except InvalidRequest as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        inner = told.get("prompt", told)
        if not isinstance(inner, dict) or not inner:
            raise forms.ValidationError(_("This is no workflow in the API format."))
        return inner


@require_safe
@page
def price_page(request: HttpRequest, session: Session) -> HttpResponse:
    """Show the operations that fit what is looked for, some at a time."""
    wanted = request.GET.get("q", "")[:LONGEST].strip()
    vendor = request.GET.get("vendor", "")[:LONGEST]
    all_of_them = operations()
    found = [
        each
        for each in all_of_them
        if (not vendor or each.vendor == vendor)
        and all(word in each.words for word in wanted.lower().split())
    ]
    number = request.GET.get("page", "1")
    at = int(number) if number.isdecimal() and len(number) < 4 else 1
    first = max(at - 1, 0) * ON_A_PAGE
    shown = {
        "operations": found[first : first + ON_A_PAGE],
        "total": len(found),
        "first": first + 1,
        "last": min(first + ON_A_PAGE, len(found)),
        "newer": at - 1,
        "older": at + 1 if first + ON_A_PAGE < len(found) else 0,
        "q": wanted,
        "vendor": vendor,
        "vendors": sorted({(each.display, each.vendor) for each in all_of_them}),
    }
    return render(request, "dashboard/prices.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def quote(request: HttpRequest, session: Session) -> HttpResponse:
    """Say what each node of a workflow would cost, and how often it can be run."""
    form, found = WorkflowForm(request.POST or None), {}
    if request.method == "POST" and form.is_valid():
        try:
            found = _quoted(session, form.cleaned_data["prompt"])
        except PlatformError as refusal:
            form.refuse(refusal)
    return render(request, "dashboard/quote.html", {"form": form, **found}, status=form.status)


def _quoted(session: Session, prompt: dict[str, Any]) -> dict[str, Any]:
    workspace = session.workspace_id
    ratelimits.take("quote", f"{workspace}", most=KNOWN, seconds=60)
    rows = asyncio.run(workflows.quote(prompt, drafts.in_force()))
    known = [row.estimate for row in rows if row.estimate is not None]
    total = workflows.total(known)
    available = wallets.balance(workspace).available
    return {
        "nodes": rows,
        "has_quote": True,
        "total": total,
        "is_complete": len(known) == len(rows),
        "available": available,
        **_runs(available, total),
    }


def _runs(available: Micros, total: Estimate) -> dict[str, int | None]:
    """Return how often that can be run: even at the most, and likely; None is any number."""
    return {
        "at_least": available // total.most if total.most else None,
        "likely": available // total.likely if total.likely else None,
    }


def operations() -> tuple[Listed, ...]:
    """Return all that have a price now, in the order of the list."""
    content, tag = price_list(drafts.in_force())
    return _read(tag, content)


@functools.lru_cache(maxsize=1)
def _read(tag: str, content: bytes) -> tuple[Listed, ...]:
    """Return the list in order; it is read once, as long as it stays the same."""
    found = [_listed(each) for each in json.loads(content)["operations"]]
    return tuple(sorted(found, key=lambda each: (each.display.lower(), each.title.lower())))


def _listed(told: dict[str, Any]) -> Listed:
    rows = [
        (_parameters(row["parameters"]), int(row["least"]["micros"]), int(row["most"]["micros"]))
        for row in told["prices"]
    ]
    named = (told["title"], told["display"], told["vendor"], told["route"], *told["nodes"])
    return Listed(
        route=told["route"],
        vendor=told["vendor"],
        display=told["display"],
        title=told["title"],
        nodes=tuple(told["nodes"]),
        unit=told["unit"],
        rule=told["rule"],
        term=told["term"],
        least=min((least for _words, least, _most in rows), default=0),
        most=max((most for _words, _least, most in rows), default=0),
        rows=tuple(rows[:ROWS]),
        words=" ".join(named).lower(),
    )


def _parameters(given: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in given.items())
