"""The trial balance: by hand for one history, by a model for all, and by the ledger for each."""

import io
import json
import threading
from collections import defaultdict
from datetime import date, timedelta

import pytest
import written_history as history
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_history import day

from common.errors import InsufficientCredits, InvalidRequest
from common.money import Micros
from credits.books import complete, expiry, holds, ledger
from credits.gifts import grants
from credits.models import HOUSE, Account, DaySum, Entry, Lot, Tally
from credits.proofs import accounting, reconciliation
from tests.plugin import examples

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 5)
USD = 1_000_000


def differences():
    proofs = reconciliation.prove(reconciliation.DAYS)
    return [f"{proof.name}: {line}" for proof in proofs for line in proof.differences]


@pytest.fixture
def clean_books(db):
    history.clean_books()


@pytest.fixture
def told(clean_books, make_member):
    """Carol buys and calls, Dan has a gift and spends more than it; three days."""
    carol, dan = make_member("0").workspace_id, make_member("0").workspace_id
    history.post(carol, "top_up", 20 * USD, day("2026-03-01"))
    history.between_house("tax", "stripe", "tax", 4 * USD, day("2026-03-01"))
    history.post(dan, "grant", 2 * USD, day("2026-03-01"))
    history.post(carol, "call", -3 * USD, day("2026-03-01"))
    # The second of March passes without an entry.
    history.post(dan, "top_up", 10 * USD, day("2026-03-03"))
    history.post(dan, "call", -5 * USD, day("2026-03-03"))  # 2 of the gift, 3 of what he bought.
    history.between_house("shortfall", "shortfall", "sales", USD // 2, day("2026-03-03"))
    history.post(carol, "refund", -17 * USD, day("2026-03-03"))
    history.between_house("tax", "tax", "stripe", 3_400_000, day("2026-03-03"))
    return carol, dan


BY_HAND = {
    date(2026, 3, 1): {
        "wallet": (0, 3 * USD, 22 * USD),
        "sales": (0, 0, 3 * USD),
        "stripe": (0, 24 * USD, 0),
        "promotion": (0, 2 * USD, 0),
        "tax": (0, 0, 4 * USD),
    },
    date(2026, 3, 2): {
        "wallet": (19 * USD, 0, 0),
        "sales": (3 * USD, 0, 0),
        "stripe": (-24 * USD, 0, 0),
        "promotion": (-2 * USD, 0, 0),
        "tax": (4 * USD, 0, 0),
    },
    date(2026, 3, 3): {
        "wallet": (19 * USD, 22 * USD, 10 * USD),
        "sales": (3 * USD, 0, 5_500_000),
        "stripe": (-24 * USD, 10 * USD, 20_400_000),
        "promotion": (-2 * USD, 0, 0),
        "shortfall": (0, 500_000, 0),
        "tax": (4 * USD, 3_400_000, 0),
    },
}


@pytest.mark.parametrize("tallied", [False, True])
def test_a_history_adds_up_as_by_hand(told, tallied):
    if tallied:
        assert accounting.tally() == 1

    found = accounting.days(date(2026, 3, 1), date(2026, 3, 4))

    assert {
        each.day: {a.kind: (a.opening, a.debits, a.credits) for a in each.accounts}
        for each in found
    } == BY_HAND
    assert [each.revenue for each in found] == [3 * USD, 0, 5_500_000]
    assert [each.outstanding for each in found] == [19 * USD, 19 * USD, 7 * USD]
    assert [each.granted for each in found] == [2 * USD, 2 * USD, 0]
    assert [each.paid for each in found] == [17 * USD, 17 * USD, 7 * USD]


def test_a_period_opens_with_all_that_was_before(told):
    (third,) = accounting.days(date(2026, 3, 3), date(2026, 3, 4))

    assert {a.kind: (a.opening, a.debits, a.credits) for a in third.accounts} == BY_HAND[third.day]
    assert third.granted == 0


def test_without_an_end_it_goes_until_today(told):
    found = accounting.days(timezone.now().date() - timedelta(days=1))

    assert [each.day for each in found][-1] == timezone.now().date()
    assert found[-1].outstanding == 7 * USD


@pytest.mark.parametrize(
    ("first", "until"),
    [(FIRST, FIRST), (LAST, FIRST), (date(1, 1, 1), FIRST), (date(9999, 1, 1), None)],
)
def test_a_period_of_no_days_or_too_many_is_refused(db, first, until):
    with pytest.raises(InvalidRequest, match="days"):
        accounting.days(first, until)


# --- Whatever happened ---------------------------------------------------------------------------

AMOUNTS = st.integers(1, 9)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["top_up", "grant", "call", "call", "adjustment", "refund", "expiry", "pass on",
             "tax", "shortfall", "tally", "tally"]
        ),
        st.integers(0, 2),
        AMOUNTS,
        st.dates(FIRST, LAST),
    ),
    max_size=25,
)  # fmt: skip
often = settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Model:
    """What a careful person would write down: each wallet's gifts and purchases, apart."""

    def __init__(self, wallets):
        self.wallets = wallets
        self.given = dict.fromkeys(wallets, 0)
        self.bought = dict.fromkeys(wallets, 0)
        self.moved = defaultdict(lambda: defaultdict(int))
        self.granted_on = defaultdict(int)
        self.gifts = {}

    def step(self, what, who, amount, on):
        wallet, at = self.wallets[who], day(on.isoformat())
        if what == "tally":
            accounting.tally()
        elif what in ("tax", "shortfall"):
            debit, credit = {"tax": ("stripe", "tax"), "shortfall": ("shortfall", "sales")}[what]
            history.between_house(what, debit, credit, amount, at)
            self._move(on, debit, credit, amount)
        elif what == "top_up":
            history.post(wallet, what, amount, at)
            self.bought[wallet] += amount
            self._move(on, "stripe", "wallet", amount)
        elif what == "grant":
            self.gifts[wallet] = history.post(wallet, what, amount, at).pk
            self.given[wallet] += amount
            self.granted_on[on] += amount
            self._move(on, "promotion", "wallet", amount)
        elif what == "refund" and self.bought[wallet] >= amount:
            history.post(wallet, what, -amount, at)
            self.bought[wallet] -= amount
            self._move(on, "wallet", "stripe", amount)
        elif what == "expiry" and self.given[wallet] >= amount:
            key = f"expiry:{self.gifts[wallet]}:{Entry.objects.count()}"
            history.post(wallet, what, -amount, at, key=key)
            self.given[wallet] -= amount
            self.granted_on[on] -= amount
            self._move(on, "wallet", "expired", amount)
        elif what in ("call", "adjustment") and self._has(wallet) >= amount:
            history.post(wallet, what, -amount, at)
            self._spend(wallet, amount, on)
            self._move(on, "wallet", history.ACROSS[what], amount)
        elif what == "pass on" and self._has(wallet) >= amount:
            other = self.wallets[(who + 1) % 3]
            self.gifts[other] = history.post(other, "grant", amount, at, across=wallet).pk
            self._spend(wallet, amount, on)
            self.given[other] += amount
            self.granted_on[on] += amount
            self._move(on, "wallet", "wallet", amount)

    def _has(self, wallet):
        return self.given[wallet] + self.bought[wallet]

    def _spend(self, wallet, amount, on):
        gift = min(amount, self.given[wallet])
        self.given[wallet] -= gift
        self.bought[wallet] -= amount - gift
        self.granted_on[on] -= gift

    def _move(self, on, debit, credit, amount):
        self.moved[on][debit] -= amount
        self.moved[on][credit] += amount


