"""The fake Stripe's pages as a person uses them: with a browser, on a phone and at a desk."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe
from playwright.sync_api import Page, expect

from sandbox.stripe.remote import Remote, stripe_in_thread

pytestmark = pytest.mark.browser

ITEM = {
    "price_data": {
        "currency": "usd",
        "unit_amount": 2500,
        "product_data": {"name": "25 USD of credits for ComfyUI"},
    },
    "quantity": 2,
}
SCREENS = {
    "phone": ({"width": 360, "height": 740}, "light"),
    "desk": ({"width": 1280, "height": 800}, "dark"),
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
        "sk_test_browser", base_addresses={"api": fake.url}, http_client=http
    ).v1
    http.close()


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b'<link rel="icon" href="data:,"><title>The shop</title>')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop():
    """The site that sends its payers to these pages, on an origin of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=SCREENS)
def payer(request: pytest.FixtureRequest, page: Page):
    """Somebody in front of a screen."""
    size, scheme = SCREENS[request.param]
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    return page


@pytest.fixture
def session(v1, shop):
    """Two items that wait for their payer."""
    asked = {"mode": "payment", "line_items": [ITEM], "cancel_url": f"{shop}/cancelled"}
    asked["success_url"] = f"{shop}/done?session={{CHECKOUT_SESSION_ID}}"
    return v1.checkout.sessions.create(asked)


@pytest.fixture
def alice(v1):
    return v1.customers.create({"email": "alice@example.com"})


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways, or sticks out of its box."""
    return page.evaluate(
        """() => document.scrollingElement.scrollWidth <= innerWidth
            && [...document.querySelectorAll("main *")].every(
                each => each.scrollWidth <= each.clientWidth + 1 || !each.clientWidth)"""
    )


def led_to(page: Page, address: str) -> None:
    page.wait_for_url(address)
    expect(page).to_have_title("The shop")


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label).click()


@pytest.mark.parametrize(
    ("label", "status"), [("Pay 50.00 USD", "paid"), ("Pay later by bank debit", "unpaid")]
)
def test_a_payer_pays_and_is_led_back_to_the_shop(v1, payer, shop, session, label, status):
    payer.goto(session.url)
    expect(payer.get_by_text("50.00 USD").first).to_be_visible()
    assert fits(payer)

    payer.get_by_label("E-mail").fill("alice@example.com")
    press(payer, label)

    led_to(payer, f"{shop}/done?session={session.id}")
    after = v1.checkout.sessions.retrieve(session.id)
    assert (after.status, after.payment_status) == ("complete", status)
    assert after.customer_details.email == "alice@example.com"
    payer.goto(session.url)
    expect(payer.get_by_role("heading")).to_have_text("This payment is complete")
    expect(payer.get_by_role("link", name="Continue")).to_be_visible()
    assert fits(payer)


def test_a_declined_card_may_be_followed_by_another(v1, payer, shop, session):
    payer.goto(session.url)

    press(payer, "Decline the card")

    expect(payer.get_by_role("alert")).to_contain_text("was declined")
    assert v1.checkout.sessions.retrieve(session.id).status == "open"
    assert fits(payer)
    payer.get_by_label("Card").select_option("Mastercard 4444")
    press(payer, "Pay 50.00 USD")
    led_to(payer, f"{shop}/done?**")
    assert [each.status for each in v1.charges.list().data] == ["succeeded", "failed"]


def test_a_payer_who_turns_back_has_paid_nothing(v1, payer, shop, session):
    payer.goto(session.url)

    payer.get_by_role("link", name="Cancel and go back").click()

    led_to(payer, f"{shop}/cancelled")
    assert v1.checkout.sessions.retrieve(session.id).payment_status == "unpaid"


def test_a_page_that_expired_takes_no_payment(v1, payer, shop, session, complaints):
    payer.goto(session.url)
    v1.checkout.sessions.expire(session.id)

    press(payer, "Pay 50.00 USD")

    expect(payer.locator(".problem")).to_be_visible()
    assert fits(payer)
    assert "400" in complaints.pop()
    payer.goto(session.url)
    expect(payer.get_by_role("heading")).to_have_text("This page has expired")
    expect(payer.get_by_role("link", name="Back")).to_have_attribute("href", f"{shop}/cancelled")
    assert v1.charges.list().data == []


def test_a_card_is_saved_made_default_and_removed(v1, payer, shop, alice):
    session = v1.checkout.sessions.create(
        {"mode": "setup", "customer": alice.id, "success_url": f"{shop}/saved"}
    )
    payer.goto(session.url)
    expect(payer.get_by_label("E-mail")).to_have_value("alice@example.com")
    assert fits(payer)

    press(payer, "Save")

    led_to(payer, f"{shop}/saved")
    assert len(v1.customers.payment_methods.list(alice.id).data) == 1
    portal = v1.billing_portal.sessions.create({"customer": alice.id, "return_url": shop})
    payer.goto(portal.url)
    press(payer, "Make default")
    expect(payer.get_by_text("(default)")).to_be_visible()
    assert fits(payer)
    press(payer, "Remove")
    expect(payer.get_by_text("None is saved.")).to_be_visible()


@pytest.mark.parametrize(
    ("label", "status"), [("Complete", "succeeded"), ("Fail", "requires_payment_method")]
)
def test_the_bank_asks_whether_it_is_the_payer(v1, payer, shop, label, status):
    intent = v1.payment_intents.create(
        {
            "amount": 2500,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": f"{shop}/back",
        }
    )
    payer.goto(intent.next_action.redirect_to_url.url)
    assert fits(payer)

    press(payer, label)

    led_to(payer, f"{shop}/back")
    assert v1.payment_intents.retrieve(intent.id).status == status


def test_whoever_runs_it_ends_what_is_pending(v1, payer, shop, session, fake):
    payer.goto(session.url)
    payer.get_by_label("E-mail").fill("alice@example.com")
    press(payer, "Pay later by bank debit")
    led_to(payer, f"{shop}/done?**")

    payer.goto(fake.url)
    assert fits(payer)
    press(payer, "Succeed")

    expect(payer.get_by_role("button", name="Succeed")).to_have_count(0)
    assert v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
