"""One operation's prices: its rule, a calculator with its own parameters, and what changed.

The calculator asks what `POST /v1/quote` does, by the same functions: nothing is sent, nothing
set aside.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from common import ratelimits
from common.errors import NotFound, PlatformError
from dashboard.prices import operations
from dashboard.shell import page
from prices import drafts, history
from proxy.quoting import listing
from proxy.quoting.views import KNOWN, single

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

MOST_TEXT: Final = 40
LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter by which the price differs: its name, and what it may be."""

    name: str
    field: str
    values: list[tuple[str, str, bool]]
    """As it is sent, as it is read, and whether it is chosen."""


@require_safe
@page
def operation(request: HttpRequest, session: Session, name: str) -> HttpResponse:
    """Show one; with parameters chosen, also what it would cost."""
    found = next((each for each in operations() if each.name == name), None)
    if found is None:
        raise NotFound(_("There is no such operation in the price list."))
    varies = listing.varies(name)
    chosen = {at: _chosen(request, n, values) for n, (at, values) in enumerate(varies.items())}
    shown: dict[str, Any] = {
        "one": found,
        "choices": [
            Choice(
                at,
                f"p{n}",
                [(f"{i}", _read(value), value == chosen[at]) for i, value in enumerate(values)],
            )
            for n, (at, values) in enumerate(varies.items())
        ],
        "changes": history.of(found.vendor, name),
        "is_asked": "ask" in request.GET,
    }
    if "ask" in request.GET:
        ratelimits.take("quote", f"{session.workspace_id}", most=KNOWN, seconds=60)
        shown |= _worked_out(name, chosen)
    return render(request, "dashboard/operation.html", shown)


def _worked_out(name: str, chosen: dict[str, Any]) -> dict[str, Any]:
    told = listing.with_parameters(name, chosen)
    if told is None:
        return {"problem": _("This operation has no example to reckon with: quote a workflow.")}
    try:
        quoted = asyncio.run(single(told, drafts.in_force()))
    except PlatformError as refusal:
        return {"problem": str(refusal)}
    return {
        "estimate": quoted.estimate,
        "inputs": quoted.estimate.inputs if quoted.estimate else {},
    }


def _chosen(request: HttpRequest, number: int, values: list[Any]) -> Any:
    """Return the value that was chosen by its place in the list; the first is the usual one."""
    text = request.GET.get(f"p{number}", "0")
    place = int(text) if text.isdecimal() and len(text) < 4 else 0
    return values[place] if place < len(values) else values[0]


def _read(value: Any) -> str:
    """Return a value as it stands in a list of choices."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"
