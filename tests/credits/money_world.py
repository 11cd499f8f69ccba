"""What tests of all money share: bad luck, time, recovery as production does it, and the truth.

The truth is what the fake Stripe remembers, and what the test itself gave and spent. `agree` sets
the books against it: every difference is a line.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import stripe
from django.conf import settings
from django.db import connection
from django.db.models import F, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.test import RequestFactory
from django.utils import timezone

from common import failpoints
from common.errors import PlatformError
from credits.books import holds, lots
from credits.books import tasks as books
from credits.models import (
    Account,
    AutoTopUp,
    Dispute,
    Entry,
    Freeze,
    Hold,
    Lot,
    Receivable,
    Refund,
    StripeEvent,
    TopUp,
)
from credits.payments import processor, refunds, tasks, views
from credits.payments.stripe_api import HANDLED
from credits.proofs import reconciliation

ROOT = Path(__file__).resolve().parents[2]
CENT = 10_000
PLACES = sorted(
    {
        place
        for file in (ROOT / "credits").rglob("*.py")
        for place in re.findall(r'failpoints\.reached\("([^"]+)"\)', file.read_text())
    }
)
"""Every place that is named in the code."""


# --- Bad luck ---------------------------------------------------------------------------------


class Died(BaseException):
    """The process is gone; of an open transaction nothing is left."""


@dataclass(frozen=True)
class DiesAt:
    """It dies at a named place."""

    place: str


@dataclass(frozen=True)
class DiesAfter:
    """It dies before its n-th statement reaches the database."""

    statements: int


@dataclass(frozen=True)
class Meets:
    """Before its n-th statement outside of a transaction, others do all that is to be done."""

    statements: int


@dataclass(frozen=True)
class Away:
    """Stripe fails at the next requests of that method."""

    failure: str
    times: int
    method: str


ENDS = ("SAVEPOINT", "RELEASE", "ROLLBACK")


@dataclass
class Luck:
    """What befalls one piece of work; a statement wrapper, as Django knows them."""

    fate: Any
    others: Any
    depth: int = 0
    count: int = 0

    def __enter__(self) -> Luck:
        self.depth = len(connection.savepoint_ids)
        self._stack = contextlib.ExitStack()
        if isinstance(self.fate, DiesAt):
            self._was = failpoints.reached
            failpoints.reached = self._reached
            self._stack.callback(setattr, failpoints, "reached", self._was)
        if isinstance(self.fate, DiesAfter | Meets):
            self._stack.enter_context(connection.execute_wrapper(self._execute))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _reached(self, name: str) -> None:
        if self.fate is not None and name == self.fate.place:
            self.fate = None
            raise Died(name)

    def _execute(self, execute: Any, sql: Any, parameters: Any, many: Any, context: Any) -> Any:
        fate = self.fate
        if fate is not None:
            inside = len(connection.savepoint_ids) > self.depth
            if isinstance(fate, DiesAfter) or not (inside or str(sql).startswith(ENDS)):
                self.count += 1
                if self.count >= fate.statements:
                    self.fate = None
                    if isinstance(fate, DiesAfter):
                        raise Died(sql)
                    self.others()
        return execute(sql, parameters, many, context)


def calm(fake: Any) -> None:
    """Use up what was planned for requests that did not come."""
    client = customer_desk(fake)
    for planned in fake.get("state")["planned"]:
        for _ in range(planned["times"]):
            with contextlib.suppress(stripe.StripeError):
                if planned["method"] == "POST":
                    client.v1.customers.create({"unknown": "1"})
                else:
                    client.v1.customers.list({"limit": 1})


def customer_desk(fake: Any) -> stripe.StripeClient:
    """Return what Stripe's own dashboard would use: nothing of ours is in between."""
    return stripe.StripeClient("sk_test_dashboard", base_addresses={"api": fake.url})


# --- Time, deliveries, recovery ---------------------------------------------------------------

CLOCKS = (
    (TopUp, ("created_at", "next_check_at")),
    (Refund, ("next_try_at",)),
    (StripeEvent, ("next_try_at",)),
    (AutoTopUp, ("next_try_at", "last_failure_at")),
    (Lot, ("expires_at",)),
    (Hold, ("placed_at", "expires_at")),
)


