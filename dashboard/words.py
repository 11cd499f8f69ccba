"""What things are called on the pages of members."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, pgettext

from prices import terms
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from prices.terms import Term


RUNS = "runs"
"""What the time of the operator's own machines is sold as."""


def may(scope: str) -> str:
    """Return what a key may by that scope."""
    words = {
        "proxy": _("Run API nodes"),
        "usage:read": _("Read usage and balance"),
        "keys:manage": _("Manage keys"),
        "billing:manage": _("Manage how the workspace pays"),
        "runs": _("Run workflows"),
    }
    return words[scope]


def run_word(state: str) -> str:
    """Return where a run is."""
    words = {
        "queued": _("Waits"),
        "staging": _("Is prepared"),
        "running": pgettext("state of a run", "Runs"),
        "canceling": _("Is being canceled"),
        "collecting": _("Collects its files"),
        "succeeded": _("Succeeded"),
        "failed": _("Failed"),
        "canceled": _("Canceled"),
        "expired": _("Waited too long"),
    }
    return words.get(state, state)


def event_word(type_: str) -> str:
    """Return what a webhook is told of."""
    words = {
        "run.started": _("A run began"),
        "run.succeeded": _("A run succeeded"),
        "run.failed": _("A run failed"),
        "run.canceled": _("A run was canceled"),
        "run.expired": _("A run waited too long"),
        "credits.low": _("Credits run low"),
        "credits.added": _("Credits came in"),
        "key.limit_reached": _("The limit of a key is used up"),
        "budget.reached": _("A budget is used up"),
        "deletion.completed": _("A deletion was done"),
        "webhook.test": _("A test"),
    }
    return words.get(type_, type_)


def per(period: str) -> str:
    """Return how often an amount may be spent."""
    words = {
        "day": _("a day"),
        "week": _("a week"),
        "month": _("a month"),
        "total": _("in total"),
    }
    return words[period]


def unit(name: str) -> str:
    """Return what a price is by, as the price list names it."""
    words = {
        "character": _("character"),
        "byte": _("byte"),
        "token": _("token"),
        "second": _("second"),
        "megapixel": _("megapixel"),
        "image": _("image"),
        "frame": _("frame"),
        "call": _("call"),
    }
    return words.get(name, name)


def term(found: Term) -> str:
    """Return a term of the price book: what is asked beside the published price, or instead."""
    amount = found.words
    if found.kind == terms.FIXED:
        return _("A fixed price for a call")
    if found.kind == terms.BY:
        return _("A price by %(unit)s") % {"unit": found.unit}
    percent = amount.partition(" %")[0]
    told = _("Mark-up of %(percent)s %%") if found.amount > 0 else _("Discount of %(percent)s %%")
    return told % {"percent": percent}


SAID = (
    (re.compile(r"([\d.]+) % more than the published price"),
     gettext_noop("%(amount)s %% more than the published price")),
    (re.compile(r"([\d.]+) % less than the published price"),
     gettext_noop("%(amount)s %% less than the published price")),
    (re.compile(r"(\$[\d.]+) a call"), gettext_noop("%(amount)s a call")),
    (re.compile(r"(the) published price"), gettext_noop("The published price")),
)  # fmt: skip
"""What terms of the price book say (prices/terms.py), which stand in English in the list."""


def term_said(text: str) -> str:
    """Return a term as the price list says it, in the language of now."""
    for pattern, message in SAID:
        if found := pattern.fullmatch(text):
            return translation.gettext(message) % {"amount": found[1]}
    return text


def vendor(name: str) -> str:
    """Return what a vendor is called; one that is sold no more by its name in the records."""
    if name == RUNS:
        return _("Machines here")
    found = catalogue().vendors.get(name)
    return found.display if found else name


def operation(path: str) -> str:
    """Return what an operation is called; one that is sold no more by its path."""
    of = catalogue().vendors.get(path.partition("/")[0])
    found = (each.title for each in of.operations if each.path == path) if of else iter(())
    return next(found, "") or path


def named(user: Any) -> str:
    """Return what a person is called."""
    return str(user.name or user.email)


def movement(kind: str) -> str:
    """Return what gave credits, or took them."""
    words = {
        "added": _("Credits came in"),
        "refunded": _("Refunded"),
        "disputed": _("Set aside for a dispute"),
        "owed": _("Paid what was owed"),
        "restored": _("Given back"),
        "expired": _("Expired"),
        "adjusted": _("Adjusted by staff"),
        "reversed": _("A mistake was corrected"),
    }
    return words.get(kind, kind)


def limit_word(limit: str, whose: str = "") -> str:
    """Return what stood in a call's way."""
    budgets = {
        "workspace": _("The workspace's budget"),
        "project": _("The project's budget"),
        "member": _("A member's budget"),
        "key": _("The key's budget"),
    }
    words = {
        "balance": _("Not enough credits"),
        "concurrency": _("Too many calls at once"),
        "requests_per_minute": _("Too many calls in a minute"),
        "per_call": _("More than the key may spend on one call"),
        "vendor": _("A provider that the key may not call"),
        "vendor_here": _("A provider that the workspace does not allow"),
        "network": _("The key was used from elsewhere"),
        "scope": _("The key may not call nodes"),
        "paused": _("No calls are taken now"),
        "maintenance": _("The platform is worked on"),
    }
    return budgets.get(whose, _("A budget")) if limit == "budget" else words.get(limit, limit)
