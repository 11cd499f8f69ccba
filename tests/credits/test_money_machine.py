"""Whatever happens to money, in whatever order, however often, and whoever dies of it.

Two members buy, spend, are refunded, disputed, given and taken from. Stripe's events are doubled,
late, lost and out of order; Stripe fails; processes die between any two statements, or meet others
there. After every step no wallet is negative and the books balance; in the end, once production
has run on for a while, the books are what Stripe remembers, to the cent.

A longer run, for the night: MONEY_EXAMPLES=2000, with other examples each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import uuid
from collections import Counter
from datetime import timedelta

import pytest
import stripe
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from money_world import (
    CENT,
    PLACES,
    Away,
    Died,
    DiesAfter,
    DiesAt,
    Luck,
    Meets,
    agree,
    calm,
    came_in,
    customer_desk,
    deliver,
    follow,
    moved,
    never_wrong,
    pass_time,
    recover,
    told,
    worth,
)

from common.errors import PlatformError
from common.money import usd
from credits.books import expiry, holds, ledger
from credits.gifts import adjustments, grants, vouchers
from credits.models import AutoTopUp, Refund, TopUp, Voucher
from credits.payments import automatic, customers, methods, refunds, tasks, topups, webhooks
from sandbox.stripe.remote import ControlRefusedError
from tests.plugin import examples

STAFF, OTHERS = uuid.UUID(int=1), uuid.UUID(int=2)
MEMBERS = (uuid.UUID(int=1001), uuid.UUID(int=1002))

WHO = st.sampled_from(MEMBERS)
PICK = st.integers(0, 5)
PICKS = st.lists(st.integers(0, 30), min_size=1, max_size=6)
DOLLARS = st.sampled_from(["5", "12", "25"])
LITTLE = st.sampled_from([1, 9_999, CENT, usd("0.50"), usd("3"), usd("11.005")])
SPANS = st.sampled_from([timedelta(seconds=5), timedelta(minutes=3), timedelta(hours=2)])
ACTIONS = []
"""Every action of the machine, and what it may be asked with.