def pass_time(fake: Any, span: timedelta) -> None:
    """Be that much later: what waits has waited longer, and Stripe forgets what it forgets."""
    for model, names in CLOCKS:
        model.objects.update(**{name: F(name) - span for name in names})
    if span >= timedelta(days=1):
        fake.post("keys/forget")
        for session in fake.get("state").get("checkout.session", []):
            if session["status"] == "open":
                fake.post(f"sessions/{session['id']}/expire")


def told(fake: Any) -> list[dict[str, Any]]:
    """Return the events that Stripe would send us, oldest first."""
    return [
        each for each in reversed(fake.get("state").get("event", [])) if each["type"] in HANDLED
    ]


def deliver(event: dict[str, Any]) -> None:
    """Post an event to our door, signed."""
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(
        body, settings.STRIPE_WEBHOOK_SECRETS[0]
    )
    request = RequestFactory().post(
        "/webhooks/stripe",
        data=body,
        content_type="application/json",
        headers={"Stripe-Signature": header},
    )
    answer = views.stripe_webhook(request)
    assert answer.status_code == 200, answer.content


def follow() -> None:
    """Do what the worker does every two seconds; a bug may not hide in its log."""
    hidden: list[BaseException] = []
    was = tasks.log.exception

    def note(*_: object) -> None:
        problem = sys.exc_info()[1]
        if problem is not None and not isinstance(problem, PlatformError):
            hidden.append(problem)

    tasks.log.exception = note  # type: ignore[method-assign]
    try:
        tasks.follow_money()
        tasks.tend_wallets()
        books.expire_lots()
    finally:
        tasks.log.exception = was  # type: ignore[method-assign]
    for late in Hold.objects.filter(expires_at__lte=timezone.now()):
        holds.expire(holds.Hold(str(late.pk), late.account_id, late.amount_micros))
    if hidden:
        raise hidden[0]


def recover(fake: Any, *, hours: bool = False) -> None:
    """Let production run on until it is quiet: listing, sweeps, and minutes (or hours)."""
    calm(fake)
    for round_ in range(20):
        tasks.listen_again()
        follow()
        if round_ == 1:  # Members buy on for ever, if they wish to; this lets them end.
            AutoTopUp.objects.update(enabled=False)
        if round_ > 1 and quiet():
            return
        pass_time(fake, timedelta(minutes=90 if hours and round_ % 3 == 0 else 3))
    raise AssertionError(f"it is never quiet: {restless()}")


def restless() -> dict[str, list[Any]]:
    """Return what would not stay so."""
    return {
        "events": list(StripeEvent.objects.filter(processed_at=None).values("type", "error")),
        "purchases": list(
            TopUp.objects.filter(state="paid").values("pk", "state")
            | TopUp.objects.filter(state="open", session_id=None).values("pk", "state")
        ),
        "refunds": list(Refund.objects.filter(state="requested").values("pk", "failure")),
        "due": [
            due.cause
            for due in Receivable.objects.all()
            if due.due_micros and payable(due.wallet_id, due)
        ],
    }


def payable(wallet_id: Any, due: Receivable) -> bool:
    """Whether something is there that pays what is due: its own purchase, or a later one."""
    wallet = lots.contents(wallet_id)
    own = due.top_up.entry_id
    return wallet.balance > wallet.held and any(
        lot.entry == own
        or (lot.kind == "paid" and Entry.objects.get(pk=lot.entry).created_at >= due.created_at)
        for lot in wallet.lots
    )


def quiet() -> bool:
    """Whether nothing is left that would go on by itself."""
    return not any(restless().values())


# --- The truth --------------------------------------------------------------------------------


BOOKS = " UNION ALL ".join(
    f"SELECT '{check.name.replace(chr(39), '')}', line::text FROM ({check.differences}) AS d(line)"
    for check in reconciliation.CHECKS + reconciliation.MONEY
)
"""All checks in one statement: it runs after every step."""
LATE = "no hold is open past its time by more than ten minutes"


