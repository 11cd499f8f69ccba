"""Money through the fake Stripe: paid, paid later, declined, given back, disputed; all adds up."""

import pytest
import stripe

from sandbox.stripe.remote import ControlRefusedError, Remote, stripe_in_thread

ITEM = {
    "price_data": {"currency": "usd", "unit_amount": 2500, "product_data": {"name": "Credits"}},
    "quantity": 1,
}
PAYMENT = {"mode": "payment", "line_items": [ITEM], "success_url": "https://shop.example/"}


@pytest.fixture(scope="module")
def fake():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def v1(fake: Remote):
    fake.post("reset")
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        "sk_test_money", base_addresses={"api": fake.url}, max_network_retries=0, http_client=http
    ).v1
    http.close()


@pytest.fixture
def alice(v1):
    return v1.customers.create({"email": "alice@example.com"})


@pytest.fixture
def paid(v1):
    return charge_off_session(v1)


def charge_off_session(v1, method="pm_card_visa", **more):
    asked = {
        "amount": 2000,
        "currency": "usd",
        "payment_method": method,
        "confirm": True,
        "off_session": True,
        **more,
    }
    return v1.payment_intents.create(asked)


def told(v1, since=0):
    """Give the types of all events, oldest first."""
    return [each.type for each in reversed(v1.events.list({"limit": 100}).data)][since:]


def balance(v1):
    return sum(each.net for each in v1.balance_transactions.list({"limit": 100}).data)


