"""An address that stands for a key may have narrower terms than the key, signed with it."""

from __future__ import annotations

import json
import time

import pytest
import runs_by_hand
from django.test import Client
from runs_stage import picture

from apikeys.models import ApiKey
from common import logs
from common.money import Micros
from runs.faces import address
from runs.models import Run


@pytest.fixture
def key(committed, ada):
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(scopes=["runs"])
    runs_by_hand.worker(ada)
    return ApiKey.objects.get(pk=ada.api_key_record.pk)


def ask(token, path="queue"):
    return Client().get(f"/run/{token}/{path}")


def post(token, **said):
    body = json.dumps({"prompt": picture(), **said})
    return Client().post(f"/run/{token}/prompt", body, content_type="text/plain")


def test_a_run_by_an_address_costs_what_the_address_says_at_most(key):
    token = address.of(key, most=Micros(50_000))

    usual, less = post(token), post(token, max_credits=2)
    more = post(token, max_credits=100)

    made = [Run.objects.get(pk=each.json()["prompt_id"]).max_micros for each in (usual, less)]
    assert made == [50_000, 9478]
    assert (more.status_code, more.json()["error"]["type"]) == (403, "forbidden")
    assert "By this address a run may cost $0.05" in more.json()["error"]["message"]


def test_of_key_and_address_the_narrower_holds(key):
    ApiKey.objects.filter(pk=key.pk).update(call_limit_micros=30_000)

    answer = post(address.of(key, most=Micros(50_000)))

    assert Run.objects.get(pk=answer.json()["prompt_id"]).max_micros == 30_000


def test_an_address_ends_at_its_own_time_and_before_it_with_its_key(key):
    token = address.of(key, seconds=2)
    lasting = address.of(key, seconds=3600)

    assert ask(token).status_code == 200
    shown = address.authenticate(token, address="127.0.0.1")
    assert address.is_living(shown)
    time.sleep(2.1)
    over = ask(token)
    assert (over.status_code, over["WWW-Authenticate"]) == (401, "Bearer")
    assert "over" in over.json()["error"]["message"]
    assert not address.is_living(shown), "so an open socket is closed"
    assert ask(lasting).status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(disabled_at=shown.created_at)
    assert ask(lasting).status_code == 401


def test_terms_that_were_changed_or_taken_away_are_no_address(key):
    token = address.of(key, most=Micros(50_000), seconds=3600)
    plain, signature = token[3:35], token[-32:]

    for forged in (
        f"rt_{plain}{50_001:012x}{token[47:]}",
        f"rt_{plain}{signature}",
        f"rt_{plain}{0:012x}{0:08x}{signature}",
        token[:-1] + ("0" if token[-1] != "0" else "1"),
    ):
        assert ask(forged).status_code == 401, forged
    assert ask(token).status_code == 200


def test_the_address_is_given_to_the_key_with_the_terms_that_it_asks_for(key, ada):
    headers = {"X-API-KEY": ada.key}
    plain = Client().get("/v1/run-address", headers=headers).json()["address"]
    asked = Client().get("/v1/run-address?max_credits=10&expires_in=600", headers=headers)
    token = asked.json()["address"].rpartition("/")[2]

    assert plain.endswith(address.of(key))
    shown = address.authenticate(token, address="127.0.0.1")
    assert shown.address_micros == 47_394
    assert 590 < shown.address_until - time.time() <= 600
    for wrong in ("max_credits=0", "max_credits=x", "expires_in=5", "expires_in=999999999"):
        refused = Client().get(f"/v1/run-address?{wrong}", headers=headers)
        assert refused.status_code == 400, wrong


def test_no_log_keeps_an_address_with_terms(key):
    token = address.of(key, most=Micros(50_000), seconds=3600)

    assert logs.SECRET.sub(r"\1\2...", f"GET /run/{token}/queue") == "GET /run/rt_.../queue"