def books_wrong(*, late: bool = False) -> list[str]:
    """Return what our own proof finds wrong, and what no wallet may ever be.

    That nothing is late is true only where the sweeps were let run.
    """
    with connection.cursor() as cursor:
        cursor.execute(BOOKS)
        wrong = [f"{name}: {line}" for name, line in cursor.fetchall() if late or name != LATE]
    in_force = Freeze.objects.filter(wallet=OuterRef("pk"), lifted_at=None)
    newest = in_force.order_by("-created_at", "-id")
    for wallet in Account.objects.filter(kind="wallet").annotate(
        says=Coalesce(Subquery(newest.values("sentence")[:1]), Value(""))
    ):
        if not 0 <= wallet.held_micros <= wallet.balance_micros:
            wrong.append(f"wallet {wallet.pk} has {wallet.balance_micros}, {wallet.held_micros}")
        if wallet.frozen_reason != wallet.says:
            wrong.append(f"wallet {wallet.pk} says {wallet.frozen_reason!r}, not {wallet.says!r}")
    return wrong


def never_wrong(state: dict[str, Any]) -> list[str]:
    """Return what may not be at any time, whatever we have not yet heard of."""
    wrong = books_wrong()
    payments, refunds_there = (
        _ours(state, "payment_intent", "top_up"),
        _ours(state, "refund", "refund"),
    )
    for name, count in Counter(
        Entry.objects.filter(kind="top_up").values_list("facts__purchase", flat=True)
    ).items():
        if count > 1:
            wrong.append(f"purchase {name} was credited {count} times")
    for top_up in TopUp.objects.all():
        made = payments[str(top_up.pk)]
        paid = [each for each in made if each["status"] == "succeeded"]
        if len(made) > 1:
            wrong.append(f"purchase {top_up.pk} has {len(made)} payments")
        if top_up.state == "credited" and not paid:
            wrong.append(f"purchase {top_up.pk} is credited, and nobody paid")
    for refund in Refund.objects.filter(source="staff"):
        if len(refunds_there[str(refund.pk)]) > 1:
            wrong.append(f"refund {refund.pk} was made twice at Stripe")
    return wrong


def agree(state: dict[str, Any]) -> list[str]:
    """Return what differs between the books and the truth once all was heard."""
    wrong = never_wrong(state)
    wrong += list(processor.compare(settling=timedelta(0)).differences.values())
    wrong += books_wrong(late=True)  # The comparison writes what it finds.
    wrong += _purchases_wrong(state) + _refunds_wrong(state) + _disputes_wrong(state)
    wrong += _lots_wrong()
    connection.check_constraints()
    return wrong


def _ours(state: dict[str, Any], kind: str, name: str) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for each in state.get(kind, []):
        if name in each["metadata"]:
            found[each["metadata"][name]].append(each)
    return found


def _purchases_wrong(state: dict[str, Any]) -> list[str]:
    wrong = []
    payments, pages = (
        _ours(state, "payment_intent", "top_up"),
        _ours(state, "checkout.session", "top_up"),
    )
    for top_up in TopUp.objects.all():
        payment = next(iter(payments[str(top_up.pk)]), None)
        page = next(iter(pages[str(top_up.pk)]), None)
        status = payment["status"] if payment else None
        if status == "succeeded":
            expected = {"credited"}
        elif status == "processing":  # Who paid on a page that we gave up is heard in the end.
            expected = (
                {"processing"} if top_up.checkout_url or not page else {"processing", "expired"}
            )
        elif page is not None and page["status"] == "open" and top_up.checkout_url:
            expected = {"open"}
        else:
            expected = {"failed", "expired"}
        if top_up.state not in expected:
            wrong.append(f"purchase {top_up.pk} is {top_up.state}, its payment {status}")
        if status == "succeeded" and payment["amount_received"] != top_up.total_cents:
            wrong.append(f"purchase {top_up.pk} is of another amount than was paid")
    unknown = payments.keys() - {str(pk) for pk in TopUp.objects.values_list("pk", flat=True)}
    return wrong + [f"payment of {name}, which we do not know" for name in unknown]


