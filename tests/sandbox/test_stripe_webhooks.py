"""The fake Stripe's webhooks: verified by its library, and duplicated, late, reordered or lost."""

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
def tell(fake: Remote, receiver: Receiver):
    """Set the switches, make customers of these names, and wait until all is delivered."""
    fake.post("reset")
    http = stripe.RequestsClient()
    client = stripe.StripeClient("sk_test_hook", base_addresses={"api": fake.url}, http_client=http)

    def act(*names: str, **switches) -> list[str]:
        fake.post("webhook", **{"url": receiver.url, "secrets": SECRETS, **switches})
        made = [client.v1.customers.create({"name": each}).id for each in names]
        assert fake.post("webhook/flush", seconds=5)["idle"]
        return made

    yield act
    http.close()


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
