"""The fake Stripe as its own library meets it: keys, forms, errors, lists, lost answers."""

import threading
import time

import pytest
import requests
import stripe

from sandbox.stripe.desk import Settings
from sandbox.stripe.remote import ControlRefusedError, Remote, stripe_in_thread
from sandbox.stripe.server import running_stripe
from sandbox.stripe.wire import Refusal, parse_form

KEY = "sk_test_api"
SESSION = {
    "mode": "payment",
    "line_items": [
        {
            "price_data": {
                "currency": "usd",
                "unit_amount": 2500,
                "product_data": {"name": "Credits & more"},
            },
            "quantity": 2,
        }
    ],
    "success_url": "https://shop.example/?session={CHECKOUT_SESSION_ID}",
}


@pytest.fixture(scope="module")
def fake():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def client_of(fake: Remote, monkeypatch):
    fake.post("reset")
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.02)
    made = []

    def build(key: str = KEY, *, retries: int = 0, timeout: float = 10):
        made.append(stripe.RequestsClient(timeout=timeout))
        return stripe.StripeClient(
            key,
            base_addresses={"api": fake.url},
            max_network_retries=retries,
            http_client=made[-1],
        ).v1

    yield build
    for each in made:
        each.close()


@pytest.fixture
def v1(client_of):
    return client_of()


def key(name: str) -> dict:
    return {"idempotency_key": name}


@pytest.mark.parametrize(
    ("form", "tree"),
    [
        ("a=1&b[c]=2", {"a": "1", "b": {"c": "2"}}),
        ("a[0][b]=1&a[1][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        ("a[10]=k&a[9]=j", {"a": ["j", "k"]}),
        ("types[]=a&types[]=b", {"types": ["a", "b"]}),
        ("metadata=", {"metadata": ""}),
        ("a%5Bb%5D=%26%3D%C3%A9", {"a": {"b": "&=é"}}),
    ],
)
def test_forms_are_read_with_their_brackets(form, tree):
    assert parse_form(form) == tree


@pytest.mark.parametrize("form", ["a[=1", "[a]=1", "a=1&a[b]=2", "a=%FF", "a[b]c=1"])
def test_malformed_forms_are_refused(form):
    with pytest.raises(Refusal):
        parse_form(form)


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer sk_live_x"}, {"Authorization": "é"}]
)
def test_a_wrong_key_is_refused(fake, header):
    headers = {name: value.encode() for name, value in header.items()}
    with requests.get(f"{fake.url}/v1/customers", headers=headers, timeout=30) as answer:
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.headers["Request-Id"].startswith("req_")


def test_the_only_key_is_the_one_that_was_set(client_of):
    with stripe_in_thread(Settings(key="sk_test_right")) as strict:
        for name, status in (("sk_test_right", 200), ("sk_test_wrong", 401)):
            headers = {"Authorization": f"Bearer {name}"}
            with requests.get(f"{strict.url}/v1/customers", headers=headers, timeout=30) as answer:
                assert answer.status_code == status


