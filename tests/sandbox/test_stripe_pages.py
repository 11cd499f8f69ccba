"""The fake Stripe's pages: what a payer can press, and where it leads."""

import re
import subprocess
import sys

import pytest
import requests
import stripe

from sandbox.stripe.remote import Remote, stripe_in_thread

SESSION = {
    "mode": "payment",
    "line_items": [
        {
            "price_data": {
                "currency": "usd",
                "unit_amount": 2500,
                "product_data": {"name": "<b>Credits</b>"},
            },
            "quantity": 1,
        }
    ],
    "customer_email": "alice@example.com",
    "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example/cancelled",
}


@pytest.fixture(scope="module")
def fake():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def v1(fake: Remote):
    fake.post("reset")
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        "sk_test_pages", base_addresses={"api": fake.url}, http_client=http
    ).v1
    http.close()


@pytest.fixture
def payer():
    with requests.Session() as session:
        yield session


def press(payer, address, action, **fields):
    answer = payer.post(
        address, data={"action": action, **fields}, allow_redirects=False, timeout=30
    )
    return answer.status_code, answer.headers.get("Location")


def test_the_page_shows_what_is_bought(v1, payer):
    session = v1.checkout.sessions.create(SESSION)

    page = payer.get(session.url, timeout=30)

    assert "25.00 USD" in page.text
    assert "alice@example.com" in page.text
    assert "&lt;b&gt;Credits&lt;/b&gt;" in page.text
    assert 'href="https://shop.example/cancelled"' in page.text
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    css = payer.get(re.sub("/c/pay/.*", "/style.css", session.url), timeout=30)
    assert css.headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize(("action", "status"), [("pay", "paid"), ("later", "unpaid")])
def test_paying_leads_back_to_the_shop(v1, payer, action, status):
    session = v1.checkout.sessions.create(SESSION)
    back = f"https://shop.example/done?session={session.id}"

    assert press(payer, session.url, action, card="visa") == (303, back)

    assert v1.checkout.sessions.retrieve(session.id).payment_status == status
    assert press(payer, session.url, action) == (303, back)
    assert len(v1.charges.list().data) == 1
    assert "complete" in payer.get(session.url, timeout=30).text


def test_a_decline_stays_on_the_page(v1, payer, fake):
    session = v1.checkout.sessions.create(SESSION)

    status, address = press(payer, session.url, "decline")

    assert status == 303
    assert "was declined" in payer.get(fake.url + address, timeout=30).text
    assert v1.checkout.sessions.retrieve(session.id).status == "open"


def test_an_expired_page_says_so(v1, payer):
    session = v1.checkout.sessions.create(SESSION)
    v1.checkout.sessions.expire(session.id)

    assert "expired" in payer.get(session.url, timeout=30).text
    assert press(payer, session.url, "pay")[0] == 400
    assert payer.get(session.url[:-3], timeout=30).status_code == 404


def test_a_card_is_saved_on_the_page(v1, payer):
    alice = v1.customers.create({"email": "alice@example.com"})
    session = v1.checkout.sessions.create(
        {"mode": "setup", "customer": alice.id, "success_url": "https://shop.example/"}
    )
    assert "Save a payment method" in payer.get(session.url, timeout=30).text

    assert press(payer, session.url, "save", card="chargeCustomerFail")[0] == 303

    saved = v1.customers.payment_methods.list(alice.id).data
    assert [each.card.last4 for each in saved] == ["0341"]


def test_the_portal_removes_a_card(v1, payer):
    alice = v1.customers.create({"email": "alice@example.com"})
    bob = v1.customers.create({"email": "bob@example.com"})
    method = v1.payment_methods.attach("pm_card_visa", {"customer": alice.id})
    other = v1.payment_methods.attach("pm_card_visa", {"customer": bob.id})
    portal = v1.billing_portal.sessions.create(
        {"customer": alice.id, "return_url": "https://shop.example/billing"}
    )
    page = payer.get(portal.url, timeout=30).text
    assert "4242" in page
    assert "https://shop.example/billing" in page

    assert press(payer, portal.url, "default", method=method.id)[0] == 303
    assert press(payer, portal.url, "email", email="new@example.com")[0] == 303
    assert press(payer, portal.url, "detach", method=method.id)[0] == 303
    assert press(payer, portal.url, "detach", method=other.id)[0] == 404

    assert v1.customers.retrieve(alice.id).email == "new@example.com"
    assert v1.customers.payment_methods.list(alice.id).data == []


def test_invoices_and_receipts_can_be_read(v1, payer):
    asked = {**SESSION, "invoice_creation": {"enabled": True}}
    session = v1.checkout.sessions.create(asked)
    press(payer, session.url, "pay")
    done = v1.checkout.sessions.retrieve(
        session.id, {"expand": ["invoice", "payment_intent.latest_charge"]}
    )

    assert done.invoice.number in payer.get(done.invoice.hosted_invoice_url, timeout=30).text
    assert payer.get(done.invoice.invoice_pdf, timeout=30).content.startswith(b"%PDF-1.4")
    receipt = done.payment_intent.latest_charge.receipt_url
    assert "25.00 USD" in payer.get(receipt, timeout=30).text


@pytest.mark.parametrize(
    ("action", "status"), [("complete", "succeeded"), ("fail", "requires_payment_method")]
)
def test_the_payer_authenticates_or_not(v1, payer, action, status):
    intent = v1.payment_intents.create(
        {
            "amount": 900,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.example/back",
        }
    )
    address = intent.next_action.redirect_to_url.url
    assert "9.00 USD" in payer.get(address, timeout=30).text

    assert press(payer, address, action) == (303, "https://shop.example/back")

    assert v1.payment_intents.retrieve(intent.id).status == status


def test_the_overview_ends_what_is_pending(v1, payer, fake):
    session = v1.checkout.sessions.create(SESSION)
    press(payer, session.url, "later")
    intent = v1.payment_intents.list().data[0].id
    assert f"/control/payments/{intent}/succeed" in payer.get(fake.url, timeout=30).text

    pressed = press(payer, f"{fake.url}/control/payments/{intent}/succeed", "")

    assert pressed == (303, "/")
    assert v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


@pytest.mark.system
def test_it_runs_as_a_program():
    command = [sys.executable, "-m", "sandbox.stripe", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            address = program.stdout.readline().split()[-1]
            with requests.get(f"{address}/health", timeout=30) as answer:
                assert answer.json() == {"status": "ok"}
        finally:
            program.terminate()
    assert program.returncode == 0