@often
@given(steps=STEPS)
def test_every_history_adds_up_day_by_day(clean_books, make_member, steps):
    with transaction.atomic():
        model = Model([make_member("0").workspace_id for _ in range(3)])
        for step in steps:
            model.step(*step)

        found = accounting.days(FIRST, LAST + timedelta(days=1))

        balances, granted = defaultdict(int), 0
        for before, each in zip([None, *found], found, strict=False):
            assert sum(a.closing for a in each.accounts) == 0
            assert sum(a.debits for a in each.accounts) == sum(a.credits for a in each.accounts)
            if before is not None:
                opened = {a.kind: a.opening for a in each.accounts if a.opening}
                assert opened == {a.kind: a.closing for a in before.accounts if a.closing}
            for kind, amount in model.moved[each.day].items():
                balances[kind] += amount
            granted += model.granted_on[each.day]
            assert {a.kind: a.closing for a in each.accounts if a.closing} == {
                kind: amount for kind, amount in balances.items() if amount
            }
            assert each.granted == granted
        assert found[-1].granted == sum(model.given.values())
        assert found[-1].paid == sum(model.bought.values())
        wallets = Account.objects.filter(pk__in=model.wallets)
        assert found[-1].outstanding == sum(wallet.balance_micros for wallet in wallets)
        assert not [line for line in differences() if "sums by day" in line]
        transaction.set_rollback(True)


