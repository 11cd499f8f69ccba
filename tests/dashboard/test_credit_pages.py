"""The page of credits: what there is, how more comes in, what came and went."""

import re
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone
from page_text import text
from test_dashboard_pages import _all, call_of

from common.money import usd
from credits.gifts import grants, vouchers
from credits.models import AutoTopUp, Billing, RefundAsk, TopUp
from credits.payments import customers, topups
from credits.payments.stripe_objects import Payment


def bought(member, state, **fields):
    return TopUp.objects.create(
        wallet_id=member.workspace_id,
        amount_micros=usd("25"),
        source="checkout",
        state=state,
        **fields,
    )


def test_it_shows_what_there_is_of_what_it_is_made_and_what_came(alice, signed_in, place_hold):
    end = timezone.now() + timedelta(days=9)
    grants.grant(wallet=alice.wallet, amount=usd("3"), key="more", reason="gift", expires_at=end)
    place_hold(alice, "0.25")
    call_of(alice)
    bought(alice, "expired", failure="Nobody paid.")

    page = text(signed_in(alice).get("/my/credits"))

    for said in ("3.75", "$4.00", "$0.25", f"{end:%b %Y}", "Nobody paid.", "Credits came in"):
        assert said in page, said
    assert page.count("Credits came in") == 2, "calls stand elsewhere"
    assert "Buy credits" not in page, "nothing is sold here"


def test_a_voucher_is_redeemed_once(alice, signed_in):
    code, _voucher = vouchers.make(name="Fair", amount=usd("5"), uses=3)
    browser = signed_in(alice)

    for _ in range(2):
        answer = browser.post("/my/credits/redeem", {"code": code.lower()}, follow=True)
        assert "$5.00 of credits came in." in text(answer)

    assert alice.now().balance_micros == usd("6")


def test_a_code_that_is_none_is_said_to_be_none(alice, signed_in):
    answer = signed_in(alice).post("/my/credits/redeem", {"code": "NONE"})

    assert answer.status_code == 400
    assert "This code is not known" in text(answer) or "this code is not known" in text(answer)


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({}, 400, "Choose an amount."),
        ({"dollars": "7"}, 400, "not one of the available choices"),
        ({"other": "-1"}, 400, "greater than or equal"),
        ({"other": "1"}, 400, "credits are sold for $5.00 to"),
        ({"other": "5.001"}, 400, "not a whole number of cents"),
        ({"dollars": "25"}, 403, ""),
    ],
)
def test_what_cannot_be_bought_is_not_begun(alice, signed_in, form, status, says):
    answer = signed_in(alice).post("/my/credits/buy", form)

    assert answer.status_code == status
    assert says in text(answer)
    assert not TopUp.objects.filter(wallet_id=alice.workspace_id).exists()


def test_how_it_pays_is_set_by_who_may(alice, signed_in, settings):
    settings.STRIPE_API_KEY = "sk_test_x"
    AutoTopUp.objects.create(wallet_id=alice.workspace_id, payment_method_id="pm", method_label="x")
    browser, form = signed_in(alice), {"threshold": "20", "amount": "25", "monthly_cap": "200"}

    answer = browser.post("/my/credits/automatic", form | {"enabled": "on"})
    assert answer["Location"] == "/my/credits"
    wish = AutoTopUp.objects.get(pk=alice.workspace_id)
    assert (wish.enabled, wish.threshold_micros, wish.monthly_cap_micros) == (
        True, usd("20"), usd("200"),
    )  # fmt: skip
    refused = browser.post("/my/credits/automatic", form | {"monthly_cap": "1"})
    assert refused.status_code == 400
    assert "must be at least one top-up" in text(refused)
    browser.post("/my/credits/warning", {"below": "4.50"})
    assert customers.low_balance(alice.workspace_id) == usd("4.50")
    browser.post("/my/credits/warning", {"below": ""})
    assert customers.low_balance(alice.workspace_id) == 0


def test_a_statement_is_a_file_of_some_days(alice, signed_in):
    browser = signed_in(alice)
    today = timezone.now().date()

    answer = browser.get(f"/my/credits/statement?from={today}&to={today}&format=csv")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="statement-')
    assert b"grant" in b"".join(_all(answer))
    for query in ("", "from=never", "from=9999-01-01", f"from={today}&format=pdf"):
        refused = browser.get(f"/my/credits/statement?{query}")
        assert refused.status_code == 400
        assert refused["Content-Type"].startswith("text/html")


def test_a_member_sees_what_there_is_and_not_what_was_bought(studio):
    page = text(studio.member.get("/my/credits"))

    assert "Available in Studio" in page
    assert "Redeem a voucher" in page
    assert "Purchases" not in page
    assert "Statement" not in page
    assert "Purchases" in text(studio.owner.get("/my/credits"))


