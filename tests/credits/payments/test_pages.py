"""The pages that members come back to from Stripe: what they say, and to whom they say nothing."""

import re
import uuid
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from common import ratelimits
from common.money import usd
from credits.models import AutoTopUp, SetupPage, TopUp
from credits.payments import automatic, methods, pages

METHOD = "/purchases/method"


class Seen(HTMLParser):
    """A page as it is read: its text, its links, its tags."""

    def __init__(self, source):
        super().__init__()
        self.text, self.links, self.tags, self.attributes = "", [], [], []
        self._hidden = 0
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        self._hidden += tag == "style"
        if tag == "a":
            self.links.append(dict(attributes)["href"])

    def handle_endtag(self, tag):
        self._hidden -= tag == "style"

    def handle_data(self, data):
        if not self._hidden:
            self.text += f" {data.strip()}"


@pytest.fixture
def look(client):
    def at(path, status=200, **query):
        answer = client.get(path, query)
        assert answer.status_code == status
        assert answer["Content-Type"] == "text/html; charset=utf-8"
        page = Seen(answer.content.decode())
        page.answer = answer
        page.leaving = [link for link in page.links if not link.startswith("/")]
        page.looks_again = b'http-equiv="refresh"' in answer.content
        return page

    return at


def path_of(top_up):
    return f"/purchases/{top_up.pk}"


# --- A purchase, as it stands ---------------------------------------------------------------


def test_who_has_not_paid_is_led_back_to_the_payment_page(alice, shop, look):
    top_up = shop.open(alice)

    page = look(path_of(top_up))

    assert "Not paid yet" in page.text
    assert page.leaving == [top_up.checkout_url]
    assert not page.looks_again, "somebody may leave it open for a day"


def test_who_left_the_payment_page_is_told_that_nothing_was_charged(alice, shop, look):
    top_up = shop.open(alice)

    page = look(path_of(top_up), cancelled="1")

    assert "Nothing was charged" in page.text
    assert page.leaving == [top_up.checkout_url]


def test_who_paid_after_all_is_not_told_otherwise(alice, shop, look):
    top_up = shop.open(alice)
    shop.pay(top_up)

    assert "Your credits are there" in look(path_of(top_up), cancelled="1").text


def test_who_paid_has_the_credits_already(alice, shop, look, settings):
    settings.STRIPE_AUTOMATIC_TAX = True
    shop.fake.post("switches", tax_percent=19)
    top_up = shop.open(alice, "25.00")
    shop.pay(top_up)

    page = look(path_of(top_up))

    assert alice.now().balance_micros == usd("26.00")
    assert "Your credits are there" in page.text
    for figure in ("$25.00", "$4.75", "$29.75", str(top_up.pk)):
        assert figure in page.text
    top_up.refresh_from_db()
    assert page.leaving == [top_up.receipt_url, top_up.invoice_url]
    assert not page.looks_again


def test_a_slow_payment_is_waited_for_by_the_page_itself(alice, shop, look):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    assert "Your bank is working on it" in look(path_of(top_up)).text
    assert look(path_of(top_up)).looks_again

    shop.fake.post(f"payments/{top_up.session_id}/succeed")

    assert "Your credits are there" in look(path_of(top_up)).text


def test_a_payment_that_failed_says_why(alice, shop, look):
    top_up = shop.open(alice)
    shop.pay(top_up, card="later")
    shop.fake.post(f"payments/{top_up.session_id}/fail")

    page = look(path_of(top_up))

    assert "The payment did not succeed" in page.text
    assert "The payment failed." in page.text
    assert page.leaving == []


def test_a_purchase_that_nobody_paid_in_time_has_expired(alice, shop, look):
    top_up = shop.open(alice)
    shop.fake.post(f"sessions/{top_up.session_id}/expire")

    assert "This purchase has expired" in look(path_of(top_up)).text


def test_a_payment_that_staff_must_look_at_is_not_lost(alice, shop, look):
    top_up = shop.open(alice)
    TopUp.objects.filter(pk=top_up.pk).update(amount_micros=usd("26"))
    shop.pay(top_up)

    page = look(path_of(top_up))

    assert "Your payment arrived" in page.text
    assert "nothing is lost" in page.text


def test_every_state_has_its_words():
    from credits.payments.pages import WORDS

    assert set(WORDS) == set(TopUp.State)


# --- What it gives away, and to whom --------------------------------------------------------


@pytest.mark.parametrize("path", [f"/purchases/{uuid.UUID(int=n)}" for n in (0, 7)])
def test_an_unknown_purchase_is_a_404_with_a_sentence(fake, db, look, path):
    page = look(path, 404)

    assert "There is no such purchase" in page.text
    assert not fake.get("requests"), "Stripe is not asked for what somebody made up"


@pytest.mark.parametrize(
    "path", ["/purchases/1", "/purchases/", "/purchases/x%00", "/purchases/.."]
)
def test_what_is_no_id_is_no_page(client, db, path):
    assert client.get(path).status_code == 404