def test_the_library_sees_stripes_errors(v1):
    with pytest.raises(stripe.InvalidRequestError) as missing:
        v1.customers.retrieve("cus_nobody")
    with pytest.raises(stripe.InvalidRequestError) as referred:
        v1.payment_intents.create({"amount": 100, "currency": "usd", "customer": "cus_nobody"})
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        v1.customers.create({"colour": "red"})
    with pytest.raises(stripe.InvalidRequestError) as small:
        v1.payment_intents.create({"amount": 49, "currency": "usd"})

    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert (referred.value.http_status, referred.value.param) == (400, "customer")
    assert (unknown.value.code, unknown.value.param) == ("parameter_unknown", "colour")
    assert small.value.code == "amount_too_small"
    assert missing.value.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"success_url": ""}, "success_url"),
        ({"mode": "subscription"}, "mode"),
        ({"line_items": []}, "line_items"),
        ({"customer": "cus_nobody"}, "customer"),
        ({"expires_at": 5}, "expires_at"),
        ({"line_items": [{"price": "price_1", "quantity": 1}]}, "line_items[0]"),
        ({"payment_intent_data": {"colour": "red"}}, "payment_intent_data[colour]"),
    ],
)
def test_a_session_that_stripe_would_refuse_is_refused(v1, change, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.checkout.sessions.create({**SESSION, **change})

    assert refused.value.param == param


def test_metadata_is_merged_and_removed(v1):
    alice = v1.customers.create({"metadata": {"a": "1", "b": "2"}, "address": {"country": "DE"}})

    after = v1.customers.update(alice.id, {"metadata": {"b": "", "c": "3"}, "name": "Alice"})

    assert after.metadata.to_dict() == {"a": "1", "c": "3"}
    assert after.address.country == "DE"
    event = v1.events.list({"type": "customer.updated"}).data[0]
    before = event.data.previous_attributes.to_dict()
    assert before == {"name": None, "metadata": {"b": "2", "c": None}}


def test_customers_are_found_by_email(v1):
    for name in ("a", "b", "a"):
        v1.customers.create({"email": f"{name}@example.com"})

    assert len(v1.customers.list({"email": "a@example.com"}).data) == 2


def test_a_list_is_read_page_by_page(v1):
    made = [v1.customers.create({"name": str(number)}).id for number in range(7)]

    first = v1.customers.list({"limit": 3})
    second = v1.customers.list({"limit": 3, "starting_after": first.data[-1].id})
    newer = v1.customers.list({"limit": 2, "ending_before": second.data[-1].id})

    newest_first = made[::-1]
    assert [each.id for each in first.data] == newest_first[:3]
    assert [each.id for each in newer.data] == newest_first[3:5]
    assert (first.has_more, newer.has_more) == (True, True)
    assert [each.id for each in first.auto_paging_iter()] == newest_first
    with pytest.raises(stripe.InvalidRequestError):
        v1.customers.list({"limit": 101})


def test_events_are_found_by_types_and_time(v1, fake):
    v1.customers.create({"name": "before"})
    fake.post("clock", skew_seconds=3600)
    alice = v1.customers.create({"name": "Alice"})
    v1.customers.delete(alice.id)

    created = v1.events.list({"type": "customer.created"}).data
    deleted = v1.events.list({"types": ["customer.deleted", "charge.failed"]}).data
    later = v1.events.list({"created": {"gte": alice.created}}).data

    assert [each.data.object["name"] for each in created] == ["Alice", "before"]
    assert [each.type for each in deleted] == ["customer.deleted"]
    assert [each.type for each in later] == ["customer.deleted", "customer.created"]
    assert v1.events.retrieve(later[0].id).request.id.startswith("req_")


def test_what_is_expanded_is_the_object(v1):
    alice = v1.customers.create({"email": "alice@example.com"})
    asked = {**SESSION, "customer": alice.id, "expand": ["customer", "line_items"]}

    session = v1.checkout.sessions.create(asked)
    page = v1.checkout.sessions.list({"expand": ["data.customer"]})

    assert session.customer.email == page.data[0].customer.email == "alice@example.com"
    assert session.line_items.data[0].description == "Credits & more"
    assert v1.checkout.sessions.line_items.list(session.id).data[0].amount_total == 5000
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        v1.checkout.sessions.retrieve(session.id, {"expand": ["colour"]})


def test_the_same_key_and_parameters_are_answered_again(v1):
    first = v1.customers.create({"name": "Alice"}, key("one"))
    again = v1.customers.create({"name": "Alice"}, key("one"))

    assert first.id == again.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert len(v1.customers.list().data) == 1


def test_the_same_key_for_something_else_is_refused(v1):
    v1.customers.create({"name": "Alice"}, key("one"))

    with pytest.raises(stripe.IdempotencyError, match="same parameters") as other:
        v1.customers.create({"name": "Bob"}, key("one"))
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        v1.payment_intents.create({"amount": 500, "currency": "usd"}, key("one"))

    assert other.value.http_status == 400


def test_a_decline_is_remembered_and_a_bad_parameter_is_not(v1, fake):
    asked = {"amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined"}
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            v1.payment_intents.create({**asked, "confirm": True}, key("declined"))
    with pytest.raises(stripe.InvalidRequestError):
        v1.customers.create({"colour": "red"}, key("bad"))

    assert v1.customers.create({"name": "Alice"}, key("bad")).name == "Alice"
    assert len(v1.payment_intents.list().data) == 1
    assert [each["replayed"] for each in fake.get("requests")[:2]] == [False, True]
    fake.post("keys/forget")
    with pytest.raises(stripe.CardError):
        v1.payment_intents.create({**asked, "confirm": True}, key("declined"))
    assert len(v1.payment_intents.list().data) == 2


def test_the_same_key_at_once_is_a_conflict(v1, client_of, fake):
    fake.post("next", failure="slow=0.3")
    other = client_of()
    working = threading.Thread(target=v1.customers.create, args=({"name": "Alice"}, key("one")))
    working.start()
    time.sleep(0.1)

    with pytest.raises(stripe.APIError) as conflict:
        other.customers.create({"name": "Alice"}, key("one"))
    working.join()

    assert conflict.value.http_status == 409
    assert conflict.value.error.type == "idempotency_error"
    assert other.customers.create({"name": "Alice"}, key("one")).name == "Alice"
    assert len(v1.customers.list().data) == 1


@pytest.mark.parametrize(
    "failure", ["status=500", "status=503", "drop_before", "drop_after", "status_after=502"]
)
def test_the_library_tries_again_and_it_is_done_once(client_of, fake, failure):
    v1 = client_of(retries=2)
    fake.post("next", failure=failure, times=2)

    v1.customers.create({"name": "Alice"})

    seen = [each for each in fake.get("requests") if each["method"] == "POST"]
    assert len(seen) == 3
    assert len({each["idempotency_key"] for each in seen}) == 1
    assert len(v1.customers.list().data) == 1


@pytest.mark.parametrize(
    ("failure", "done"),
    [("drop_before", 0), ("drop_after", 1), ("timeout=0.5", 1), ("status_after=500", 1)],
)
def test_an_unknown_outcome_is_one_of_two(client_of, fake, failure, done):
    v1 = client_of(timeout=0.2)
    fake.post("next", failure=failure, path="/v1/customers")

    with pytest.raises((stripe.APIConnectionError, stripe.APIError)):
        v1.customers.create({"name": "Alice"}, key("one"))

    assert len(v1.customers.list().data) == done
    assert v1.customers.create({"name": "Alice"}, key("one")).name == "Alice"
    assert len(v1.customers.list().data) == 1


def test_what_was_done_is_not_done_again_for_a_bad_expand(v1):
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            v1.customers.create({"name": "Alice", "expand": ["colour"]}, key("one"))

    assert len(v1.customers.list().data) == 1


def test_too_many_requests_are_a_rate_limit(v1, fake):
    fake.post("next", failure="status=429", method="GET")

    with pytest.raises(stripe.RateLimitError):
        v1.customers.list()


def test_an_unknown_address_is_not_there(fake):
    with requests.get(f"{fake.url}/v1/subscriptions", timeout=30) as answer:
        assert answer.status_code == 404
        assert "Unrecognized request URL" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("next", {"failure": "explode"}),
        ("next", {}),
        ("webhook", {"colour": "red"}),
        ("webhook", {"drop_next": "many"}),
        ("disputes", {"charge": "ch_none"}),
        ("refunds/re_none/fail", {}),
        ("clock", {"skew_seconds": "x"}),
    ],
)
def test_the_control_api_refuses_what_it_does_not_know(fake, path, asked):
    with pytest.raises(ControlRefusedError):
        fake.post(path, **asked)


async def test_it_serves_the_asynchronous_library_in_this_process():
    async with running_stripe() as desk:
        http = stripe.AIOHTTPClient()
        client = stripe.StripeClient(KEY, base_addresses={"api": desk.url}, http_client=http)
        alice = await client.v1.customers.create_async({"name": "Alice"})
        await http.close_async()

        assert desk.objects[alice.id]["name"] == "Alice"
