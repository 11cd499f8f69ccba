"""A member buys credits with a browser, from the client's button to the balance."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from system_stack import Stack

from sandbox.stripe.desk import Settings
from sandbox.stripe.remote import Remote, stripe_in_thread

pytestmark = pytest.mark.browser
SECRET = "whsec_browser"
SCREENS = {"phone": ({"width": 390, "height": 844}, "light"), "desk": ({}, "dark")}


@dataclass
class Shop:
    stack: Stack
    fake: Remote

    def ask(self, member: Any, path: str, body: Any = None) -> Any:
        """What a stock client asks with the member's key."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.stack.url + path, data=data)
        request.add_header("X-API-KEY", member["api_key"])
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def cents(self, member: Any) -> Any:
        return self.ask(member, "/customers/balance")["amount_micros"]

    def checkout_url(self, member: Any, usd: int) -> str:
        asked = {"amount_micros": usd * 1_000_000, "currency": "usd"}
        return str(self.ask(member, "/customers/credit", asked)["checkout_url"])


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The web process alone, without any worker, and Stripe's look-alike."""
    folder: Path = tmp_path_factory.mktemp("shop")
    stack = Stack(folder)
    hook = f"{stack.url}/webhooks/stripe"
    with stripe_in_thread(Settings(webhook_url=hook, webhook_secrets=(SECRET,))) as fake:
        try:
            stack.start()
            stack.environment |= {
                "STRIPE_API_KEY": "sk_test_browser",
                "STRIPE_API_BASE": fake.url,
                "STRIPE_WEBHOOK_SECRETS": SECRET,
            }
            stack.start_web()
            yield Shop(stack, fake)
        finally:
            stack.stop()


@pytest.fixture
def shop(open_shop: Shop) -> Shop:
    open_shop.fake.post("webhook", drop_all=True)
    return open_shop


@pytest.mark.parametrize("screen", SCREENS)
def test_credits_are_there_when_the_member_comes_back(shop: Shop, page: Page, screen: str):
    size, scheme = SCREENS[screen]
    if size:
        page.set_viewport_size(size)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    member = shop.stack.member("1")

    page.goto(shop.checkout_url(member, 25))
    page.get_by_role("button", name="Pay 25.00 USD").click()
    paid_at = time.monotonic()

    expect(page.get_by_role("status")).to_have_text("Your credits are there")
    assert shop.cents(member) == 2600
    assert time.monotonic() - paid_at < 5  # No webhook came, and no worker runs.
    expect(page.get_by_text("$25.00 of credits were added")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "nothing lies beside the screen"
    event = shop.ask(member, "/customers/events?limit=7")["events"][0]
    assert (event["event_type"], event["params"]["amount"]) == ("credit_added", 2500)
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_text("25.00 USD").first).to_be_visible()
    assert "ok" in shop.stack.reconcile()


def test_a_declined_card_and_a_way_back_cost_nothing(shop: Shop, page: Page):
    member = shop.stack.member("1")
    page.goto(shop.checkout_url(member, 5))
    page.get_by_role("button", name="Decline the card").click()
    expect(page.get_by_role("alert")).to_contain_text("declined")

    page.get_by_role("link", name="Cancel and go back").click()

    expect(page.get_by_role("status")).to_have_text("Nothing was charged")
    page.get_by_role("link", name="Back to the payment page").click()
    page.get_by_role("button", name="Pay 5.00 USD").click()
    expect(page.get_by_role("status")).to_have_text("Your credits are there")
    assert shop.cents(member) == 600


def test_a_slow_payment_is_waited_for_and_shown_when_it_comes(shop: Shop, page: Page):
    member = shop.stack.member("1")
    url = shop.checkout_url(member, 10)
    page.goto(url)
    page.get_by_role("button", name="Pay later by bank debit").click()
    expect(page.get_by_role("status")).to_have_text("Your bank is working on it")
    assert shop.cents(member) == 100

    shop.fake.post(f"payments/{url.rsplit('/', 1)[1]}/succeed")

    # The page looks again by itself.
    expect(page.get_by_role("status")).to_have_text("Your credits are there", timeout=15_000)
    assert shop.cents(member) == 1100
