"""The nightly comparison: our purchases are Stripe's payments, or staff see where they are not."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from common.money import usd
from credits.models import Dispute, Finding, Refund, TopUp
from credits.payments import processor, refunds, stripe_api, topups
from credits.proofs import reconciliation

STAFF = uuid.uuid4()
NOW = timedelta(0)


def compare(**more):
    """Compare, without waiting for news that may be on its way."""
    return processor.compare(settling=NOW, **more)


def payment_of(top_up):
    return stripe_api.session(top_up.session_id).payment_intent


def open_findings():
    ours = Finding.objects.filter(key__startswith=processor.PREFIX, resolved_at=None)
    return {each.key: each.sentence for each in ours}


def the_only(kind, name, sentence):
    """There is one difference, with that key, and it says so; comparing again adds none."""
    for _ in range(2):
        compare()
        ((key, said),) = open_findings().items()
        assert key == f"processor:{kind}:{name}"
        assert sentence in said
    return Finding.objects.get(key=key)


def resolved(found):
    compare()
    found.refresh_from_db()
    return found.resolved_at is not None and not open_findings()


@pytest.fixture(autouse=True)
def _nobody_elses(fake, db):
    """What other tests committed was at a Stripe that has forgotten it."""
    old = timezone.now() - timedelta(days=40)
    TopUp.objects.filter(state="credited").update(credited_at=old)
    Refund.objects.update(created_at=old)
    Dispute.objects.update(created_at=old)
    Finding.objects.all().delete()


# --- A normal history -----------------------------------------------------------------------


@pytest.mark.slow
def test_after_everything_that_normally_happens_nothing_differs(
    alice, bob, shop, settings, books_balance
):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19)
    shop.buy(bob, "7.31")
    unpaid, slow = shop.open(alice), shop.open(alice)
    shop.pay(slow, card="later")
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "3")
    refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=100, refund="", key="dashboard"
    )
    back = refunds.request(
        shop.buy(alice, "10.00").pk, amount=usd("2"), reason="x", requested_by=STAFF
    )
    shop.fake.post(f"refunds/{back.stripe_id}/fail")
    for end in ("won", "lost", "under_review", "warning_closed"):
        inquiry = {"status": "warning_needs_response"} if end == "warning_closed" else {}
        made = shop.dispute(shop.buy(bob, "6.00"), **inquiry)
        shop.fake.post(f"disputes/{made['id']}/{end}")
    shop.hear_all()

    result = compare()

    assert (result.differences, open_findings()) == ({}, {})
    assert result.payments == 7
    assert result.cents == 869 + 2975 + 1190 + 4 * 714
    assert unpaid.state == "open"
    books_balance()


def test_what_else_this_stripe_account_sells_is_no_difference(alice, shop):
    other = stripe_api.create_customer(email="x@example.org", workspace="", key="other")
    paid = stripe_api.charge_saved_method(
        customer=other, payment_method="pm_card_visa", cents=900, top_up="", key="other-2"
    )
    stripe_api.create_refund(payment_intent=paid.id, cents=100, refund="", key="other-3")
    shop.fake.post("disputes", payment_intent=paid.id, amount=500)

    assert compare().differences == {}


def test_news_that_may_be_on_its_way_is_waited_for(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)

    assert processor.compare().differences == {}
    assert len(compare().differences) == 1


@pytest.mark.slow
def test_more_movements_than_a_page_holds_are_compared(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)
    other = stripe_api.create_customer(email="x@example.org", workspace="", key="other")
    paid = stripe_api.charge_saved_method(
        customer=other, payment_method="pm_card_visa", cents=900, top_up="", key="other-2"
    )
    for number in range(210):
        stripe_api.create_refund(payment_intent=paid.id, cents=1, refund="", key=f"{number}")

    assert list(compare().differences) == [f"processor:payment:{payment_of(top_up)}"]


# --- Each kind of difference ----------------------------------------------------------------


def test_a_payment_of_ours_that_was_not_credited_is_found_until_it_is(alice, shop):
    top_up = shop.open(alice)
    shop.pay(top_up)

    found = the_only("payment", payment_of(top_up), "which says it is for us: 0 cents in our books")

    assert "2500 cents at the processor" in found.sentence
    topups.refresh(top_up.pk)
    assert resolved(found)


def test_a_purchase_credited_without_a_payment_is_found(alice, shop):
    top_up = shop.open(alice)
    invented = stripe_api.Payment(
        id="pi_invented", status="succeeded", cents=2500, received_cents=2500, currency="usd",
        receipt_url="", failure="", top_up="",
    )  # fmt: skip
    topups.learn_payment(top_up, invented)

    the_only("payment", "pi_invented", "2500 cents in our books, 0 cents at the processor")


def test_a_payment_of_another_amount_is_found_until_it_is_mended(alice, shop):
    bought = shop.buy(alice, "25.00")
    TopUp.objects.filter(pk=bought.pk).update(tax_cents=1)

    found = the_only(
        "payment",
        bought.payment_intent_id,
        f"purchase {bought.pk}: 2501 cents in our books, 2500 cents at the processor",
    )

    TopUp.objects.filter(pk=bought.pk).update(tax_cents=0)
    assert resolved(found)


def test_a_refund_that_we_did_not_hear_of_is_found_until_we_do(alice, shop):
    bought = shop.buy(alice, "25.00")
    made = stripe_api.create_refund(
        payment_intent=bought.payment_intent_id, cents=700, refund="", key="dashboard"
    )

    found = the_only("refund", made.id, "of a payment of ours: 0 cents in our books, -700 cents")

    shop.hear_all()
    assert resolved(found)


def test_a_refund_that_stripe_does_not_know_is_found(alice, shop):
    bought = shop.buy(alice, "25.00")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    Refund.objects.filter(pk=refund.pk).update(stripe_id="re_invented")

    compare()

    assert set(open_findings()) == {
        "processor:refund:re_invented",
        f"processor:refund:{refund.stripe_id}",
    }
    assert "-500 cents in our books, 0 cents" in open_findings()["processor:refund:re_invented"]


def test_a_refund_that_failed_there_and_not_here_is_found_until_we_hear(alice, shop):
    bought = shop.buy(alice, "25.00")
    refund = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    shop.fake.post(f"refunds/{refund.stripe_id}/fail")

    found = the_only("refund", refund.stripe_id, "-500 cents in our books, 0 cents")

    shop.hear_all()
    assert resolved(found)


def test_a_dispute_that_we_did_not_hear_of_is_found_until_we_do(alice, shop):
    made = shop.dispute(shop.buy(alice, "25.00"))

    found = the_only("dispute", made["id"], "of a payment of ours: 0 cents in our books, -2500")

    shop.hear_all()
    assert resolved(found)


def test_a_dispute_that_was_won_there_and_not_here_is_found_until_we_hear(alice, shop):
    made = shop.dispute(shop.buy(alice, "25.00"))
    shop.hear_all()
    shop.fake.post(f"disputes/{made['id']}/won")

    found = the_only("dispute", made["id"], "-2500 cents in our books, 0 cents")

    shop.hear_all()
    assert resolved(found)


def test_a_dispute_lost_without_any_money_moving_is_found_until_it_moves(alice, shop):
    """We book what Stripe says it takes; if it never does, staff must know."""
    bought = shop.buy(alice, "25.00")
    made = shop.dispute(bought, withdraw=False)
    shop.fake.post(f"disputes/{made['id']}/lost", move_funds=False)
    shop.hear_all()

    found = the_only("dispute", made["id"], "-2500 cents in our books, 0 cents")

    shop.fake.post(f"disputes/{made['id']}/withdraw")
    assert resolved(found)


# --- Findings -------------------------------------------------------------------------------


def test_a_difference_stays_open_however_long_nobody_mends_it(alice, shop):
    """It must not fall out of the comparison's sight, and seem to be resolved."""
    top_up = shop.open(alice)
    shop.fake.post("clock", skew_seconds=-20 * 24 * 3600)
    shop.pay(top_up)
    shop.fake.post("clock", skew_seconds=0)
    found = the_only_after_a_look_back(payment_of(top_up))
    Finding.objects.update(created_at=timezone.now() - timedelta(days=19))

    compare()

    found.refresh_from_db()
    assert found.resolved_at is None
    topups.refresh(top_up.pk)
    assert resolved(found)


