"""What is unspent of a purchase, wanted back by who bought it: where, when, how much, once."""

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import Event
from common.errors import (
    AccessDisabled,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    PlatformError,
)
from common.money import usd
from credits.books import holds
from credits.models import Account, AutoTopUp, Refund, RefundAsk, TopUp
from credits.payments import purchases, refund_asks, stripe_api, wanted_back
from outbox.models import Mail

STAFF = uuid.uuid4()


@pytest.fixture
def at_once_here(settings):
    settings.MEMBER_REFUNDS, settings.MEMBER_REFUND_DAYS = "at_once", 14
    settings.ADJUSTMENT_LIMIT_MICROS = usd("100")


@pytest.fixture
def asked_here(settings):
    settings.MEMBER_REFUNDS, settings.MEMBER_REFUND_DAYS = "asked", 14


def want(member, bought, dollars="25.00", key=None):
    return wanted_back.request(
        member.workspace_id,
        bought.pk,
        amount=usd(dollars),
        key=key or uuid.uuid4(),
        by=member.user.pk,
    )


def standing(member):
    some = purchases.page_of(member.workspace_id, page=1, limit=10).purchases
    (found,) = wanted_back.standing(member.workspace_id, some).values()
    return found


def test_nobody_may_unless_the_operator_says_so(alice, shop):
    bought = shop.buy(alice)

    assert standing(alice).most == 0
    with pytest.raises(AccessDisabled, match="not given back here"):
        want(alice, bought)


def test_at_once_it_goes_back_and_the_same_form_again_is_the_same(
    alice, shop, at_once_here, books_balance
):
    bought, key = shop.buy(alice), uuid.uuid4()
    shop.spend(alice, "6.00")  # A dollar of it was granted.
    assert standing(alice).most == usd("20.00")

    made = want(alice, bought, "20.00", key)
    again = want(alice, bought, "20.00", key)

    assert (made.state, made.decided_by, again.refund_id) == ("done", None, made.refund_id)
    assert Refund.objects.get(top_up=bought).state == "succeeded"
    assert alice.now().balance_micros == 0
    assert standing(alice).most == 0
    noted = Event.objects.get(action="refund.wanted_back", target=str(key))
    assert noted.actor_id == alice.user.pk
    with pytest.raises(InsufficientCredits, match=r"\$0.00 of this purchase are unspent now"):
        want(alice, bought, "0.01")
    books_balance()


@pytest.mark.parametrize("dollars", ["25.01", "-1", "0", "0.005"])
def test_no_more_than_is_unspent_goes_back(alice, shop, at_once_here, dollars):
    with pytest.raises(InsufficientCredits):
        want(alice, shop.buy(alice), dollars)

    assert alice.now().balance_micros == usd("26")


def test_what_is_held_is_not_given_back(alice, shop, at_once_here):
    bought = shop.buy(alice)
    holds.place(alice.workspace_id, amount=usd("11.00"), ttl_seconds=60)

    with pytest.raises(InsufficientCredits, match=r"\$15.00"):
        want(alice, bought)


def test_after_its_days_or_of_another_or_contested_it_is_refused(alice, bob, shop, at_once_here):
    bought = shop.buy(alice)
    with pytest.raises(NotFound):
        want(bob, bought)
    other = shop.buy(alice, "10.00")
    shop.learn(shop.dispute(other))
    with pytest.raises(AccessDisabled, match="disputed"):
        want(alice, other, "10.00")

    long_ago = timezone.now() - timedelta(days=14, seconds=1)
    TopUp.objects.filter(pk=bought.pk).update(credited_at=long_ago)

    with pytest.raises(AccessDisabled, match="within 14 days"):
        want(alice, bought)
    assert Refund.objects.filter(top_up__wallet=alice.workspace_id).count() == 0