def test_nothing_on_the_page_can_run_and_nothing_leaves_it(alice, shop, look):
    page = look(path_of(shop.open(alice)))

    assert page.answer["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; font-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    assert not {"script", "style", "form"} & set(page.tags)
    assert page.answer["Referrer-Policy"] == "no-referrer"
    assert page.answer["Cache-Control"] == "no-store"
    assert page.answer["X-Content-Type-Options"] == "nosniff"


def test_the_page_stands_in_the_house_with_the_way_back_and_comfyuis_unit(alice, shop, look):
    page = look(path_of(shop.open(alice)))

    assert "See your credits" in page.text
    assert b"ui/tokens.css" in page.answer.content
    assert re.search(r"In ComfyUI[\s\d,.]+credits", page.text)


EVIL = '<script>alert(1)</script><img src=x onerror="alert(1)">"\'&amp;'


def test_what_others_wrote_is_text(alice, shop, look):
    top_up = shop.open(alice)
    TopUp.objects.filter(pk=top_up.pk).update(
        state="failed", failure=EVIL, receipt_url=f'http://x/"><script>{EVIL}', session_id=None
    )

    page = look(path_of(top_up), cancelled=EVIL)

    assert not {"script", "img"} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith("on")]
    assert EVIL in page.text


def test_the_name_of_a_method_is_text_too(alice, shop, look):
    wish = AutoTopUp.objects.create(
        wallet=alice.wallet, payment_method_id="pm_1", method_label=EVIL
    )
    SetupPage.objects.create(session_id="cs_1", wish=wish)

    page = look(METHOD, session="cs_1")

    assert not {"script", "img"} & set(page.tags)
    assert EVIL in page.text


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_page_is_only_looked_at(client, alice, shop, method):
    top_up = shop.open(alice)

    assert getattr(client, method)(path_of(top_up)).status_code == 405
    assert client.head(path_of(top_up)).status_code == 200


def test_nobody_needs_to_be_signed_in(client, alice, shop):
    """The browser that comes back from Stripe has no key."""
    assert client.get(path_of(shop.open(alice)), headers={"X-API-KEY": "x"}).status_code == 200


# --- Stripe is away -------------------------------------------------------------------------


def away(fake, path):
    fake.post("next", failure="status=503", times=3, method="GET", path=path)


def test_while_stripe_is_away_the_page_says_what_we_know(alice, shop, look, impatient):
    top_up = shop.open(alice)
    shop.pay(top_up)
    away(shop.fake, "/v1/checkout/sessions")

    page = look(path_of(top_up))

    assert "Not paid yet" in page.text
    assert "Reload this page in a moment if you did pay" in page.text
    assert "Your credits are there" in look(path_of(top_up)).text


def test_what_is_credited_needs_nobody_to_be_asked(alice, shop, look, settings):
    bought = shop.buy(alice)
    before = len(shop.fake.get("requests"))
    settings.STRIPE_API_KEY = ""

    assert "Your credits are there" in look(path_of(bought)).text
    assert len(shop.fake.get("requests")) == before


def test_where_stripe_is_not_configured_any_more_the_page_still_answers(
    alice, shop, look, settings
):
    top_up = shop.open(alice)
    settings.STRIPE_API_KEY = ""

    assert "Not paid yet" in look(path_of(top_up)).text


# --- A saved method -------------------------------------------------------------------------


@pytest.fixture
def setup(alice, shop):
    return methods.start_setup(
        alice.workspace_id, email=alice.user.email, user_id=None, base_url="http://us"
    )


def test_a_saved_method_is_shown_by_its_name(alice, shop, setup, look):
    shop.fake.post(f"sessions/{setup.id}/save")

    page = look(METHOD, session=setup.id)

    assert "Your payment method is saved" in page.text
    assert "It is your visa ending in 4242." in page.text


def test_a_method_that_was_not_saved_is_not_shown(setup, look):
    assert "No payment method was saved" in look(METHOD, session=setup.id).text


@pytest.mark.parametrize("session", ["", "cs_nobodys", "\x00", "é" * 300])
def test_who_does_not_know_the_session_is_told_nothing(alice, shop, setup, look, session):
    shop.fake.post(f"sessions/{setup.id}/save")
    methods.refresh_setup(alice.workspace_id)
    before = len(shop.fake.get("requests"))

    page = look(METHOD, session=session)

    assert "No payment method was saved" in page.text
    assert "visa" not in page.text
    assert len(shop.fake.get("requests")) == before


def test_while_stripe_is_away_nobody_is_told_that_nothing_was_saved(
    alice, shop, setup, look, impatient
):
    shop.fake.post(f"sessions/{setup.id}/save")
    away(shop.fake, "/v1/checkout/sessions")

    page = look(METHOD, session=setup.id)

    assert "We cannot see it yet" in page.text
    assert page.looks_again
    assert "is saved" in look(METHOD, session=setup.id).text
    away(shop.fake, "/v1/checkout/sessions")
    assert "is saved" in look(METHOD, session=setup.id).text


def test_an_automatic_purchase_has_a_page_too(alice, shop, setup, look):
    shop.fake.post(f"sessions/{setup.id}/save")
    methods.refresh_setup(alice.workspace_id)
    automatic.configure(
        alice.workspace_id,
        enabled=True,
        threshold=usd("5"),
        amount=usd("20"),
        monthly_cap=usd("20"),
    )
    top_up = automatic.buy(alice.workspace_id)
    before = len(shop.fake.get("requests"))

    assert "Your credits are there" in look(path_of(top_up)).text
    assert len(shop.fake.get("requests")) == before


def test_who_loads_a_page_again_and_again_has_stripe_asked_so_often(
    alice, shop, look, monkeypatch, tries_forgotten
):
    monkeypatch.setattr(pages, "ASKED", 2)
    monkeypatch.setattr(ratelimits, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    asked = []
    monkeypatch.setattr(pages.following, "check", lambda top_up: asked.append(top_up.pk))
    top_up = shop.open(alice)

    seen = [look(path_of(top_up)) for _ in range(5)]

    assert len(asked) == 2
    assert {each.text for each in seen} == {seen[0].text}, "the page tells what is known"