def the_only_after_a_look_back(payment):
    compare(days=30)
    return Finding.objects.get(key=f"processor:payment:{payment}", resolved_at=None)


def test_a_difference_that_comes_back_is_open_again(alice, shop):
    bought = shop.buy(alice, "25.00")
    TopUp.objects.filter(pk=bought.pk).update(tax_cents=1)
    compare()
    TopUp.objects.filter(pk=bought.pk).update(tax_cents=0)
    compare()
    TopUp.objects.filter(pk=bought.pk).update(tax_cents=2)

    compare()

    (found,) = Finding.objects.filter(key__startswith=processor.PREFIX)
    assert found.resolved_at is None
    assert "2502 cents in our books" in found.sentence


def test_other_findings_are_not_closed(alice, shop):
    Finding.objects.create(key="fraud:x", kind="fraud", sentence="x")

    compare()

    assert Finding.objects.get(key="fraud:x").resolved_at is None


@pytest.mark.parametrize(
    ("kind", "differs"), [("fraud", 0), ("vendor", 0), ("processor", 1), ("payment", 1)]
)
def test_only_what_is_open_about_payments_keeps_the_proof_from_holding(db, kind, differs):
    """What a vendor named or a bank suspects is for staff to read; no two numbers differ by it."""
    Finding.objects.create(key=f"{kind}:x", kind=kind, sentence="x")

    proofs = {each.name: each for each in reconciliation.prove(reconciliation.MONEY)}

    found = proofs["every difference from the processor was resolved"]
    assert found.differences == [f"{kind}:x: x"] * differs


