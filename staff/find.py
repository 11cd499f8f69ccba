"""One box for whatever a stranger on the phone has: a mail, a key, an id of ours or of a vendor's.

A whole key is looked up by its digest, and never shown or sent back. What is found alone is opened
at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, User, Workspace
from apikeys import keys
from apikeys.models import ApiKey
from apikeys.states import PREFIX_FORM
from common import ids
from credits.models import (
    Adjustment,
    Billing,
    Dispute,
    Hold,
    Refund,
    StripeEvent,
    TopUp,
    Voucher,
)
from desk.roles import Right
from privacy.models import Deletion
from proxy.models import Job
from staff.pages import customer_url, page
from usage.models import Call, RunSum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest, HttpResponse

MOST: Final = 20
LONGEST: Final = 300
LEAST_OF_A_NAME: Final = 3
NOT_SUMMED_SECONDS: Final = 600
"""A call that ended within this may not be in its run's sum yet (usage/sums.py)."""
STRIPES: Final = re.compile(r"(cs|pi|re|pyr|dp|du|cus|evt|ch|py|seti)_[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a text names, and where it is looked at."""

    kind: str
    name: str
    detail: str
    url: str


@page(Right.READ)
def home(request: HttpRequest) -> HttpResponse:
    """Show who came last, below the box."""
    newest = User.objects.select_related("personal_workspace__wallet").order_by("-created_at")
    shown = {"newest": [each for each in newest[:MOST] if hasattr(each, "personal_workspace")]}
    return render(request, "staff/home.html", shown)


@page(Right.READ, changes=True)
def find(request: HttpRequest) -> HttpResponse:
    """Open what was looked for, or show what it could be. By post: no key is in an address."""
    text = request.POST.get("q", "").replace("\0", "").strip()[:LONGEST]
    if not text:
        return redirect("staff:home")
    found = list(by_text(text))
    if len(found) == 1:
        return redirect(found[0].url)
    is_key = keys.is_wellformed(text)
    shown = {"found": found, "text": "a whole key" if is_key else text, "most": MOST}
    return render(request, "staff/found.html", shown, status=200 if found else 404)


def by_text(text: str) -> list[Found]:
    """Return what a text names; at most some of what it only resembles."""
    if keys.is_wellformed(text) or PREFIX_FORM.fullmatch(text):
        return list(_keys(text))
    if (named := ids.read(text)) is not None:
        found = list(_by_id(named))
    elif STRIPES.fullmatch(text):
        found = list(_by_stripe(text))
    elif "@" in text:
        found = list(_people(Q(email=text.lower())))
    else:
        found = []
    found = found or list(_calls(Q(vendor_request_id=text) | Q(vendor_job_id=text)))
    found = found or list(_jobs(text)) or list(_run(text))
    if not found and len(text) >= LEAST_OF_A_NAME:
        found = list(_people(Q(email__icontains=text) | Q(name__icontains=text)))
        found += list(_teams(text))
    return found


def _keys(text: str) -> Iterator[Found]:
    if keys.is_wellformed(text):
        rows = ApiKey.objects.filter(digest__in=keys.digests(text))
    else:
        rows = ApiKey.objects.filter(prefix__startswith=text)
    for key in rows.select_related("user").order_by("-created_at", "id")[:MOST]:
        yield Found("Key", f"{key.prefix} {key.name}", key.user.email, _key_url(key))


def _key_url(key: ApiKey) -> str:
    return f"{customer_url(key.workspace_id)}#key-{key.pk}"


def _people(which: Q) -> Iterator[Found]:
    found = User.objects.filter(which).select_related("personal_workspace")
    for user in found.order_by("-created_at", "id")[:MOST]:
        seats = Membership.objects.filter(user=user, workspace__kind="team")
        if (own := getattr(user, "personal_workspace", None)) is not None:
            yield Found("Person", user.email, user.name, customer_url(own.pk))
        elif (seat := seats.first()) is not None:
            yield Found("Person", user.email, user.name, customer_url(seat.workspace_id))


def _teams(text: str) -> Iterator[Found]:
    found = Workspace.objects.filter(kind="team", name__icontains=text)
    for team in found.order_by("-created_at")[:MOST]:
        yield Found("Team", team.name, "", customer_url(team.pk))


def _calls(which: Q) -> Iterator[Found]:
    for call in Call.objects.filter(which).order_by("-settled_at")[:MOST]:
        yield _call(call.pk, call.operation, call.vendor_request_id or call.vendor_job_id)


def _call(call_id: UUID, name: str, detail: str) -> Found:
    return Found("Call", name, detail, reverse("staff:call", kwargs={"call_id": call_id}))


def _jobs(text: str) -> Iterator[Found]:
    """Find jobs that run; those that ended are calls."""
    named = Q(vendor_job_id=text) | Q(vendor_request_id=text)
    found = Job.objects.filter(named, ended_at=None)
    for job in found.order_by("-created_at")[:MOST]:
        yield _call(job.pk, job.operation, f"running since {job.created_at:%Y-%m-%d %H:%M}")


def _run(text: str) -> Iterator[Found]:
    """Find the calls of one press of Run, by the id that ComfyUI gave it."""
    for run in RunSum.objects.filter(run_id=text)[:MOST]:
        numbers = Q(number__gte=run.first_number, number__lte=run.last_number)
        yield from _calls(numbers & Q(workspace_id=run.workspace_id, run_id=text))
    # Sums are a minute behind; so short a time is found by its index.
    since = timezone.now() - timedelta(seconds=NOT_SUMMED_SECONDS)
    summed = RunSum.objects.filter(
        workspace_id=OuterRef("workspace_id"), run_id=text, last_number__gte=OuterRef("number")
    )
    yield from _calls(Q(~Exists(summed), run_id=text, settled_at__gt=since))
    for hold in Hold.objects.filter(memo__run=text)[:MOST]:
        yield _call(hold.pk, hold.memo.get("operation", ""), "running")


def _by_id(named: UUID) -> Iterator[Found]:
    """Find whatever has that id: each table is asked by its key."""
    if Workspace.objects.filter(pk=named).exists():
        yield Found("Customer", str(named), "", customer_url(named))
    yield from _people(Q(pk=named))
    found = list(_calls(Q(pk=named)))
    if not found:
        rows: Any = (*Hold.objects.filter(pk=named), *Job.objects.filter(pk=named))
        found = [_call(each.pk, "A running call", "") for each in rows[:1]]
    yield from found
    for key in ApiKey.objects.filter(pk=named).select_related("user"):
        yield Found("Key", key.prefix, key.user.email, _key_url(key))
    for top_up in TopUp.objects.filter(Q(pk=named) | Q(refunds=named)).distinct():
        yield _purchase(top_up)
    for made in Adjustment.objects.filter(pk=named):
        yield Found("Adjustment", str(made.pk), made.reason, customer_url(made.wallet_id))
    for voucher in Voucher.objects.filter(pk=named):
        yield Found("Voucher", voucher.name, "", reverse("staff:vouchers"))
    for deletion in Deletion.objects.filter(pk=named):
        yield Found("Deletion", str(named), deletion.state, reverse("staff:deletions"))


def _by_stripe(text: str) -> Iterator[Found]:
    refunded = Refund.objects.filter(stripe_id=text).values("top_up_id")
    disputed = Dispute.objects.filter(pk=text).values("top_up_id")
    which = Q(session_id=text) | Q(payment_intent_id=text) | Q(pk__in=refunded)
    for top_up in TopUp.objects.filter(which | Q(pk__in=disputed)):
        yield _purchase(top_up)
    for billing in Billing.objects.filter(customer_id=text):
        yield Found("Customer", text, billing.email, customer_url(billing.pk))
    for event in StripeEvent.objects.filter(Q(pk=text) | Q(object_id=text))[:MOST]:
        url = reverse("staff:event", kwargs={"event_id": event.pk})
        yield Found("Event", event.type, event.pk, url)


def _purchase(top_up: TopUp) -> Found:
    url = reverse("staff:purchase", kwargs={"top_up_id": top_up.pk})
    return Found("Purchase", str(top_up.pk), top_up.state, url)