def test_a_checkout_is_paid(v1, fake, alice):
    session = v1.checkout.sessions.create(
        {
            **PAYMENT,
            "customer": alice.id,
            "client_reference_id": "workspace-1",
            "metadata": {"topup": "7"},
            "payment_intent_data": {"metadata": {"topup": "7"}},
        }
    )
    assert (session.status, session.payment_status, session.payment_intent) == (
        "open",
        "unpaid",
        None,
    )

    fake.post(f"sessions/{session.id}/pay")

    after = v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
    assert (after.status, after.payment_status, after.url) == ("complete", "paid", None)
    assert after.metadata["topup"] == after.payment_intent.metadata["topup"] == "7"
    assert after.payment_intent.amount_received == after.amount_total == 2500
    assert after.payment_intent.latest_charge.receipt_url.startswith(fake.url)
    assert after.customer_details.email == "alice@example.com"
    assert told(v1)[-4:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    found = v1.checkout.sessions.list({"payment_intent": after.payment_intent.id}).data
    assert [each.id for each in found] == [session.id]
    with pytest.raises(ControlRefusedError, match="only an open one"):
        fake.post(f"sessions/{session.id}/pay")


@pytest.mark.parametrize(("ending", "status"), [("succeed", "paid"), ("fail", "unpaid")])
def test_a_checkout_is_paid_later_or_not_at_all(v1, fake, ending, status):
    session = v1.checkout.sessions.create({**PAYMENT, "invoice_creation": {"enabled": True}})
    fake.post(f"sessions/{session.id}/later")
    pending = v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (pending.status, pending.payment_status) == ("complete", "unpaid")
    assert pending.payment_intent.status == "processing"

    fake.post(f"payments/{session.id}/{ending}")

    assert v1.checkout.sessions.retrieve(session.id).payment_status == status
    assert told(v1)[-1] == f"checkout.session.async_payment_{ending}ed".replace("lled", "led")
    assert len(v1.invoices.list().data) == (ending == "succeed")
    assert (balance(v1) > 0) == (ending == "succeed")
    with pytest.raises(ControlRefusedError, match="not processing"):
        fake.post(f"payments/{session.id}/{ending}")


def test_a_declined_checkout_stays_open_and_may_be_paid_then(v1, fake):
    session = v1.checkout.sessions.create(PAYMENT)
    fake.post(f"sessions/{session.id}/decline")
    declined = v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (declined.status, declined.payment_intent.status) == ("open", "requires_payment_method")
    assert declined.payment_intent.last_payment_error.code == "card_declined"

    fake.post(f"sessions/{session.id}/pay")

    assert v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert [each.status for each in v1.charges.list().data] == ["succeeded", "failed"]


def test_an_expired_checkout_cannot_be_paid(v1, fake):
    session = v1.checkout.sessions.create(PAYMENT)
    other = v1.checkout.sessions.create(PAYMENT)

    assert v1.checkout.sessions.expire(session.id).status == "expired"
    fake.post("clock", skew_seconds=25 * 3600)

    assert v1.checkout.sessions.retrieve(other.id).status == "expired"
    assert told(v1) == ["checkout.session.expired"] * 2
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        v1.checkout.sessions.expire(session.id)


def test_tax_is_added_and_invoiced(v1, fake, alice):
    session = v1.checkout.sessions.create(
        {
            **PAYMENT,
            "customer": alice.id,
            "automatic_tax": {"enabled": True},
            "customer_update": {"address": "auto"},
            "invoice_creation": {"enabled": True},
        }
    )
    fake.post(f"sessions/{session.id}/pay")

    after = v1.checkout.sessions.retrieve(session.id, {"expand": ["invoice", "line_items"]})
    assert (after.amount_subtotal, after.amount_total) == (2500, 2750)
    assert after.total_details.amount_tax == after.line_items.data[0].amount_tax == 250
    assert after.invoice.total == 2750
    assert after.invoice.hosted_invoice_url.startswith(fake.url)


def test_tax_wants_to_know_where_the_customer_lives(v1, alice):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.checkout.sessions.create(
            {**PAYMENT, "customer": alice.id, "automatic_tax": {"enabled": True}}
        )

    assert refused.value.code == "customer_tax_location_invalid"


def test_a_setup_saves_a_card_that_later_pays(v1, fake, alice):
    session = v1.checkout.sessions.create(
        {"mode": "setup", "customer": alice.id, "success_url": "https://shop.example/"}
    )
    fake.post(f"sessions/{session.id}/save")
    done = v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    assert done.payment_status == "no_payment_required"
    method = done.setup_intent.payment_method
    assert method.customer == alice.id

    intent = charge_off_session(v1, method.id, customer=alice.id)

    assert intent.status == "succeeded"
    assert {"setup_intent.succeeded", "payment_method.attached"} <= set(told(v1))
    with pytest.raises(stripe.InvalidRequestError, match="another customer"):
        charge_off_session(v1, method.id)


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("chargeCustomerFail", "card_declined"),
        ("authenticationRequired", "authentication_required"),
    ],
)
def test_a_saved_card_is_refused_off_session(v1, fake, alice, card, code):
    method = v1.payment_methods.attach(f"pm_card_{card}", {"customer": alice.id})

    with pytest.raises(stripe.CardError) as refused:
        charge_off_session(v1, method.id, customer=alice.id)

    assert (refused.value.http_status, refused.value.code) == (402, code)
    intent = v1.payment_intents.retrieve(refused.value.error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == code
    assert told(v1)[-1] == "payment_intent.payment_failed"
    assert v1.payment_intents.cancel(intent.id).status == "canceled"


def test_on_session_the_payer_is_asked(v1):
    intent = charge_off_session(v1, "pm_card_authenticationRequired", off_session=False)

    assert intent.status == "requires_action"
    assert intent.next_action.redirect_to_url.url.endswith(intent.id)
    assert told(v1)[-1] == "payment_intent.requires_action"


def test_a_declining_card_cannot_be_attached(v1, alice):
    with pytest.raises(stripe.CardError, match="declined"):
        v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": alice.id})
    with pytest.raises(stripe.CardError) as refused:
        v1.setup_intents.create(
            {"customer": alice.id, "payment_method": "pm_card_chargeDeclined", "confirm": True}
        )

    assert refused.value.error.setup_intent.status == "requires_payment_method"
    assert told(v1)[-1] == "setup_intent.setup_failed"


def test_a_method_is_detached_and_is_no_default_then(v1, alice):
    method = v1.payment_methods.attach("pm_card_visa", {"customer": alice.id})
    settings = {"default_payment_method": method.id}
    v1.customers.update(alice.id, {"invoice_settings": settings})

    v1.payment_methods.detach(method.id)

    assert v1.customers.retrieve(alice.id).invoice_settings.default_payment_method is None
    assert v1.customers.payment_methods.list(alice.id).data == []
    event = v1.events.list({"type": "payment_method.detached"}).data[0]
    assert event.data.previous_attributes["customer"] == alice.id


def test_partial_refunds_stop_at_the_amount(v1, paid):
    v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        v1.refunds.create({"payment_intent": paid.id, "amount": 1501})
    last = v1.refunds.create({"charge": paid.latest_charge})

    charge = v1.charges.retrieve(paid.latest_charge, {"expand": ["refunds"]})
    assert (last.amount, charge.amount_refunded, charge.refunded) == (1500, 2000, True)
    assert [each.amount for each in charge.refunds.data] == [1500, 500]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_already_refunded"
    assert told(v1)[-2:] == ["refund.created", "charge.refunded"]


def test_a_failed_refund_puts_the_amount_back(v1, fake, paid):
    before = balance(v1)
    fake.post("switches", refunds="pending")
    refund = v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    assert (refund.status, balance(v1)) == ("pending", before - 500)

    fake.post(f"refunds/{refund.id}/fail", reason="lost_or_stolen_card")

    assert v1.refunds.retrieve(refund.id).failure_reason == "lost_or_stolen_card"
    assert v1.charges.retrieve(paid.latest_charge).amount_refunded == 0
    assert balance(v1) == before
    assert told(v1)[-4] == "refund.failed"
    kinds = [each.type for each in v1.balance_transactions.list().data]
    assert kinds == ["refund_failure", "refund", "charge"]


def test_a_pending_refund_succeeds(v1, fake):
    paid = charge_off_session(v1, "pm_card_pendingRefund")
    refund = v1.refunds.create({"payment_intent": paid.id})

    fake.post(f"refunds/{refund.id}/succeed")

    event = v1.events.list({"type": "refund.updated"}).data[0]
    assert event.data.object["status"] == "succeeded"
    assert event.data.previous_attributes["status"] == "pending"


@pytest.mark.parametrize(("outcome", "kept"), [("won", 1500), ("lost", 3500)])
def test_a_dispute_takes_the_money_and_gives_it_back_when_won(v1, fake, paid, outcome, kept):
    before = balance(v1)
    dispute = fake.post("disputes", payment_intent=paid.id, reason="fraudulent")
    assert balance(v1) == before - 2000 - 1500
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"
    answered = v1.disputes.update(
        dispute["id"], {"evidence": {"product_description": "Credits"}, "submit": True}
    )
    assert answered.status == "under_review"

    fake.post(f"disputes/{dispute['id']}/{outcome}")

    after = v1.disputes.retrieve(dispute["id"])
    assert after.status == outcome
    assert len(after.balance_transactions) == (2 if outcome == "won" else 1)
    assert balance(v1) == before - kept
    names = [each for each in told(v1) if each.startswith("charge.dispute")]
    assert names[:3] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
    ]
    assert names[-1] == "charge.dispute.closed"
    assert ("charge.dispute.funds_reinstated" in names) == (outcome == "won")