def test_when_stripe_is_away_nothing_is_opened_or_closed(alice, shop, impatient):
    top_up = shop.open(alice)
    shop.pay(top_up)
    compare()
    before = open_findings()
    shop.fake.post("next", failure="status=503", times=3, method="GET", path="/v1/balance")

    with pytest.raises(stripe_api.PaymentsUnavailable):
        compare()

    assert open_findings() == before


# --- What is only partly in sight -----------------------------------------------------------

MONTHS = -70 * 24 * 3600


def months_ago(shop, what):
    """Have it happen at a Stripe whose clock was then that far back."""
    shop.fake.post("clock", skew_seconds=MONTHS)
    done = what()
    shop.fake.post("clock", skew_seconds=0)
    return done


@pytest.mark.parametrize("end", ["won", "reinstate"])
def test_a_dispute_whose_money_comes_back_after_months_is_no_difference(alice, shop, end):
    """Banks take months: what was withdrawn is out of sight when it is given back."""
    bought = months_ago(shop, lambda: shop.buy(alice, "25.00"))
    made = months_ago(shop, lambda: shop.dispute(bought))
    shop.hear_all()
    TopUp.objects.filter(pk=bought.pk).update(credited_at=timezone.now() - timedelta(days=70))
    Dispute.objects.update(created_at=timezone.now() - timedelta(days=70))
    shop.fake.post(f"disputes/{made['id']}/{end}")
    shop.learn(made)

    assert compare().differences == {}


def test_a_refund_that_the_bank_returns_after_months_is_no_difference(alice, shop):
    bought = months_ago(shop, lambda: shop.buy(alice, "25.00"))
    refund = months_ago(
        shop,
        lambda: refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF),
    )
    TopUp.objects.filter(pk=bought.pk).update(credited_at=timezone.now() - timedelta(days=70))
    Refund.objects.update(created_at=timezone.now() - timedelta(days=70))
    shop.fake.post(f"refunds/{refund.stripe_id}/fail")
    refunds.learn(stripe_api.refund(refund.stripe_id))

    assert compare().differences == {}


def test_a_balance_that_is_kept_in_euros_is_compared_in_dollars(alice, bob, shop):
    shop.fake.post("switches", balance_currency="eur")
    bought = shop.buy(alice, "25.00")
    back = refunds.request(bought.pk, amount=usd("5"), reason="x", requested_by=STAFF)
    shop.fake.post(f"refunds/{back.stripe_id}/fail")
    refunds.request(bought.pk, amount=usd("2"), reason="x", requested_by=STAFF)
    for end in ("won", "lost"):
        made = shop.dispute(shop.buy(bob, "6.00"))
        shop.fake.post(f"disputes/{made['id']}/{end}")
    shop.hear_all()

    assert compare().differences == {}


@pytest.mark.parametrize("way", ["refund", "dispute"])
def test_a_payment_that_could_not_be_credited_is_mended_when_its_money_went_back(alice, shop, way):
    """Nothing of it is in the books, neither its coming nor its going."""
    top_up = shop.open(alice, "25.00")
    TopUp.objects.filter(pk=top_up.pk).update(amount_micros=usd("26.00"))
    shop.pay(top_up)
    stuck = topups.refresh(top_up.pk)
    found = the_only("payment", stuck.payment_intent_id, "0 cents in our books, 2500 cents")

    if way == "refund":
        stripe_api.create_refund(
            payment_intent=stuck.payment_intent_id, cents=2500, refund="", key="dashboard"
        )
    else:
        shop.dispute(stuck)
    shop.hear_all()

    assert resolved(found)
