"""POST /customers/credit and /customers/billing (contract 4.4, 4.5): over the wire."""

import json

import pytest

from apikeys.models import ApiKey
from common.money import usd
from credits.models import Billing, TopUp

PATHS = ["/customers/credit", "/customers/billing"]
GOOD = '{"amount_micros": 25000000, "currency": "usd"}'


@pytest.fixture
def post(client, alice, fake):
    """Alice asks with a key that may change how she pays."""
    key = ApiKey.objects.filter(pk=alice.api_key_record.pk)
    key.update(scopes=["proxy", "usage:read", "billing:manage"])

    def ask(path, body=GOOD):
        raw = body if isinstance(body, bytes) else body.encode()
        headers = {"X-API-KEY": alice.key}
        return client.post(path, raw, content_type="application/json", headers=headers)

    return ask


def test_a_purchase_answers_where_to_pay(post, alice, fake):
    answer = post("/customers/credit")

    assert answer.status_code == 201
    assert set(answer.json()) == {"checkout_url"}
    top_up = TopUp.objects.get(wallet=alice.wallet)
    assert answer.json()["checkout_url"] == top_up.checkout_url
    assert top_up.checkout_url == f"{fake.url}/c/pay/{top_up.session_id}"
    assert (top_up.amount_micros, top_up.state) == (usd("25.00"), "open")
    assert (top_up.user_id, top_up.source) == (alice.user.pk, "checkout")


def test_the_page_knows_its_purchase_and_whoever_leaves_it_comes_back_to_us(post, alice, fake):
    post("/customers/credit")

    (session,) = fake.get("state")["checkout.session"]
    top_up = TopUp.objects.get(wallet=alice.wallet)
    back = f"http://testserver/purchases/{top_up.pk}"
    assert (session["success_url"], session["cancel_url"]) == (back, f"{back}?cancelled=1")
    assert session["client_reference_id"] == session["metadata"]["top_up"] == str(top_up.pk)
    assert (session["amount_total"], session["currency"]) == (2500, "usd")
    assert session["customer"] == Billing.objects.get(pk=alice.workspace_id).customer_id


def test_the_address_that_is_configured_is_where_one_comes_back_to(post, fake, settings):
    settings.PUBLIC_URL = "https://credits.example.org"

    post("/customers/credit")

    (session,) = fake.get("state")["checkout.session"]
    assert session["success_url"].startswith("https://credits.example.org/purchases/")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "amount_micros: This field is required. currency: This field is required."),
        ("{}", "amount_micros: This field is required."),
        ('{"amount_micros": 25000000}', "currency: This field is required."),
        ('{"currency": "usd"}', "amount_micros: This field is required."),
        ('{"amount_micros": "many", "currency": "usd"}', "amount_micros: A valid integer"),
        ('{"amount_micros": true, "currency": "usd"}', "amount_micros: A valid integer"),
        ('{"amount_micros": null, "currency": "usd"}', "amount_micros: This field may not be null"),
        ('{"amount_micros": [25000000], "currency": "usd"}', "amount_micros: A valid integer"),
        ('{"amount_micros": 25000000.5, "currency": "usd"}', "amount_micros: A valid integer"),
        ('{"amount_micros": 1e30, "currency": "usd"}', "amount_micros: A valid integer"),
        ('{"amount_micros": -25000000, "currency": "usd"}', "amount_micros: Ensure"),
        ('{"amount_micros": 9999999999999999999, "currency": "usd"}', "amount_micros: Ensure"),
        ('{"amount_micros": 99999999999999999999, "currency": "usd"}', "amount_micros: A valid"),
        (
            '{"amount_micros": 0, "currency": "usd"}',
            "amount_micros: credits are sold for $5.00 to $10,000.00, and this is $0.00.",
        ),
        ('{"amount_micros": 4990000, "currency": "usd"}', "and this is $4.99."),
        ('{"amount_micros": 10000010000, "currency": "usd"}', "and this is $10,000.01."),
        (
            '{"amount_micros": 5000001, "currency": "usd"}',
            "amount_micros: $5.000001 is not a whole number of cents.",
        ),
        (
            '{"amount_micros": 5005000, "currency": "usd"}',
            "amount_micros: $5.005 is not a whole number of cents.",
        ),
        ('{"amount_micros": 25000000, "currency": "eur"}', 'currency: "eur" is not a valid choice'),
        ('{"amount_micros": 25000000, "currency": null}', "currency: This field may not be null"),
        ("[]", "The body must be a JSON object."),
        ("null", "The body must be a JSON object."),
        ("rubbish", "The body is not JSON: "),
        ('{"amount_micros": NaN, "currency": "usd"}', "The body is not JSON: "),
        (b'{"amount_micros": "\xff"}', "The body is not JSON: "),
        ("[" * 100_000, "The body is not JSON: depth limit"),
    ],
)
def test_a_body_that_makes_no_sense_is_a_flat_400_that_says_what_is_wrong(
    post, alice, fake, body, sentence
):
    answer = post("/customers/credit", body)

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "message"}
    assert answer.json()["error"] == "invalid_request"
    assert sentence in answer.json()["message"]
    assert not TopUp.objects.filter(wallet=alice.wallet).exists()
    assert not fake.get("requests"), "Stripe was not asked"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        '{"return_url": "http://127.0.0.1:8188/?x=1"}',
        '{"target_tier": "pro-yearly", "cancel_subscription": true}',
        '{"return_url": ""}',
        '{"return_url": null}',
    ],
)
def test_the_portal_is_that_of_the_workspaces_customer(post, alice, fake, body):
    answer = post("/customers/billing", body)

    assert answer.status_code == 200
    assert answer.json()["billing_portal_url"].startswith(f"{fake.url}/p/session/")
    (portal,) = fake.get("state")["billing_portal.session"]
    assert portal["customer"] == Billing.objects.get(pk=alice.workspace_id).customer_id
    wanted = "http://127.0.0.1:8188/?x=1" if "8188" in body else "http://testserver"
    assert portal["return_url"] == wanted