One rule draws from all of them: with a rule for each, Hypothesis would leave half of them out of
each example, and money needs many of them to go wrong.
"""


def action(*, often=1, **asked):
    def keep(method):
        one = st.tuples(st.just(method.__name__), st.fixed_dictionaries(asked))
        ACTIONS.extend([one] * often)
        return method

    return keep


FATES = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.sampled_from(PLACES).map(DiesAt),
    st.integers(1, 40).map(DiesAfter),
    st.integers(1, 12).map(Meets),
    st.builds(
        Away,
        st.sampled_from(["status=503", "status_after=500", "drop_before", "drop_after"]),
        st.sampled_from([1, 3, 6]),
        st.sampled_from(["POST", "GET", "*"]),
    ),
)


class Money(RuleBasedStateMachine):
    """Two members, and everything that can befall their credits."""

    fake = settings = None
    done: Counter[str] = Counter()

    def __init__(self):
        super().__init__()
        self.fake.post("reset")
        self.bubble = transaction.atomic()
        self.bubble._from_testcase = True  # Django's own word for one that stands for many.
        self.bubble.__enter__()
        self.given = dict.fromkeys(MEMBERS, 0)
        self.open_holds, self.codes, self.adjusted = [], [], []
        self.told = []
        for member in MEMBERS:
            ledger.open_wallet(member)
            customers.billing_of(member, email=f"{member.int}@example.org")

    @initialize(
        tax=st.sampled_from([False, False, True]),
        slow=st.booleans(),
        bought=st.integers(0, 2),
        trouble=st.sampled_from(["", "spent", "disputed"]),
    )
    def the_world(self, tax, slow, bought, trouble):
        self.settings.STRIPE_AUTOMATIC_TAX = tax
        if slow:
            self.fake.post("switches", refunds="pending")
        for member in MEMBERS[:bought]:
            top_up = self._buy(member, "25", None)
            self._far(f"sessions/{top_up.session_id}/pay")
            topups.refresh(top_up.pk)
            if trouble:
                self.spend_nearly_all(member)
        if trouble == "disputed":
            self.bank_contests(0, part=False, withdraw=True, status="needs_response")

    @rule(step=st.deferred(lambda: st.one_of(ACTIONS)))
    def step(self, step):
        name, asked = step
        getattr(self, name)(**asked)

    def teardown(self):
        try:
            self._in_the_end()
        finally:
            transaction.set_rollback(True)
            self.bubble.__exit__(None, None, None)

    # --- Buying -------------------------------------------------------------------------------

    @action(
        often=2,
        who=WHO,
        dollars=DOLLARS,
        act=st.sampled_from(["pay", "pay", "later", ""]),
        fate=FATES,
    )
    def buy(self, who, dollars, act, fate):
        top_up = self._buy(who, dollars, fate)
        if top_up is not None and act:
            self._far(f"sessions/{top_up.session_id}/{act}")

    @action(pick=PICK, act=st.sampled_from(["pay", "later", "decline", "expire"]))
    def act_on_page(self, pick, act):
        if page := chosen(self._pages(), pick):
            self._far(f"sessions/{page['id']}/{act}")

    @action(pick=PICK, act=st.sampled_from(["succeed", "succeed", "fail"]))
    def money_comes_or_not(self, pick, act):
        if payment := chosen(self._payments("processing"), pick):
            self._far(f"payments/{payment['id']}/{act}")

    @action(often=2, pick=PICK, fate=FATES)
    def come_back(self, pick, fate):
        top_up = chosen(TopUp.objects.filter(source="checkout").order_by("-created_at"), pick)
        if top_up is not None:
            self._do("come_back", fate, topups.refresh, top_up.pk)

    @action(who=WHO, card=st.sampled_from(["visa", "chargeCustomerFail", "authenticationRequired"]),
        fate=FATES)  # fmt: skip
    def wish_for_automatic(self, who, card, fate):
        session = self._do("set_up", fate, methods.start_setup, who, email="a@example.org",
            user_id=None, base_url="http://us.example")  # fmt: skip
        if session is not None:
            self._far(f"sessions/{session.id}/save", card=card)
        self._do("saved", None, methods.refresh_setup, who)
        self._do("wish", None, automatic.configure, who, enabled=True, threshold=usd("6"),
            amount=usd("7"), monthly_cap=usd("21"))  # fmt: skip

    @action(often=2, who=WHO, fate=FATES)
    def buy_automatically(self, who, fate):
        if who in automatic.due_wallets():
            self._do("automatic", fate, automatic.buy, who)

    @action(pick=PICK, how=st.sampled_from(["ok", "declined_later", "authenticate", "detach"]))
    def card_changes(self, pick, how):
        wish = chosen(AutoTopUp.objects.exclude(payment_method_id=""), pick)
        if wish is not None and how == "detach":
            with contextlib.suppress(stripe.StripeError):
                customer_desk(self.fake).v1.payment_methods.detach(wish.payment_method_id)
        elif wish is not None:
            self._far(f"payment_methods/{wish.payment_method_id}", behaviour=how)

    # --- Spending -----------------------------------------------------------------------------

    @action(who=WHO, micros=LITTLE)
    def call_begins(self, who, micros):
        hold = self._do("hold", None, holds.place, who, amount=micros, ttl_seconds=3600)
        if hold is not None:
            self.open_holds.append(hold)

    @action(pick=PICK, how=st.sampled_from(["all", "part", "void", "expire"]))
    def call_ends(self, pick, how):
        hold = chosen(self.open_holds, pick)
        if hold is None:
            return
        if how in ("all", "part"):
            micros = hold.amount if how == "all" else hold.amount // 3
            if self._do("capture", None, holds.capture, hold, micros):
                self.given[hold.account] -= micros
        else:
            self._do(how, None, holds.void if how == "void" else holds.expire, hold)

    @action(who=WHO, micros=LITTLE, fate=FATES)
    def run_begins(self, who, micros, fate):
        asked = {"amount": micros, "ttl_seconds": 3600, "apart": True}
        hold = self._do("run", fate, holds.place, who, **asked)
        if hold is not None:
            self.open_holds.append(hold)

    @action(often=2, pick=PICK, micros=LITTLE, fate=FATES)
    def run_grows(self, pick, micros, fate):
        """A hold that takes no slot grows within what is there, or not at all; others never do."""
        hold = chosen(self.open_holds, pick)
        if hold is not None:
            grown = self._do("grow", fate, holds.extend, hold, micros, ttl_seconds=3600)
            if grown is not None:
                assert grown == hold.amount + micros
                place = self.open_holds.index(hold)
                self.open_holds[place] = dataclasses.replace(hold, amount=grown)

    @action(who=WHO)
    def spend_nearly_all(self, who):
        available = ledger.Account.objects.get(pk=who).available_micros
        if available > 5:
            hold = self._do("hold", None, holds.place, who, amount=available - 5, ttl_seconds=3600)
            if hold is not None and self._do("capture", None, holds.capture, hold, hold.amount):
                self.given[who] -= hold.amount

    # --- Giving -------------------------------------------------------------------------------

    @action(who=WHO, micros=LITTLE, days=st.sampled_from([None, 1, 30]), fate=FATES)
    def grant(self, who, micros, days, fate):
        wallet, key = ledger.Account.objects.get(pk=who), uuid.uuid4().hex
        until = timezone.now() + timedelta(days=days) if days else None
        asked = {"wallet": wallet, "amount": micros, "key": key, "reason": "x", "expires_at": until}
        self._do("grant", fate, grants.grant, **asked)
        assert self._do("grant", None, grants.grant, **asked)
        self.given[who] += micros

    @action(days=st.sampled_from([0, 2, 40]), fate=FATES)
    def expire_credits(self, days, fate):
        self._do("expire", fate, expiry.expire_due, now=timezone.now() + timedelta(days=days))

    @action(who=WHO, pick=PICK, new=st.booleans(), uses=st.integers(1, 2), fate=FATES)
    def redeem(self, who, pick, new, uses, fate):
        if new or not self.codes:
            code, voucher = vouchers.make(name="x", amount=usd("2"), uses=uses, credits_last_days=3)
            self.codes.append((code, voucher.pk))
        code, pk = self.codes[pick % len(self.codes)]
        before = Voucher.objects.get(pk=pk).used
        self._do("redeem", fate, vouchers.redeem, who, code)
        self._do("redeem", None, vouchers.redeem, who, code)
        self.given[who] += usd("2") * (Voucher.objects.get(pk=pk).used - before)

    @action(who=WHO, dollars=st.sampled_from(["1", "-1", "-4", "150"]), fate=FATES)
    def adjust(self, who, dollars, fate):
        made = self._do("adjust", fate, adjustments.request, who, amount=usd(dollars),
            reason="x", requested_by=STAFF)  # fmt: skip
        if made is not None and made.needs_second:
            self._do("decide", fate, adjustments.decide, made.pk, accept=True, decided_by=OTHERS)

    # --- Money back ---------------------------------------------------------------------------

    @action(often=2, pick=PICK, dollars=st.sampled_from([None, "1", "3.33"]), fate=FATES)
    def staff_refund(self, pick, dollars, fate):
        top_up = chosen(TopUp.objects.filter(state="credited").order_by("-created_at"), pick)
        if top_up is not None:
            self._do("refund", fate, refunds.request, top_up.pk, reason="x", requested_by=STAFF,
                amount=usd(dollars) if dollars else None)  # fmt: skip

    @action(often=2, pick=PICK, cents=st.sampled_from([None, 1, 250, 999]))
    def refund_in_the_dashboard(self, pick, cents):
        payment = chosen(self._payments("succeeded"), pick)
        if payment is None:
            return
        asked = {"payment_intent": payment["id"], **({"amount": cents} if cents else {})}
        with contextlib.suppress(stripe.StripeError):
            customer_desk(self.fake).v1.refunds.create(asked)
            self.done["dashboard refund"] += 1

    @action(often=2, pick=PICK, act=st.sampled_from(["succeed", "fail"]))
    def bank_ends_refund(self, pick, act):
        if refund := chosen(self._state("refund"), pick):
            self._far(f"refunds/{refund['id']}/{act}")

    @action(often=2, pick=PICK, part=st.booleans(), withdraw=st.booleans(),
        status=st.sampled_from(["needs_response", "warning_needs_response"]))  # fmt: skip
    def bank_contests(self, pick, part, withdraw, status):
        payment = chosen(self._payments("succeeded"), pick)
        if payment is None:
            return
        charge = next(c for c in self._state("charge") if c["id"] == payment["latest_charge"])
        before = [d for d in self._state("dispute") if d["charge"] == charge["id"]]
        left = charge["amount"] - charge["amount_refunded"]
        if left and all(d["status"] in ("won", "prevented", "warning_closed") for d in before):
            self._far("disputes", charge=charge["id"], amount=left // 2 + 1 if part else left,
                withdraw=withdraw, status=status)  # fmt: skip

    @action(
        often=2,
        pick=PICK,
        act=st.sampled_from(["withdraw", "won", "lost", "partly", "prevented", "close"]),
    )
    def bank_decides(self, pick, act):
        dispute = chosen(self._state("dispute"), pick)
        if dispute is None:
            return
        inquiry = dispute["status"].startswith("warning")
        if inquiry != (act == "close") or (act == "withdraw" and dispute["balance_transactions"]):
            return
        if act == "partly":
            part = dispute["amount"] // 3 + 1
            self._far(f"disputes/{dispute['id']}/lost", returned=part)
            return
        self._far(f"disputes/{dispute['id']}/{'warning_closed' if act == 'close' else act}")

    # --- Hearing of it ------------------------------------------------------------------------

    @action(often=3, picks=PICKS, hurried=st.booleans(), fate=FATES)
    def deliver(self, picks, hurried, fate):
        """Any events, in any order, again or for the first time; the newest are 0, 1, ..."""
        events = told(self.fake)
        for pick in picks if events else ():
            event = events[-1 - pick % len(events)]
            deliver(event)
            if hurried:
                self._do("event", fate, webhooks.process, event["id"])

    @action(fate=FATES)
    def list_events(self, fate):
        self._do("list", fate, tasks.listen_again)

    @action(often=2, span=SPANS, fate=FATES)
    def sweep(self, span, fate):
        pass_time(self.fake, span)
        self._do("sweep", fate, follow)

    @action()
    def a_day_passes(self):
        pass_time(self.fake, timedelta(days=1))

    # --- What is always so, and what is so in the end -----------------------------------------

    @invariant()
    def the_books_balance(self):
        wrong = never_wrong(self.fake.get("state"))
        assert not wrong, wrong

    def _in_the_end(self):
        recover(self.fake, hours=True)
        state = self.fake.get("state")
        wrong = agree(state)
        for who in MEMBERS:
            expected = self.given[who] + came_in(who, state) + moved(who, "adjustment")
            expected += moved(who, "expiry")
            if worth(who) != expected:
                wrong.append(f"wallet {who} is worth {worth(who)}, and should be {expected}")
        assert not wrong, wrong
        refunded = Refund.objects.filter(state="failed").exists()
        self.done["a refund failed"] += refunded

    # --- How things are done here -------------------------------------------------------------

    def _buy(self, who, dollars, fate):
        return self._do("buy", fate, topups.start, who, amount=usd(dollars),
            email="a@example.org", user_id=None, base_url="http://us.example")  # fmt: skip

    def _do(self, name, fate, work, *arguments, **named):
        """Let somebody do something, who may be refused, cut off, or die of it: then None."""
        if isinstance(fate, Away):
            self.fake.post("next", failure=fate.failure, times=fate.times, method=fate.method)
        try:
            with Luck(fate, self._others):
                found = work(*arguments, **named)
        except (PlatformError, Died) as why:
            self.done[type(why).__name__] += 1
            return None
        finally:
            if isinstance(fate, Away):
                calm(self.fake)
        self.done[name] += 1
        return found

    def _others(self):
        """Do all that is to be done just now, as the worker may at any moment."""
        self.done["met"] += 1
        tasks.listen_again()
        pass_time(self.fake, timedelta(minutes=3))
        follow()

    def _far(self, path, **asked):
        with contextlib.suppress(ControlRefusedError):
            self.fake.post(path, **asked)
            what = [word for word in path.split("/") if "_" not in word or word.endswith("closed")]
            self.done[" ".join(what)] += 1

    def _state(self, kind):
        return list(reversed(self.fake.get("state").get(kind, [])))

    def _pages(self):
        return [each for each in self._state("checkout.session")
            if each["status"] == "open" and each["mode"] == "payment"]  # fmt: skip

    def _payments(self, status):
        return [each for each in self._state("payment_intent") if each["status"] == status]


def chosen(rows, pick):
    rows = list(rows)
    return rows[pick % len(rows)] if rows else None


@pytest.fixture
def at_once(monkeypatch, caplog):
    """Let the SDK try again without a pause; nobody reads what is logged of all this."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("own_books", "at_once")