def test_pages_of_purchases_and_of_movements_lead_on(alice, signed_in, monkeypatch):
    from dashboard import money

    monkeypatch.setattr(money, "PURCHASES", 1)
    monkeypatch.setattr(money, "MOVES", 1)
    bought(alice, "open")
    bought(alice, "failed", failure="Refused.")
    grants.grant(wallet=alice.wallet, amount=usd("3"), key="more", reason="gift")
    browser = signed_in(alice)

    first = browser.get("/my/credits")
    assert first.context["older_purchases"] == 2
    older = first.context["older_moves"]
    assert first.context["moves"][0].amount == usd("3")
    second = browser.get(f"/my/credits?purchases=2&older={older}")
    assert second.context["moves"][0].amount == usd("1")
    assert second.context["bought"] != first.context["bought"]
    assert browser.get("/my/credits?purchases=x&older=x").status_code == 200


def test_the_page_asks_no_more_however_much_there_is(
    alice, signed_in, django_assert_max_num_queries
):
    browser = signed_in(alice)
    Billing.objects.filter(pk=alice.workspace_id).exists()
    for number in range(9):
        bought(alice, "expired")
        grants.grant(wallet=alice.wallet, amount=usd("1"), key=f"g{number}", reason="gift")
    browser.get("/my/credits")

    with django_assert_max_num_queries(24):
        assert browser.get("/my/credits").status_code == 200


# --- A purchase that is wanted back ---------------------------------------------------------------


@pytest.fixture
def asked_here(settings):
    settings.MEMBER_REFUNDS = "asked"


def credited(member):
    """Twenty-five dollars that were bought, as the books have it."""
    name = f"pi_{uuid.uuid4().hex}"
    made = bought(member, "paid", payment_intent_id=name)
    topups.credit(made, Payment(name, "succeeded", 2500, 2500, "usd", "", "", str(made.pk)))
    made.refresh_from_db()
    return made


def come_in(member, *, is_fresh=True):
    """A browser in which somebody is signed in, and has just shown their password."""
    member.user.set_password("a long one for tests")
    member.user.save()
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(member.user)
    if is_fresh:
        browser.post("/account/reauthenticate/", {"password": "a long one for tests"})
    return browser


def filled(page):
    return dict(re.findall(r'name="(key|amount)" value="([^"]*)"', text(page)))


def test_a_purchase_is_wanted_back_waits_and_is_kept_after_all(alice, asked_here):
    made = credited(alice)
    browser = come_in(alice)
    path = f"/my/credits/purchases/{made.pk}/back"
    assert path in text(browser.get("/my/credits"))
    form = filled(browser.get(path))
    assert form["amount"] == "25.00"

    for _ in range(2):
        said = text(browser.post(path, {**form, "reason": "Bought twice"}, follow=True))
        assert "It waits for staff" in said
    assert "$25.00 wanted back: waits for staff" in said
    (ask,) = RefundAsk.objects.filter(top_up=made)
    assert (str(ask.pk), ask.reason) == (form["key"], "Bought twice")

    kept = text(browser.post(f"/my/credits/asked/{ask.pk}/keep", follow=True))

    assert "You keep these credits." in kept
    assert "and not given: Taken back by who asked." in kept
    assert path in kept


def test_who_does_not_pay_or_has_not_just_signed_in_wants_nothing_back(studio, alice, asked_here):
    made = credited(SimpleNamespace(workspace_id=studio.id))
    path = f"/my/credits/purchases/{made.pk}/back"

    assert studio.member.get(path).status_code == 403
    owner = come_in(alice, is_fresh=False)
    assert owner.get(path).status_code == 404, "it acts for another workspace"
    owner.post("/my/workspace", {"workspace": studio.id})
    form = {"key": uuid.uuid4(), "amount": "25"}
    for answer in (owner.get(path), owner.post(path, form)):
        assert answer["Location"].startswith("/account/reauthenticate/")
    assert not RefundAsk.objects.filter(top_up=made).exists()


@pytest.mark.parametrize("amount", ["26", "0.001", "", "-4"])
def test_more_than_is_unspent_is_refused_in_the_form(alice, asked_here, amount):
    made = credited(alice)
    browser = come_in(alice)
    path = f"/my/credits/purchases/{made.pk}/back"

    answer = browser.post(path, {**filled(browser.get(path)), "amount": amount})

    assert answer.status_code in (400, 402)
    assert not RefundAsk.objects.filter(top_up=made).exists()


def test_without_the_operators_word_nothing_is_offered(alice):
    made = credited(alice)
    browser = come_in(alice)

    assert "/back" not in text(browser.get("/my/credits"))
    assert browser.get(f"/my/credits/purchases/{made.pk}/back").status_code == 403