@pytest.mark.parametrize(
    "url",
    [
        "http://render01:8188/",
        "http://[::1]:8188",
        "http://192.168.0.5:8188",
        "http://localhost:8188/?workflow=a%20b#graph",
        "https://gpu_7.farm.lan/comfy/",
        "HTTPS://Comfy.Example.org",
        "http://b\u00fccher.example/",
        "http://a.example/" + "x" * 1983,
    ],
)
def test_the_portal_leads_back_to_wherever_a_comfyui_runs(post, fake, url):
    answer = post("/customers/billing", json.dumps({"return_url": url}))

    assert answer.status_code == 200
    (portal,) = fake.get("state")["billing_portal.session"]
    assert portal["return_url"] == url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("javascript:alert(1)", "must begin with http:// or https://"),
        ("javascript://a.example/%0aalert(1)", "must begin with http:// or https://"),
        ("data:text/html,x", "must begin with http:// or https://"),
        ("ftp://a.example/", "must begin with http:// or https://"),
        ("file:///etc/passwd", "must begin with http:// or https://"),
        ("here", "must begin with http:// or https://"),
        ("/back", "must begin with http:// or https://"),
        ("//a.example/", "must begin with http:// or https://"),
        ("5", "must begin with http:// or https://"),
        ("http:a.example", "names no host"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("http://:8188/", "names no host"),
        ("http://?x", "names no host"),
        ("http://[::1", "names no host"),
        ("http://[render01]:8188/", "names no host"),
        ("http://[]/", "names no host"),
        ("http://a b/", "names no host"),
        ("http://a.example:port/", "names no host"),
        ("http://a.example:99999/", "names no host"),
        ("http://[::1]:99999/", "names no host"),
        ("http://a.example\\@b.example/", "names no host"),
        ("http://a<b>/", "names no host"),
        ("http://a.example/\n/x", "names no host"),
        ("http://user@a.example/", "must hold no name or password"),
        ("http://user:pass@a.example/", "must hold no name or password"),
        ("http://a.example/" + "x" * 1984, "no more than 2000 characters"),
        (5, "must begin with http:// or https://"),
        ({"a": 1}, "Not a valid string"),
    ],
)
def test_the_portal_leads_back_to_a_web_page_only(post, fake, url, sentence):
    answer = post("/customers/billing", json.dumps({"return_url": url}))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.json()["message"].startswith("return_url: ")
    assert sentence in answer.json()["message"]
    assert not fake.get("requests")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"X-API-KEY": "comfyui-" + "0" * 64}])
def test_without_a_key_it_is_a_401(client, db, fake, path, headers):
    answer = client.post(path, GOOD, content_type="application/json", headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert set(answer.json()) == {"error", "message"}
    assert not fake.get("requests")


@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_may_only_call_buys_nothing(post, alice, path):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["proxy"])

    assert post(path).status_code == 403


def test_a_key_that_only_buys_does_not_see_the_saved_cards(post, alice, fake):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["proxy", "usage:read"])

    answer = post("/customers/billing")

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
    assert "billing:manage" in answer.json()["message"]
    assert not fake.get("requests")
    assert post("/customers/credit").status_code == 201


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("known", [True, False])
def test_where_no_payment_provider_is_configured_it_is_a_403_that_says_so(
    post, alice, settings, path, known
):
    if known:  # It was configured once.
        post("/customers/billing")
    settings.STRIPE_API_KEY = ""

    answer = post(path)

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
    assert "no payment provider is configured" in answer.json()["message"]
    assert not TopUp.objects.filter(wallet=alice.wallet).exists()


def test_what_was_bought_is_listed_for_its_workspace_alone(client, alice, bob, shop):
    shop.buy(alice, "25.00")
    shop.open(alice, "5.00")

    def listed(member):
        return client.get("/v1/purchases", headers={"X-API-KEY": member.key}).json()

    newest, oldest = listed(alice)["purchases"]
    assert listed(alice)["total"] == 2
    assert (newest["state"], newest["amount_micro_usd"]) == ("open", 5_000_000)
    assert newest["checkout_url"].startswith("http")
    assert (oldest["state"], oldest["checkout_url"]) == ("credited", "")
    assert oldest["unspent_micro_usd"] == 25_000_000
    assert oldest["receipt_url"]
    assert (listed(bob)["purchases"], listed(bob)["total"]) == ([], 0)
