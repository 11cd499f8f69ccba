"""POST /webhooks/stripe: what Stripe signed is stored once; anything else is a 400, never a 500."""

import json
import time
import uuid

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from credits.models import StripeEvent
from sandbox.stripe.webhooks import signature
from tests.plugin import examples

SECRET, OTHER = "whsec_for_tests", "whsec_of_somebody_else"
PATH = "/webhooks/stripe"


def an_event(**more):
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "data": {"object": {"id": "cus_1", "object": "customer"}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "customer.updated",
        **more,
    }


def a_thin_event(**more):
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "v2.core.event",
        "type": "v1.billing.meter.no_meter_found",
        "created": "2026-11-01T00:00:00.000Z",
        "livemode": False,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/x"},
        **more,
    }


def packed(event):
    return json.dumps(event).encode()


def signed(body, *secrets, ahead=0):
    return signature(body, list(secrets or [SECRET]), int(time.time()) + ahead)


@pytest.fixture
def post(client, db, fake):
    def deliver(body, header, *, content_type="application/json; charset=utf-8"):
        headers = {} if header is None else {"Stripe-Signature": header}
        return client.generic("POST", PATH, body, content_type=content_type, headers=headers)

    return deliver


def is_stored(event):
    return StripeEvent.objects.filter(pk=event["id"]).exists()


def test_what_stripe_signed_is_stored_and_answered_with_200(post):
    event = an_event()
    body = packed(event)

    answer = post(body, signed(body))

    assert (answer.status_code, answer.json()) == (200, {"received": True, "new": True})
    row = StripeEvent.objects.get(pk=event["id"])
    assert (row.type, row.object_id, row.payload) == ("customer.updated", "cus_1", event)
    assert (row.listed, row.processed_at, row.attempts) == (False, None, 0)
    assert row.happened_at.timestamp() == event["created"]


def test_an_event_that_is_delivered_twice_is_stored_once(post):
    event = an_event()
    body = packed(event)

    answers = [post(body, signed(body)) for _ in range(3)]

    assert [answer.json()["new"] for answer in answers] == [True, False, False]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert StripeEvent.objects.filter(pk=event["id"]).count() == 1


def test_an_event_that_comes_to_many_processes_at_once_is_stored_once(
    committed, fake, client, at_once
):
    event = an_event()
    body = packed(event)
    headers = {"Stripe-Signature": signed(body)}

    answers = at_once(
        lambda _: client.generic("POST", PATH, body, headers=headers).json()["new"], range(8)
    )

    assert sorted(answers) == [False] * 7 + [True]


@pytest.mark.parametrize("used", [[SECRET], [OTHER], [SECRET, OTHER], [OTHER, SECRET]])
def test_while_a_secret_is_rotated_either_may_sign(post, settings, used):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET, OTHER]
    body = packed(an_event())

    assert post(body, signed(body, *used)).status_code == 200


@pytest.mark.parametrize("ours", [[SECRET], []])
def test_a_secret_that_is_not_ours_signs_nothing(post, settings, ours):
    settings.STRIPE_WEBHOOK_SECRETS = ours
    event = an_event()
    body = packed(event)

    answer = post(body, signed(body, OTHER))

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "message"}
    assert "not an event that the payment provider signed" in answer.json()["message"]
    assert not is_stored(event)


@pytest.mark.parametrize(
    ("ahead", "status"), [(-280, 200), (-310, 400), (50, 200), (70, 400), (10**9, 400)]
)
def test_an_event_is_taken_within_five_minutes_of_its_signing(post, ahead, status):
    event = an_event()
    body = packed(event)

    assert post(body, signed(body, ahead=ahead)).status_code == status
    assert is_stored(event) == (status == 200)


def test_a_body_that_was_changed_is_refused(post):
    body = packed(an_event())

    assert post(body.replace(b"cus_1", b"cus_2"), signed(body)).status_code == 400


def now():
    return int(time.time())


HEADERS = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "without a time": lambda body: signed(body).partition(",")[2],
    "without a signature": lambda _: f"t={now()}",
    "a time that is no number": lambda body: f"t=soon,{signed(body).partition(',')[2]}",
    "another scheme": lambda body: signed(body).replace("v1=", "v0="),
    "an empty signature": lambda _: f"t={now()},v1=",
    "not ASCII": lambda _: f"t={now()},v1=é\xff",
    "only commas": lambda _: ",,,=,=",
    "very long": lambda body: f"t={now()}," + "v1=00," * 5000,
    "another time in front": lambda body: f"t=9999999999,{signed(body)}",
}


