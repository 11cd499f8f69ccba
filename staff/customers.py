"""A customer as a whole: the money, the calls, the people, their keys, and what is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Q
from django.shortcuts import render
from django.utils import timezone

from accounts import teams
from accounts.models import User, Workspace
from apikeys import keys, states
from apikeys.models import ApiKey
from audit.models import Event
from common import ids
from common.errors import NotFound
from common.money import Micros, show
from credits.books import limits, lots
from credits.models import Adjustment, Dispute, Finding, Freeze, Hold, Refund, TopUp
from credits.payments import purchases, receivables
from dashboard.home import parts
from desk import notes
from desk.roles import Right
from privacy.models import Deletion
from proxy.models import Job
from staff.pages import About, customer_url, page
from usage import history, running, spend
from usage.history import Receipt
from usage.models import Call

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.models import Membership

DAYS: Final = 30
LAST: Final = 10
MOST_KEYS: Final = 50
MOST_PEOPLE: Final = 50


@dataclass(frozen=True, slots=True)
class Open:
    """Something about a customer that is not over, in a sentence."""

    kind: str
    sentence: str
    more: str = ""


def workspace_of(workspace_id: UUID) -> Workspace:
    """Return a customer; raise NotFound."""
    found = Workspace.objects.select_related("wallet", "personal_of").filter(pk=workspace_id)
    if (one := found.first()) is None:
        raise NotFound("There is no such customer.")
    return one


def name_of(workspace: Workspace) -> str:
    """Return how staff call a customer: a team by its name, a person by theirs."""
    person = workspace.personal_of
    return (person.name or person.email) if person else workspace.name


def about(workspace_id: UUID) -> About:
    """Return what an act on a customer is about."""
    found = workspace_of(workspace_id)
    wallet = found.wallet
    return About(
        name_of(found),
        customer_url(workspace_id),
        [
            ("Available", show(wallet.available_micros)),
            ("Held", show(Micros(wallet.held_micros))),
        ],
    )


@page(Right.READ)
def customer(request: HttpRequest, workspace_id: UUID) -> HttpResponse:
    """Show all of it, in a bounded number of questions."""
    found = workspace_of(workspace_id)
    people = list(teams.members(workspace_id)[:MOST_PEOPLE])
    wallet = lots.contents(workspace_id)
    spent = spend.by_day(workspace_id, days=DAYS, today=timezone.now().date())
    usual, large = limits.slots_of(workspace_id)
    shown = {
        "workspace": found,
        "name": name_of(found),
        "people": people,
        "wallet": wallet,
        "parts": parts(wallet),
        "account": found.wallet,
        "slots": usual,
        "large": large,
        "spent": spent,
        "month": spent.of_last(DAYS),
        "calls": history.page(workspace_id, history.Wanted(), limit=LAST).calls,
        "running": running.now(workspace_id),
        "purchases": purchases.page_of(workspace_id, page=1, limit=LAST),
        "adjustments": Adjustment.objects.filter(wallet=workspace_id).order_by("-created_at")[:5],
        "keys": _keys(workspace_id),
        "open": list(_open(workspace_id, people)),
        "notes": notes.of(workspace_id),
        "events": _events(workspace_id, people),
        "is_paused_by_staff": Freeze.objects.filter(
            wallet=workspace_id, cause=Freeze.Cause.STAFF, lifted_at=None
        ).exists(),
    }
    return render(request, "staff/customer.html", shown)


def _keys(workspace_id: UUID) -> list[tuple[ApiKey, str]]:
    rows = ApiKey.objects.filter(workspace_id=workspace_id).select_related("user")
    newest = keys.with_seats(rows).order_by("-created_at", "id")[:MOST_KEYS]
    return [(key, states.told(key)) for key in newest]


def _open(workspace_id: UUID, people: list[Membership]) -> Any:
    """Yield what is not over: each is something that an answer on the phone must know."""
    for freeze in Freeze.objects.filter(wallet=workspace_id, lifted_at=None):
        yield Open("bad", "New calls are refused.", freeze.sentence)
    if due := receivables.due_of(workspace_id):
        yield Open("wait", f"{show(due)} is owed.", "The next purchase pays it first.")
    contested = Dispute.objects.filter(
        top_up__wallet=workspace_id, phase__in=(Dispute.Phase.OPEN, Dispute.Phase.WITHDRAWN)
    )
    for dispute in contested:
        amount = show(Micros(dispute.cents * 10_000))
        yield Open("wait", f"{amount} is disputed ({dispute.status}).", dispute.reason)
    ids = [each.user_id for each in people]
    names: dict[UUID | None, str] = {
        each.user_id: each.user.name or each.user.email for each in people
    }
    for deletion in Deletion.objects.filter(user_id__in=ids, state__in=Deletion.OPEN):
        told = f"{names[deletion.user_id]} asked to be deleted ({deletion.state})."
        yield Open("wait", told, " ".join(deletion.blocked.values()))
    for finding in Finding.objects.filter(wallet=workspace_id, resolved_at=None)[:LAST]:
        yield Open("wait", finding.sentence)
    for waiting in Adjustment.objects.filter(wallet=workspace_id, state=Adjustment.State.WAITING)[
        :LAST
    ]:
        told = f"{show(Micros(waiting.amount_micros))} waits for a second person."
        yield Open("wait", told, waiting.reason)


def _events(workspace_id: UUID, people: list[Membership]) -> list[Event]:
    """Return what staff and members did to it lately, newest first."""
    whose = Q(workspace_id=workspace_id)
    if len(people) == 1:
        whose |= Q(subject_id=people[0].user_id)
    return list(Event.objects.filter(whose).order_by("-id")[:LAST])


# --- A call -------------------------------------------------------------------------------------


@page(Right.READ)
def call(request: HttpRequest, call_id: UUID) -> HttpResponse:
    """Show a call with what only staff see: the vendor's ids, its status, whose it is."""
    row = Call.objects.filter(pk=call_id).first()
    hold = Hold.objects.filter(pk=call_id).first()
    job = Job.objects.filter(pk=call_id).first()
    if row is None and hold is None and job is None:
        raise NotFound("There is no such call.")
    workspace_id = row.workspace_id if row else hold.account_id if hold else job.workspace_id  # type: ignore[union-attr]
    workspace = workspace_of(workspace_id)
    user_id = row.user_id if row else ids.read((hold.memo if hold else {}).get("user"))
    shown = {
        "row": row,
        "receipt": Receipt.of(row) if row else None,
        "hold": hold,
        "job": job,
        "workspace": workspace,
        "name": name_of(workspace),
        "user": User.objects.filter(pk=user_id).first() if user_id else None,
        "key": ApiKey.objects.filter(pk=row.key_id).first() if row and row.key_id else None,
    }
    shown["member"] = shown.pop("user")
    return render(request, "staff/call.html", shown)


# --- A purchase ---------------------------------------------------------------------------------


@page(Right.READ)
def purchase(request: HttpRequest, top_up_id: UUID) -> HttpResponse:
    """Show a purchase: what became of it, and what is unspent of it."""
    found = TopUp.objects.filter(pk=top_up_id).first()
    if found is None:
        raise NotFound("There is no such purchase.")
    workspace = workspace_of(found.wallet_id)
    left = {each.entry: each.left for each in lots.contents(found.wallet_id).lots}
    shown = {
        "one": found,
        "unspent": left.get(found.entry_id or 0, Micros(0)),
        "workspace": workspace,
        "name": name_of(workspace),
        "refunds": Refund.objects.filter(top_up=found).order_by("-created_at"),
        "asks": found.refund_asks.order_by("-created_at"),
        "disputes": Dispute.objects.filter(top_up=found).order_by("-created_at"),
    }
    return render(request, "staff/purchase.html", shown)