def test_an_inquiry_takes_nothing_and_may_be_refunded(v1, fake, paid):
    before = balance(v1)
    fake.post("disputes", charge=paid.latest_charge, status="warning_needs_response")

    assert balance(v1) == before
    assert v1.refunds.create({"payment_intent": paid.id}).status == "succeeded"


def test_funds_move_when_they_are_told_to(v1, fake, paid):
    before = balance(v1)
    dispute = fake.post("disputes", payment_intent=paid.id, amount=700, withdraw=False)
    assert balance(v1) == before

    fake.post(f"disputes/{dispute['id']}/withdraw")
    with pytest.raises(ControlRefusedError, match="withdrawn already"):
        fake.post(f"disputes/{dispute['id']}/withdraw")
    fake.post(f"disputes/{dispute['id']}/won", move_funds=False)
    assert balance(v1) == before - 700 - 1500
    fake.post(f"disputes/{dispute['id']}/reinstate")

    assert balance(v1) == before - 1500
    with pytest.raises(ControlRefusedError, match="dispute is won"):
        fake.post(f"disputes/{dispute['id']}/lost")


def test_a_bank_debit_is_a_payment_and_its_refund_is_pending(v1, fake):
    intent = charge_off_session(v1, "pm_usBankAccount")
    assert intent.status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        v1.refunds.create({"payment_intent": intent.id})
    fake.post(f"payments/{intent.id}/succeed")

    refund = v1.refunds.create({"payment_intent": intent.id})

    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    kinds = [each.type for each in v1.balance_transactions.list().data]
    assert kinds == ["payment_refund", "payment"]


def test_a_card_may_be_disputed_at_once(v1):
    intent = charge_off_session(v1, "pm_card_createDispute")

    assert v1.disputes.list({"payment_intent": intent.id}).data[0].status == "needs_response"


def test_warnings_and_reviews_are_told(v1, fake, paid):
    fake.post("early_fraud_warnings", payment_intent=paid.id)
    fake.post("reviews", payment_intent=paid.id)

    assert told(v1)[-2:] == ["radar.early_fraud_warning.created", "review.opened"]
    found = v1.radar.early_fraud_warnings.list({"charge": paid.latest_charge}).data
    assert found[0].payment_intent == paid.id


def test_a_card_is_renewed_by_its_issuer(v1, fake, alice):
    method = v1.payment_methods.attach("pm_card_visa", {"customer": alice.id})
    fake.post(f"payment_methods/{method.id}", automatically_update=True, behaviour="declined_later")

    event = v1.events.list({"type": "payment_method.automatically_updated"}).data[0]
    assert event.data.previous_attributes["card"]["exp_year"] == method.card.exp_year
    with pytest.raises(stripe.CardError):
        charge_off_session(v1, method.id, customer=alice.id)


def test_balance_transactions_are_found_by_type(v1, paid):
    v1.refunds.create({"payment_intent": paid.id})

    charge, refund = (v1.balance_transactions.list({"type": t}).data for t in ("charge", "refund"))

    assert [(each.amount, each.fee, each.net) for each in charge] == [(2000, 88, 1912)]
    assert [(each.amount, each.fee, each.net) for each in refund] == [(-2000, 0, -2000)]
    assert v1.balance_transactions.list({"created": {"gt": charge[0].created + 60}}).data == []