def test_above_the_limit_of_one_person_it_waits_for_staff(alice, shop, at_once_here, settings):
    settings.ADJUSTMENT_LIMIT_MICROS = usd("10")
    bought = shop.buy(alice)

    other = shop.buy(alice)

    assert want(alice, bought, "6.00").state == "done"
    assert want(alice, bought, "4.00").state == "done"
    assert want(alice, bought, "0.01").state == "waiting", "in parts it is not more"
    assert want(alice, other, "10.01").state == "waiting"


def test_asked_for_it_waits_and_staff_give_what_is_unspent_then(
    alice, shop, asked_here, books_balance
):
    bought = shop.buy(alice)
    made = want(alice, bought)
    again = want(alice, bought)
    assert again.pk == made.pk
    assert standing(alice).waits
    shop.spend(alice, "6.00")
    with pytest.raises(AccessDisabled, match="second person"):
        refund_asks.decide(made.pk, accept=True, decided_by=alice.user.pk)

    done = refund_asks.decide(made.pk, accept=True, decided_by=STAFF)

    assert done.state == "done"
    assert Refund.objects.get(top_up=bought).cents == 2000
    assert alice.now().balance_micros == 0
    books_balance()


def test_what_staff_refuse_its_member_reads_with_the_reason(alice, shop, asked_here):
    made = want(alice, shop.buy(alice))

    refund_asks.decide(made.pk, accept=False, decided_by=STAFF, reason="Too late for us.")

    (ask,) = standing(alice).asks
    assert (ask.state, ask.decision) == ("refused", "Too late for us.")
    assert "Too late for us." in Mail.objects.get(key=f"refund_ask:{made.pk}:refused").text
    assert alice.now().balance_micros == usd("26")


def test_it_is_taken_back_while_it_waits_and_not_after(alice, bob, shop, asked_here):
    made = want(alice, shop.buy(alice))
    with pytest.raises(NotFound):
        wanted_back.take_back(bob.workspace_id, made.pk, by=bob.user.pk)

    kept = wanted_back.take_back(alice.workspace_id, made.pk, by=alice.user.pk)
    late = refund_asks.decide(made.pk, accept=True, decided_by=STAFF)

    assert (kept.state, late.state) == ("refused", "refused")
    assert not Mail.objects.filter(key=f"refund_ask:{made.pk}:refused").exists()
    assert alice.now().balance_micros == usd("26")


def test_of_what_staff_ask_among_themselves_a_member_reads_nothing(alice, shop, settings):
    settings.ADJUSTMENT_LIMIT_MICROS = usd("10")
    refund_asks.request(shop.buy(alice).pk, reason="a friend of mine", requested_by=STAFF)

    assert standing(alice).asks == []


def test_what_stripe_refused_is_not_sent_again_by_the_same_form(
    alice, shop, at_once_here, books_balance
):
    """Its credits were put back: money for them would be given for nothing."""
    bought, key = shop.buy(alice), uuid.uuid4()
    shop.fake.post("next", failure="status=400", path="/v1/refunds")
    first = want(alice, bought, key=key)
    assert (first.refund.state, alice.now().balance_micros) == ("failed", usd("26"))

    again = want(alice, bought, key=key)

    assert (again.pk, Refund.objects.get(top_up=bought).state) == (first.pk, "failed")
    assert stripe_api.refunds_of(bought.payment_intent_id) == []
    assert want(alice, bought).refund.state == "succeeded", "A new form is a new wish"
    assert alice.now().balance_micros == usd("1")
    books_balance()


def test_a_key_of_another_purchase_or_workspace_is_refused(alice, bob, shop, asked_here):
    key = uuid.uuid4()
    want(alice, shop.buy(alice), key=key)

    for member, bought in ((alice, shop.buy(alice)), (bob, shop.buy(bob))):
        with pytest.raises(InvalidRequest, match="Open it anew"):
            want(member, bought, key=key)


def test_nobody_of_staff_is_needed_for_members_alone(alice, shop, asked_here):
    made = want(alice, shop.buy(alice))
    rows = RefundAsk.objects.filter(pk=made.pk)
    refund = Refund.objects.create(top_up=made.top_up, source="stripe", cents=1, taken_micros=10000)

    with pytest.raises(IntegrityError, match="refund_ask_second_person"), transaction.atomic():
        rows.update(by_member=False, state="done", refund=refund)
    rows.update(state="done", refund=refund)