def _refunds_wrong(state: dict[str, Any]) -> list[str]:
    wrong = []
    there = {each["id"]: each for each in state.get("refund", [])}
    ours = {each.stripe_id: each for each in Refund.objects.exclude(stripe_id=None)}
    for name, each in there.items():
        expected = refunds.WORDS.get(each["status"], "failed")
        if name not in ours:
            wrong.append(f"refund {name} ({each['status']}) is not in our books")
        elif (ours[name].state, ours[name].cents) != (expected, each["amount"]):
            wrong.append(f"refund {name} is {each['status']}, ours is {ours[name].state}")
    wrong += [f"refund {name} is not at Stripe" for name in ours.keys() - there.keys()]
    lost = Refund.objects.filter(stripe_id=None).exclude(state="failed")
    return wrong + [f"refund {each.pk} is {each.state}, and was never made" for each in lost]


def _disputes_wrong(state: dict[str, Any]) -> list[str]:
    wrong = []
    ours = {each.pk: each for each in Dispute.objects.all()}
    for each in state.get("dispute", []):
        expected, name = dispute_phase(each), each["id"]
        if name not in ours:
            wrong.append(f"dispute {name} ({each['status']}) is not in our books")
        elif (ours[name].phase, ours[name].status) != (expected, each["status"]):
            wrong.append(f"dispute {name} is {each['status']}, ours is {ours[name].phase}")
    return wrong


def _lots_wrong() -> list[str]:
    """Return the purchases of which more is left than was not given back: it would go twice."""
    wrong = []
    for top_up in TopUp.objects.filter(state="credited"):
        wallet = lots.contents(top_up.wallet_id)
        left = sum(lot.left for lot in wallet.lots if lot.entry == top_up.entry_id)
        gone = [each.taken_micros for each in top_up.refunds.exclude(state="failed")]
        gone += [each.taken_micros for each in top_up.disputes.exclude(phase="returned")]
        if left + sum(gone) > top_up.amount_micros:
            wrong.append(f"purchase {top_up.pk} has {left} left, and {sum(gone)} are gone")
    return wrong


def dispute_phase(dispute: dict[str, Any]) -> str:
    """Return what a dispute at Stripe means for our books."""
    if dispute["status"] == "lost":
        return "lost"
    if dispute["status"] in ("won", "prevented", "warning_closed"):
        return "returned"
    return "withdrawn" if dispute["balance_transactions"] else "open"


def worth(wallet_id: Any) -> int:
    """Return what a wallet's owner has: credits, less what is due, and what a dispute holds."""
    wallet = lots.contents(wallet_id)
    assert sum(lot.left for lot in wallet.lots) == wallet.balance, "the lots are the balance"
    due = sum(each.due_micros for each in Receivable.objects.filter(wallet_id=wallet_id))
    aside = Dispute.objects.filter(top_up__wallet_id=wallet_id, phase="open")
    return wallet.balance - due + aside.aggregate(sum=Sum("taken_micros", default=0))["sum"]


def came_in(wallet_id: Any, state: dict[str, Any]) -> int:
    """Return the micros of credits that Stripe took for a wallet and still has, by its own word."""
    micros = 0
    of_payment = {}
    for payment in state.get("payment_intent", []):
        top_up = TopUp.objects.filter(pk=payment["metadata"].get("top_up")).first()
        if top_up is not None and top_up.wallet_id == wallet_id:
            of_payment[payment["id"]] = top_up
            if payment["status"] == "succeeded":
                micros += payment["amount_received"] * CENT - top_up.tax_cents * CENT
    for refund in state.get("refund", []):
        if refund["payment_intent"] in of_payment and refund["status"] not in (
            "failed",
            "canceled",
        ):
            tax = Refund.objects.get(stripe_id=refund["id"]).tax_cents
            micros -= (refund["amount"] - tax) * CENT
    for dispute in state.get("dispute", []):
        gone = -sum(each["amount"] for each in dispute["balance_transactions"])
        if dispute["payment_intent"] in of_payment and gone > 0:
            ours = Dispute.objects.get(pk=dispute["id"])
            micros -= (gone - ours.tax_cents + ours.returned_tax_cents) * CENT
    return micros


def moved(wallet_id: Any, kind: str) -> int:
    """Return what entries of a kind gave to a wallet, less what they took."""
    sums = {}
    for side in ("credit", "debit"):
        some = Entry.objects.filter(kind=kind, **{side: wallet_id})
        sums[side] = some.aggregate(sum=Sum("amount_micros", default=0))["sum"]
    return int(sums["credit"] - sums["debit"])