def test_money_is_neither_lost_nor_made(fake, settings):
    Money.fake, Money.settings = fake, settings
    Money.done = Counter()
    by_night = os.environ.get("MONEY_EXAMPLES")

    run_state_machine_as_test(
        Money,
        settings=profile(
            max_examples=int(by_night or examples(40)),
            steps=50 if by_night else 30,
            fixed=not by_night,
        ),
    )

    if os.environ.get("MONEY_DONE"):
        print(sorted(Money.done.items()))


def test_what_a_running_call_held_pays_what_is_due_when_it_ends(alice, shop, place_hold):
    """Found by the machine: nobody collected it, and the wallet stayed paused."""
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "11.00")
    running = place_hold(alice, "14.00")
    shop.dispute(bought)
    shop.hear_all()
    assert "$24.00 are due" in alice.now().frozen_reason

    holds.void(running)
    tasks.tend_wallets()

    assert alice.now().balance_micros == 0
    assert "$10.00 are due" in alice.now().frozen_reason


def test_hearing_of_a_saved_card_again_forgives_no_refusal(alice, shop):
    """Found at a crash: each reload of the page set the refusals in a row to none."""
    page = methods.start_setup(alice.workspace_id, email="a@b.example", user_id=None, base_url="")
    shop.fake.post(f"sessions/{page.id}/save", card="visa")
    methods.refresh_setup(alice.workspace_id)
    AutoTopUp.objects.update(failures=2, last_failure="The card was declined.")

    wish = methods.refresh_setup(alice.workspace_id)

    assert (wish.failures, wish.last_failure) == (2, "The card was declined.")


def profile(*, max_examples, steps, fixed):
    return settings(
        max_examples=max_examples,
        stateful_step_count=steps,
        derandomize=fixed,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[Phase.generate, *([] if os.environ.get("MONEY_UNSHRUNK") else [Phase.shrink])],
        suppress_health_check=list(HealthCheck),
    )