REAL = st.lists(
    st.tuples(
        st.sampled_from(
            ["buy", "give", "give for a while", "call", "call", "take", "refund", "expire",
             "reverse", "tally"]
        ),
        AMOUNTS,
        st.integers(0, 30),
    ),
    max_size=20,
)  # fmt: skip


def act(wallet_id, what, amount, n):
    """Do it as the product does; what there is too little for does not happen."""
    wallet = Account.objects.get(pk=wallet_id)
    key = f"{what}:{wallet_id}:{Entry.objects.count()}"
    if what == "buy":
        stripe = ledger.house(Account.Kind.STRIPE)
        ledger.post(kind=Entry.Kind.TOP_UP, debit=stripe, credit=wallet, amount=amount, key=key)
    elif what in ("give", "give for a while"):
        until = timezone.now() + timedelta(days=n) if what != "give" else None
        grants.grant(wallet=wallet, amount=amount, key=key, reason="", expires_at=until)
    elif what == "call":
        holds.capture(holds.place(wallet_id, amount=Micros(9), ttl_seconds=60), amount)
    elif what == "take":
        other = ledger.house(Account.Kind.ADJUSTMENT)
        ledger.post(kind=Entry.Kind.ADJUSTMENT, debit=wallet, credit=other, amount=amount, key=key)
    elif what == "refund":
        wallet = ledger.lock(wallet_id)
        lots = Lot.objects.filter(wallet=wallet, kind="paid", left_micros__gte=amount)
        if lot := lots.first():
            stripe = ledger.house(Account.Kind.STRIPE)
            ledger.post(
                kind=Entry.Kind.REFUND, debit=wallet, credit=stripe, amount=amount, key=key, lot=lot
            )
    elif what == "expire":
        expiry.expire_due(now=timezone.now() + timedelta(days=n))
    elif what == "reverse":
        entries = Entry.objects.filter(event_wallet=wallet_id).order_by("id")
        if entries:
            ledger.reverse(entries[n % len(entries)], reason="test")
    else:
        accounting.tally()


@often
@given(steps=REAL)
def test_what_entries_say_was_given_is_what_the_lots_say(clean_books, make_member, steps):
    """Two ways to the same number: along the entries, and by the lots that the ledger keeps."""
    with transaction.atomic():
        wallet_id = make_member("0").workspace_id
        for step in steps:
            try:
                with transaction.atomic():
                    act(wallet_id, *step)
            except InsufficientCredits:
                continue

        assert differences() == []
        today = accounting.days(timezone.now().date() - timedelta(days=1))[-1]
        assert today.outstanding == Account.objects.get(pk=wallet_id).balance_micros
        transaction.set_rollback(True)


# --- Sums that are kept --------------------------------------------------------------------------


def test_a_tally_is_made_in_ranges_and_once(told, monkeypatch):
    monkeypatch.setattr(accounting, "RANGE", 2)

    assert accounting.tally() >= 5
    assert accounting.tally() == 0

    assert sum(DaySum.objects.values_list("entries", flat=True)) == 9
    assert differences() == []


def test_what_comes_later_is_under_its_own_day(told):
    carol, _ = told
    accounting.tally()
    history.post(carol, "grant", 5, day("2026-03-01"))

    first, *_, third = accounting.days(FIRST, date(2026, 3, 4))
    accounting.tally()

    assert (first.granted, third.granted) == (2 * USD + 5, 5)
    assert accounting.days(FIRST, date(2026, 3, 4))[0] == first
    assert not [line for line in differences() if "sums by day" in line]


def test_an_entry_that_is_not_committed_yet_is_waited_for(committed, make_member):
    """A lower id may become visible after a higher one: no tally goes past it before."""
    slow, quick = make_member("1.00"), make_member("1.00")
    entered, leave = threading.Event(), threading.Event()

    def write_slowly():
        try:
            with transaction.atomic():
                history.post(slow.workspace_id, "call", -1, timezone.now())
                entered.set()
                leave.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert entered.wait(10)
    later = history.post(quick.workspace_id, "call", -1, timezone.now())
    assert complete.settled_entry(wait_seconds=0.2) is None
    threading.Timer(0.3, leave.set).start()

    settled = complete.settled_entry()
    thread.join()

    assert settled == later.pk
    assert Entry.objects.filter(debit=slow.workspace_id).latest("id").pk < settled
    assert not thread.is_alive()