# --- At once ------------------------------------------------------------------------------------


@pytest.fixture
def bought(committed, make_member, shop, settings):
    """Twenty-five dollars that may go back at once, seen by every connection."""
    settings.MEMBER_REFUNDS, settings.MEMBER_REFUND_DAYS = "at_once", 14
    settings.ADJUSTMENT_LIMIT_MICROS = usd("100")
    member = make_member()
    return member, shop.buy(member)


def verdict(work):
    """What it said, or which of our refusals: anything else is a mistake of ours."""
    try:
        return work()
    except PlatformError as refusal:
        return refusal.code


def test_of_many_clicks_on_one_form_money_goes_back_once(bought, at_once):
    member, purchase = bought
    key = uuid.uuid4()

    told = at_once(lambda _: verdict(lambda: want(member, purchase, key=key).state), range(6))

    assert set(told) == {"done"}
    assert Refund.objects.filter(top_up=purchase).count() == 1
    assert member.now().balance_micros == usd("1")


def test_of_many_forms_together_no_more_than_was_unspent_goes_back(bought, at_once):
    member, purchase = bought

    told = at_once(lambda _: verdict(lambda: want(member, purchase, "10.00").state), range(6))

    assert sorted(told) == ["done"] * 2 + ["insufficient_credits"] * 4
    assert member.now().balance_micros == usd("6")


@pytest.mark.parametrize("attempt", range(4))
def test_a_call_a_dispute_and_a_refund_at_one_moment_leave_nothing_below_zero(
    bought, at_once, shop, books_balance, attempt
):
    member, purchase = bought
    made = shop.dispute(purchase) if attempt % 2 else None

    def spend():
        hold = holds.place(member.workspace_id, amount=usd("20"), ttl_seconds=60, memo={})
        assert holds.capture(hold, usd("20"))
        return "spent"

    works = {
        "back": lambda: want(member, purchase).state,
        "call": spend,
        "dispute": lambda: shop.learn(made).phase if made else "none",
    }
    order = ["back", "call", "dispute", "back"]
    told = at_once(lambda what: verdict(works[what]), order[attempt:] + order[:attempt])

    account = Account.objects.get(pk=member.workspace_id)
    assert account.balance_micros >= account.held_micros >= 0
    assert told.count("done") + told.count("spent") <= 1, told
    back = Refund.objects.filter(top_up=purchase).exclude(state="failed")
    assert back.count() <= 1


def test_who_takes_it_back_while_staff_accept_agree_on_one_end(
    committed, make_member, shop, settings, at_once
):
    settings.MEMBER_REFUNDS, settings.MEMBER_REFUND_DAYS = "asked", 14
    member = make_member()
    made = want(member, shop.buy(member))

    def act(who):
        if who == "member":
            return wanted_back.take_back(member.workspace_id, made.pk, by=member.user.pk).state
        return refund_asks.decide(made.pk, accept=True, decided_by=uuid.uuid4()).state

    told = at_once(act, ["member", "staff", "member", "staff"])

    kept = RefundAsk.objects.get(pk=made.pk)
    assert set(told) == {kept.state}
    left = usd("1") if kept.state == "done" else usd("26")
    assert member.now().balance_micros == left


def test_nothing_goes_back_that_would_be_bought_again_at_once(alice, shop, at_once_here):
    bought = shop.buy(alice)
    wish = AutoTopUp.objects.create(
        wallet=alice.wallet, enabled=True, payment_method_id="pm_card", user_id=alice.user.pk
    )

    with pytest.raises(AccessDisabled, match="Turn it off first"):
        want(alice, bought, "25.00")

    assert not RefundAsk.objects.filter(top_up=bought).exists()
    assert want(alice, bought, "20.00").state == "done"  # Enough stays.
    wish.enabled = False
    wish.save()
    assert want(alice, bought, "5.00").state == "done"