@pytest.mark.parametrize("how", HEADERS)
def test_a_header_that_is_not_a_signature_is_refused(post, how):
    event = an_event()
    body = packed(event)

    assert post(body, HEADERS[how](body)).status_code == 400
    assert not is_stored(event)


def is_text(body):
    try:
        return bool(body.decode())
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\xff\xfe\x00",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"evt_1"',
        b"{}",
        b'{"object": "event"}',
        packed(an_event(type=None)),
        packed(an_event(data=None)),
        packed(an_event(id=None)),
        packed(an_event(created="yesterday")),
        packed(an_event(created=10**18)),
        packed(an_event(id="e" * 101)),
        packed(an_event(type="t" * 101)),
        packed(an_event(note="\x00")),
        packed(an_event(note="\ud800")),
        b"[" * 100_000,
        "ü".join(["", ""]).encode("utf-16"),
        packed(an_event()).decode().encode("utf-16"),
        packed(a_thin_event(id=None)),
        packed(a_thin_event(created="yesterday")),
        packed(a_thin_event(created=7)),
        packed(a_thin_event(related_object="mtr_1")),
        packed({"object": "v2.core.event"}),
        packed({"object": "v2.core.surprise", "id": "x"}),
        packed({"detail": an_event()}),
    ],
)
def test_what_is_signed_but_no_event_is_refused(post, body):
    before = StripeEvent.objects.count()

    answer = post(body, signed(body))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    if is_text(body):  # Nothing else is ever signed.
        assert "signed for us" not in answer.json()["message"]
    assert StripeEvent.objects.count() == before


@pytest.mark.parametrize("related", [{"id": "mtr_1", "type": "billing.meter", "url": "/x"}, None])
def test_a_thin_event_is_stored(post, related):
    event = a_thin_event(related_object=related)
    body = packed(event)

    answers = [post(body, signed(body)) for _ in range(2)]

    assert [answer.json() for answer in answers] == [
        {"received": True, "new": True},
        {"received": True, "new": False},
    ]
    row = StripeEvent.objects.get(pk=event["id"])
    assert (row.type, row.payload) == ("billing.meter.no_meter_found", event)
    assert row.object_id == (related or {"id": ""})["id"]
    assert row.happened_at.isoformat() == "2026-11-01T00:00:00+00:00"


def test_an_event_about_something_without_an_id_is_stored(post):
    event = an_event(type="balance.available", data={"object": {"object": "balance"}})
    body = packed(event)

    assert post(body, signed(body)).status_code == 200
    assert StripeEvent.objects.get(pk=event["id"]).object_id == ""


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json; charset=utf-16", "x; charset=nonsense"]
)
def test_what_the_content_type_says_does_not_matter_the_bytes_do(post, content_type):
    body = packed(an_event(note="für"))

    assert post(body, signed(body), content_type=content_type).status_code == 200


def test_a_body_of_many_megabytes_is_refused(post):
    event = an_event(note="x" * 3_000_000)
    body = packed(event)

    assert post(body, signed(body)).status_code == 413
    assert not is_stored(event)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_events_are_posted(client, db, fake, method):
    body = packed(an_event())

    answer = client.generic(method, PATH, body, headers={"Stripe-Signature": signed(body)})

    assert answer.status_code == 400


def test_the_address_that_operators_register_stays_as_it_is():
    from credits.payments.views import stripe_webhook

    assert reverse(stripe_webhook) == PATH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "object", "type", "data", "created", "a"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
PIECES = st.sampled_from(["t=", "v1=", ",", "=", "0", "9" * 30, "-1", "é", " ", "a" * 64, "\t"])
quiet = hypothesis_settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quiet
@given(header=st.lists(PIECES, max_size=8).map("".join), body=st.binary(max_size=80))
def test_whatever_is_posted_is_a_400(post, header, body):
    assert post(body, header).status_code == 400


@quiet
@given(changes=st.dictionaries(st.sampled_from(list(an_event())), JSON, max_size=3))
def test_whatever_stripe_signs_is_stored_or_refused(post, changes):
    body = packed({**an_event(), **changes})

    assert post(body, signed(body)).status_code in (200, 400)