def test_two_at_once_sum_each_entry_once(committed, at_once, make_member):
    history.many_calls(make_member("0").workspace_id, 300)

    at_once(lambda _: accounting.tally(), range(3))

    counted = sum(DaySum.objects.values_list("entries", flat=True))
    last = Tally.objects.latest("last_entry").last_entry
    assert counted == Entry.objects.filter(pk__lte=last).count()


FORGED = {
    "an entry's amount": "UPDATE credits_entry SET amount_micros = amount_micros + 1"
    " WHERE amount_micros = 2000000",
    "an entry's day": "UPDATE credits_entry SET created_at = created_at + interval '1 day'"
    " WHERE amount_micros = 2000000",
    "an entry that vanished": "DELETE FROM credits_entry WHERE amount_micros = 500000",
    "a sum": "UPDATE credits_daysum SET micros = micros + 1 WHERE debit_kind = 'promotion'",
    "a sum that vanished": "DELETE FROM credits_daysum WHERE debit_kind = 'promotion'",
    "what was given": "UPDATE credits_grantedleft SET micros = micros + 1",
    "what was given that day": "UPDATE credits_daysum SET granted_micros = 0"
    " WHERE debit_kind = 'promotion'",
}


@pytest.mark.parametrize("what", FORGED)
def test_what_was_changed_by_hand_is_named(told, what):
    accounting.tally()
    assert differences() == []
    history.untouchable()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(FORGED[what])

    assert differences() != []


def test_the_sums_can_be_made_again(told):
    accounting.tally()
    before = accounting.days(FIRST, LAST)
    with connection.cursor() as cursor:
        for table in ("daysum", "tally", "grantedleft"):
            cursor.execute(f"DELETE FROM credits_{table}")

    accounting.tally()

    assert accounting.days(FIRST, LAST) == before


# --- As it is printed ----------------------------------------------------------------------------


def printed(*arguments):
    out = io.StringIO()
    call_command("trial_balance", *arguments, stdout=out)
    return out.getvalue()


def test_an_accountant_reads_a_table(told):
    lines = printed("--from", "2026-03-01", "--to", "2026-03-04").split("\n")

    where = [line.split(" ")[0] for line in lines].index("2026-03-03")
    assert lines[where].split() == ["2026-03-03", "opening", "debits", "credits", "closing"]
    assert lines[where + 1] == (
        "Credits outstanding            19.000000           22.000000           10.000000"
        "            7.000000"
    )
    assert lines[where + 3].split() == [
        "Stripe", "-24.000000", "10.000000", "20.400000", "-13.600000",
    ]  # fmt: skip
    assert lines[where + 7].split() == ["Total", "0.000000", "35.900000", "35.900000", "0.000000"]
    assert lines[where + 8] == (
        "Revenue recognised 5.500000; credits outstanding 7.000000: paid 7.000000, granted 0.000000"
    )
    assert "Promotion: credits given away; an expense" in lines


def test_a_program_reads_json(told):
    days = json.loads(printed("--from", "2026-03-01", "--to", "2026-03-04", "--json"))

    assert [each["day"] for each in days] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert days[0]["outstanding_granted_micros"] == 2 * USD
    assert days[2]["revenue_micros"] == 5_500_000
    assert {
        "account": "tax",
        "opening_micros": 4 * USD,
        "debits_micros": 3_400_000,
        "credits_micros": 0,
        "closing_micros": 600_000,
    } in days[2]["accounts"]


@pytest.mark.parametrize(
    "arguments", [("--from", "soon"), ("--from", "2026-03-01", "--to", "2026-03-01")]
)
def test_a_mistake_is_a_sentence(db, arguments):
    with pytest.raises(CommandError, match=r"not a day|has 0 days"):
        printed(*arguments)


def test_every_account_of_the_house_has_its_meaning():
    assert set(accounting.MEANING) == set(Account.Kind)
    assert set(HOUSE) == set(Account.Kind) - {Account.Kind.WALLET}
