"""Each object of the fake is one that Stripe's own library knows: its names, and their values."""

import inspect
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import stripe

from sandbox.stripe.desk import API_VERSION
from sandbox.stripe.remote import Remote, stripe_in_thread

ITEM = {
    "price_data": {
        "currency": "usd",
        "unit_amount": 2500,
        "product_data": {"name": "Credits"},
    },
    "quantity": 1,
}
# Untyped by the library, so there is nothing to compare with.
OPEN_ENDED = {"UntypedStripeObject", "ErrorObject"}


@pytest.fixture(scope="module")
def fake():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def client(fake: Remote):
    fake.post("reset")
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        "sk_test_objects", base_addresses={"api": fake.url}, max_network_retries=0, http_client=http
    )
    http.close()


def annotations_of(cls: type) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for each in reversed(cls.__mro__):
        if each not in (object, dict) and each.__name__ != "StripeObject":
            known.update(inspect.get_annotations(each))
    return known


def literals(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {value for each in get_args(annotation) for value in literals(each)}


def is_optional(annotation: Any) -> bool:
    return get_origin(annotation) is Union and type(None) in get_args(annotation)


def problems(thing: Any, path: str) -> list[str]:
    """Give what Stripe's library would not recognise in an object, at any depth."""
    if isinstance(thing, list):
        return [each for item in thing for each in problems(item, path + "[]")]
    if not isinstance(thing, stripe.StripeObject) or type(thing).__name__ in OPEN_ENDED:
        return []
    found = [each for name in thing._data for each in problems(thing[name], f"{path}.{name}")]
    if type(thing) in (stripe.StripeObject, stripe.ListObject):
        return found
    known = annotations_of(type(thing))
    for name, value in thing._data.items():
        if name not in known:
            found.append(f"{path}.{name} is unknown to {type(thing).__qualname__}")
        elif wrong := what_is_wrong(value, known[name]):
            found.append(f"{path}.{name} is {wrong}")
    required = {name for name, each in known.items() if not is_optional(each)}
    missing = {name for name in required if not name.startswith("_")} - set(thing._data)
    if not getattr(thing, "deleted", False):
        found += [f"{path}.{name} is missing" for name in missing if name.islower()]
    return found


def what_is_wrong(value: Any, annotation: Any) -> str | None:
    if value is None:
        return None if is_optional(annotation) else "null"
    allowed = literals(annotation)
    for each in value if isinstance(value, list) else [value]:
        if allowed and isinstance(each, (str, bool)) and each not in allowed:
            return repr(each)
    if annotation in (int, str, bool) and type(value) is not annotation:
        return f"a {type(value).__name__}"
    return None


def test_the_check_sees_what_is_wrong():
    refund = {"object": "refund", "id": 5, "amount": None, "reason": "mood", "colour": "red"}
    page = stripe.StripeObject.construct_from({"object": "list", "data": [refund]}, "sk_test_a")

    assert sorted(problems(page.data[0], "refund"))[:6] == [
        "refund.amount is null",
        "refund.colour is unknown to Refund",
        "refund.created is missing",
        "refund.currency is missing",
        "refund.id is a int",
        "refund.reason is 'mood'",
    ]


def test_the_version_is_that_of_the_library():
    assert stripe.api_version == API_VERSION


def live(client: stripe.StripeClient, fake: Remote) -> list[Any]:
    """Let everything happen that the fake can do, and give all that it then answers."""
    v1 = client.v1
    made: list[Any] = []
    customer = v1.customers.create({"email": "alice@example.com", "name": "Alice"})
    taxed = v1.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": customer.id,
            "line_items": [ITEM],
            "automatic_tax": {"enabled": True},
            "customer_update": {"address": "auto"},
            "invoice_creation": {"enabled": True, "invoice_data": {"metadata": {"a": "b"}}},
            "payment_intent_data": {"setup_future_usage": "off_session"},
            "success_url": "https://shop.example/{CHECKOUT_SESSION_ID}",
        }
    )
    made.append(taxed)
    fake.post(f"sessions/{taxed.id}/decline")
    made.append(v1.payment_intents.list().data[0])
    fake.post(f"sessions/{taxed.id}/pay")
    later = v1.checkout.sessions.create(
        {"mode": "payment", "line_items": [ITEM], "success_url": "https://shop.example"}
    )
    fake.post(f"sessions/{later.id}/later")
    made.extend(v1.charges.list().data)
    fake.post(f"payments/{later.id}/fail")
    setup = v1.checkout.sessions.create(
        {"mode": "setup", "customer": customer.id, "success_url": "https://shop.example"}
    )
    fake.post(f"sessions/{setup.id}/save", card="authenticationRequired")
    method = v1.setup_intents.list().data[0].payment_method
    made.append(
        v1.payment_intents.create(
            {
                "amount": 900,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": method,
                "confirm": True,
                "automatic_payment_methods": {"enabled": True},
            }
        )
    )
    paid = v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    refund = v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    fake.post(f"refunds/{refund.id}/fail")
    dispute = fake.post("disputes", payment_intent=paid.id)
    fake.post(f"disputes/{dispute['id']}/won")
    fake.post("early_fraud_warnings", payment_intent=paid.id)
    fake.post("reviews", payment_intent=paid.id)
    made.append(v1.billing_portal.sessions.create({"customer": customer.id}))
    expand = ["payment_intent.latest_charge.refunds", "invoice", "customer", "line_items"]
    made.append(v1.checkout.sessions.retrieve(taxed.id, {"expand": expand}))
    made.append(v1.setup_intents.create({"payment_method": "pm_card_visa", "confirm": True}))
    lists = (
        v1.customers, v1.checkout.sessions, v1.payment_intents, v1.setup_intents, v1.charges,
        v1.refunds, v1.disputes, v1.invoices, v1.balance_transactions, v1.reviews,
        v1.radar.early_fraud_warnings, v1.payment_methods,
    )  # fmt: skip
    for each in lists:
        made.extend(each.list().data)
    return made


def test_every_object_is_one_that_the_library_knows(client: stripe.StripeClient, fake: Remote):
    made = live(client, fake)

    kinds = {each.object for each in made}
    found = [each for thing in made for each in problems(thing, thing.object)]
    assert len(kinds) == 13
    assert not sorted(set(found))


def test_every_event_holds_such_an_object(client: stripe.StripeClient, fake: Remote):
    live(client, fake)

    events = client.v1.events.list({"limit": 100}).data
    known = set(get_args(inspect.get_annotations(stripe.Event)["type"]))
    found = []
    for event in events:
        assert event.type in known
        assert event.api_version == stripe.api_version
        snapshot = stripe.StripeObject.construct_from(
            {"object": "list", "data": [event.data.object.to_dict()]}, "sk_test_objects"
        )
        found += problems(snapshot.data[0], event.type)
        before = event.data._data.get("previous_attributes")
        if before is not None:
            assert set(before._data) <= set(event.data.object._data) | {"pending_reason"}
    assert len({each.type for each in events}) > 25
    assert not sorted(set(found))


def test_a_deleted_customer_says_so(client: stripe.StripeClient):
    customer = client.v1.customers.create({"email": "bob@example.com"})

    gone = client.v1.customers.delete(customer.id)

    assert gone.deleted
    assert client.v1.customers.retrieve(customer.id).deleted
    assert client.v1.customers.list().data == []
