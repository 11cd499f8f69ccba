"""The fake Stripe's webhooks: verified by its library, and duplicated, late, reordered or lost."""

import json

import pytest
import stripe
from webhook_receiver import Receiver, receiving

from sandbox.stripe.remote import Remote, stripe_in_thread

SECRETS = ["whsec_new", "whsec_old"]


def names(receiver: Receiver) -> list[str]:
    return [each.data.object["name"] for each in receiver.events(SECRETS[0])]


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def fake():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def client(fake: Remote):
    http = stripe.RequestsClient()
    yield stripe.StripeClient("sk_test_hook", base_addresses={"api": fake.url}, http_client=http)
    http.close()


@pytest.fixture
def tell(fake: Remote, receiver: Receiver, client: stripe.StripeClient):
    """Set the switches, make customers of these names, and wait until all is delivered."""
    fake.post("reset")

    def act(*names: str, **switches) -> list[str]:
        fake.post("webhook", **{"url": receiver.url, "secrets": SECRETS, **switches})
        made = [client.v1.customers.create({"name": each}).id for each in names]
        assert fake.post("webhook/flush", seconds=5)["idle"]
        return made

    return act


def test_events_are_signed_with_both_secrets(tell, receiver):
    (alice,) = tell("Alice")

    for secret in SECRETS:
        (event,) = receiver.events(secret)
        assert event.type == "customer.created"
        assert event.data.object["id"] == alice
        assert event.api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        receiver.events("whsec_other")


def test_events_come_in_order_unless_told(tell, receiver):
    tell("a", "b", "c", delay_seconds=0.1)
    assert names(receiver) == ["a", "b", "c"]


def test_events_are_reordered(tell, receiver):
    tell("a", "b", "c", reorder=True, delay_seconds=0.1)
    assert names(receiver) == ["c", "b", "a"]


def test_events_are_duplicated(tell, receiver):
    tell("a", duplicate=2)
    assert names(receiver) == ["a", "a", "a"]
    assert len({each.id for each in receiver.events(SECRETS[0])}) == 1


def test_events_are_dropped_and_may_be_sent_again(tell, receiver, fake):
    tell("a", "b", "c", drop_next=2)
    assert names(receiver) == ["c"]
    outcomes = [each["outcome"] for each in fake.get("deliveries")]
    assert outcomes == ["dropped", "dropped", 200]

    assert fake.post("webhook/resend") == 2
    fake.post("webhook/flush")

    assert names(receiver) == ["c", "a", "b"]


def test_all_events_are_dropped_and_still_listed(tell, receiver, fake):
    tell("a", "b", drop_all=True)

    assert receiver.bodies == []
    assert len(fake.get("state")["event"]) == 2


def test_a_failed_delivery_is_tried_again(tell, receiver, fake):
    receiver.statuses = [500, 302, 200]
    tell("a", retry_seconds=[0.01, 0.02, 0.03])

    assert names(receiver) == ["a", "a", "a"]
    tried = [(each["attempt"], each["outcome"]) for each in fake.get("deliveries")]
    assert tried == [(1, 500), (2, 302), (3, 200)]
    assert fake.get("state")["event"][0]["pending_webhooks"] == 0


def test_an_endpoint_that_is_not_there_is_given_up(tell, fake):
    tell("a", url="http://127.0.0.1:9/hook", retry_seconds=[0.01, 0.01])

    tried = [(each["attempt"], each["outcome"]) for each in fake.get("deliveries")]
    assert [attempt for attempt, _ in tried] == [1, 2, 3]
    assert {outcome for _, outcome in tried} == {"ClientConnectorError"}


def test_a_signature_may_be_from_the_future_or_the_past(tell, receiver):
    tell("a", signed_ahead_seconds=-900)

    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        receiver.events(SECRETS[0])


@pytest.mark.parametrize(
    ("switches", "sent"),
    [({"enabled": False}, 0), ({"events": ["customer.deleted"]}, 0),
     ({"events": ["customer.deleted", "customer.created"]}, 1), ({"events": ["*"]}, 1)],
)  # fmt: skip
def test_only_what_the_endpoint_wants_is_sent(tell, receiver, switches, sent):
    tell("a", **switches)

    assert len(receiver.bodies) == sent


def test_a_thin_event_only_names_its_object(tell, receiver):
    (alice,) = tell("Alice", thin=True)

    (event,) = map(json.loads, receiver.bodies)
    assert (event["object"], event["type"]) == ("v2.core.event", "v1.customer.created")
    assert event["related_object"] == {
        "id": alice, "type": "customer", "url": f"/v1/customers/{alice}",
    }  # fmt: skip
    assert "Alice" not in str(event)
    at = receiver.signatures[0]
    stripe.WebhookSignature.verify_header(receiver.bodies[0], at, SECRETS[0], 300)


@pytest.mark.parametrize("thin", [False, True])
def test_an_endpoint_is_told_by_the_api_that_knows_it(tell, receiver, client, thin):
    tell(thin=thin, events=["customer.created"], enabled=False)

    whole = client.v1.webhook_endpoints.list({"limit": 100}).data
    asked = {"include": ["webhook_endpoint.url"]}
    (one,) = client.v2.core.event_destinations.list(asked).data
    (hidden,) = client.v2.core.event_destinations.list().data

    assert [each.url for each in whole] == ([] if thin else [receiver.url])
    assert [(each.status, each.enabled_events) for each in whole] == (
        [] if thin else [("disabled", ["customer.created"])]
    )
    assert (one.webhook_endpoint.url, one.status) == (receiver.url, "disabled")
    assert one.event_payload == ("thin" if thin else "snapshot")
    assert hidden.webhook_endpoint.url is None
