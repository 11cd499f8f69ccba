"""Whatever nobody needs to be known for is heard only so often: generated from the URL list.

The doors of people are in test_doors.py; here is what programs knock at.
"""

from __future__ import annotations

import base64
import json
import uuid
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.test import Client
from nacl.public import PrivateKey
from test_access_rules import ANYBODY, OPERATOR, ROUTES, RULES, TOKEN, path_of

from accounts import issuing
from apikeys import pairing, reports
from common import operators, ratelimits
from proxy.quoting import views as quoting

LIMITED = {
    "auth/partner-node/renew": ("POST", issuing, "MOST_TRIES"),
    "v1/pairings": ("POST", pairing, "MOST_BEGUN"),
    "v1/pairings/<uuid:pairing_id>": ("DELETE", pairing, "MOST_ASKED"),
    "v1/pairings/<uuid:pairing_id>/taken": ("POST", pairing, "MOST_ASKED"),
    "webhooks/leaked-keys": ("POST", reports, "MOST_A_MINUTE"),
    "v1/quote": ("POST", quoting, "ANONYMOUS"),
    "admin/verify-api-key": ("POST", operators, "MOST_WRONG"),
    "admin/customers/<uuid:user_id>/balance": ("GET", operators, "MOST_WRONG"),
    "admin/customers/<uuid:user_id>/cloud-subscription-status": ("GET", operators, "MOST_WRONG"),
    "admin/customers/<uuid:user_id>/stripe-data": ("DELETE", operators, "MOST_WRONG"),
    "customers/<uuid:user_id>/usage": ("POST", operators, "MOST_WRONG"),
    "admin/workers": ("POST", operators, "MOST_WRONG"),
    "admin/workers/<str:name>": ("DELETE", operators, "MOST_WRONG"),
    "admin/workers/<str:name>/nodes": ("PUT", operators, "MOST_WRONG"),
    "admin/workers/<str:name>/drain": ("POST", operators, "MOST_WRONG"),
    "admin/workers/<str:name>/back": ("POST", operators, "MOST_WRONG"),
}
BODIES = {
    "v1/pairings": {
        "public_key": base64.b64encode(bytes(PrivateKey.generate().public_key)).decode(),
        "secret_digest": "00" * 32,
    }
}
WHY_NOT = {
    "webhooks/stripe": "its signature is read first, and a burst of Stripe's must be taken",
    "api/global-settings": "it keeps nothing, whatever is sent",
    "api/global-settings/<str:key>": "it keeps nothing, whatever is sent",
    **dict.fromkeys(
        (
            "customers/<uuid:user_id>",
            "customers/<uuid:user_id>/balance",
            "customers/<uuid:user_id>/events",
        ),
        "for staff who are signed in, by two factors, at the doors of people",
    ),
}
ENOUGH = (302, 400, 401, 403, 404, 405)
"""How it is answered, where nothing can be sent to an address without a credential."""


@pytest.fixture(autouse=True)
def nobody_has_tried(db, settings, monkeypatch):
    """And no minute begins between two tries."""
    cache.clear()
    monkeypatch.setattr(ratelimits, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    settings.LEAK_REPORT_KEYS_URL = "https://keys.example.org"
    settings.ADMIN_SECRETS = ["the operator's own secret, which is long"]


def knock(method, route, *, address="192.0.2.1", **headers):
    client = Client(SERVER_NAME="localhost", REMOTE_ADDR=address)
    path = path_of(route, str(uuid.uuid4()))
    body = json.dumps(BODIES.get(route, {}))
    return client.generic(method, path, body, content_type="application/json", headers=headers)


def test_every_address_that_programs_knock_at_is_in_a_table():
    """What is read by anybody is a page; what takes something from anybody is a door."""
    taking = {
        route
        for route in RULES[ANYBODY]
        if hasattr(getattr(ROUTES[route], "cls", None), "post")
        or route.startswith(("webhooks/", "api/global"))
    }

    assert {*RULES[TOKEN], *RULES[OPERATOR], *taking} == {*LIMITED, *WHY_NOT}


@pytest.mark.parametrize("route", sorted({*RULES[ANYBODY]} - {*LIMITED, *WHY_NOT}))
def test_what_is_no_door_takes_nothing(route):
    answer = knock("POST", route)

    assert answer.status_code in ENOUGH, answer.content[:200]


@pytest.mark.parametrize("route", LIMITED)
def test_it_is_heard_so_often_from_one_household(monkeypatch, route):
    method, module, name = LIMITED[route]
    monkeypatch.setattr(module, name, 2)

    told = [knock(method, route).status_code for _ in range(3)]

    assert 429 not in told[:2], told
    assert told[2] == 429
    assert int(knock(method, route)["Retry-After"]) > 0
    assert knock(method, route, address="198.51.100.7").status_code != 429


def test_the_operators_own_programs_are_not_counted_and_a_guess_in_time_is_not_heard(
    monkeypatch, settings
):
    monkeypatch.setattr(operators, "MOST_WRONG", 2)
    secret = {operators.HEADER: settings.ADMIN_SECRETS[0]}
    route = "admin/customers/<uuid:user_id>/balance"
    assert {knock("GET", route, **secret).status_code for _ in range(6)} == {404}

    wrong = [knock("GET", route, **{operators.HEADER: "guess"}).status_code for _ in range(3)]

    assert wrong == [401, 401, 429]
    assert knock("GET", route, **secret).status_code == 429, "also if it is right at last"
