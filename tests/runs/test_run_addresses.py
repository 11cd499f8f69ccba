"""An address that stands for a key may have narrower terms than the key, signed with it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import runs_by_hand
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone
from runs_stage import picture

from accounts.models import User
from apikeys.models import ApiKey
from audit.models import Event
from common import logs
from common.money import Micros
from credits.models import Hold
from desk import roles
from runs import address, books, core, scheduler, tasks
from runs.models import Address, Run, Worker


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


def test_only_what_the_platform_signed_is_an_address(key):
    token = address.of(key, most=Micros(50_000), seconds=3600)
    other = address.of(key)

    for forged in (
        f"rt_{other[3:35]}{token[-32:]}",
        f"rt_{key.pk.hex}{token[-32:]}",
        f"rt_{token[3:35]}{'0' * 32}",
        token[:-1] + ("0" if token[-1] != "0" else "1"),
    ):
        assert ask(forged).status_code == 401, forged
    assert ask(token).status_code == 200


def test_the_address_is_given_to_the_key_with_the_terms_that_it_asks_for(key, ada):
    headers = {"X-API-KEY": ada.key}
    plain = Client().get("/v1/run-address", headers=headers).json()["address"]
    asked = Client().get("/v1/run-address?max_credits=10&expires_in=600", headers=headers)
    token = asked.json()["address"].rpartition("/")[2]

    assert plain.endswith(address.of(key)), "the same each time"
    shown = address.authenticate(token, address="127.0.0.1")
    assert shown.address_micros == 47_394
    row = Address.objects.get(pk=asked.json()["id"])
    assert row.pk == shown.address_id
    assert 590 < (row.expires_at - timezone.now()).total_seconds() <= 600
    for wrong in ("max_credits=0", "max_credits=x", "expires_in=5", "expires_in=999999999"):
        refused = Client().get(f"/v1/run-address?{wrong}", headers=headers)
        assert refused.status_code == 400, wrong


def test_no_log_keeps_an_address_with_terms(key):
    token = address.of(key, most=Micros(50_000), seconds=3600)

    assert logs.SECRET.sub(r"\1\2...", f"GET /run/{token}/queue") == "GET /run/rt_.../queue"


# --- Ended alone --------------------------------------------------------------------------------


def test_an_address_is_ended_alone_and_the_next_one_is_another(key, ada):
    headers = {"X-API-KEY": ada.key}
    first = Client().get("/v1/run-address", headers=headers).json()
    other = address.of(key, seconds=3600)
    token = first["address"].rpartition("/")[2]
    shown = address.authenticate(token, address="127.0.0.1")

    listed = Client().get("/v1/run-addresses", headers=headers).json()["addresses"]
    assert {each["id"] for each in listed} == {str(each.pk) for each in mine(ada)}
    assert token not in json.dumps(listed)
    path = f"/v1/run-addresses/{first['id']}"
    assert Client().delete(path, headers=headers).status_code == 204
    assert Client().delete(path, headers=headers).status_code == 404

    assert (ask(token).status_code, ask(other).status_code) == (401, 200)
    assert post(token).status_code == 401
    assert not address.is_living(shown), "so an open socket is closed"
    assert Client().get("/v1/wallet", headers=headers).status_code != 401, "the key works"
    assert Client().get("/v1/run-address", headers=headers).json()["id"] != first["id"]
    noted = Event.objects.get(action="run-address.ended", workspace_id=ada.workspace_id)
    assert (str(noted.target), noted.actor_id) == (first["id"], ada.user.pk)


def test_another_members_addresses_are_not_there(key, bob):
    made = address.make(key)
    theirs = Client()
    theirs.force_login(bob.user)

    for headers in ({"X-API-KEY": bob.key}, {}):
        client = theirs if not headers else Client()
        assert client.delete(f"/v1/run-addresses/{made.pk}", headers=headers).status_code == 404
    assert theirs.get("/v1/run-addresses").json()["addresses"] == []
    assert ask(address.token(made)).status_code == 200


def test_what_waits_by_an_ended_address_is_not_begun_and_costs_nothing(key, ada):
    made = address.make(key)
    run = Run.objects.get(pk=post(address.token(made)).json()["prompt_id"])
    assert run.address_id == made.pk

    claimed = scheduler.claim(Worker.objects.latest("pk").pk)
    address.end(made, by=ada.user.pk)

    assert books.sending(claimed) is None
    assert books.asked_to_end(run.pk, claimed.prompt_id) == "key_revoked"


def test_what_came_by_an_address_whose_time_is_over_is_begun(key):
    made = address.make(key, seconds=60)
    post(address.token(made))
    Address.objects.filter(pk=made.pk).update(expires_at=timezone.now())

    claimed = scheduler.claim(Worker.objects.latest("pk").pk)

    assert books.sending(claimed) is not None


def test_an_address_that_ends_between_the_look_and_the_hold_hands_nothing_over(
    key, ada, monkeypatch
):
    """The twin of a /prompt ends its address after that was let in."""
    made, place = address.make(key), core._place

    def late(by, *given, **more):
        address.end(made, by=ada.user.pk)
        return place(by, *given, **more)

    monkeypatch.setattr(core, "_place", late)
    refused = post(address.token(made))

    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "unauthorized")
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()
    assert not Hold.objects.filter(account_id=ada.workspace_id).exists()


def test_a_key_has_so_many_addresses_and_one_that_ended_makes_room(key, ada, monkeypatch):
    monkeypatch.setattr(address, "MOST_LIVING", 2)
    made = [address.make(key, seconds=600) for _ in range(2)]
    headers = {"X-API-KEY": ada.key}

    full = Client().get("/v1/run-address?expires_in=600", headers=headers)
    assert (full.status_code, "2 addresses" in full.json()["message"]) == (400, True)
    address.end(made[0], by=ada.user.pk)
    assert Client().get("/v1/run-address?expires_in=600", headers=headers).status_code == 200


def test_two_who_ask_at_once_are_given_one_plain_address(key):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(in_thread(lambda _: address.make(key).pk), range(8)))

    assert len(set(made)) == 1


def test_rows_of_addresses_that_are_over_for_long_are_deleted(key, ada):
    old, new = address.make(key, seconds=60), address.make(key, seconds=60)
    for each in (old, new):
        address.end(each, by=ada.user.pk)
    before = timezone.now() - timedelta(days=address.KEPT_DAYS + 1)
    Address.objects.filter(pk=old.pk).update(ended_at=before)

    tasks.forget_budgets()

    assert list(mine(ada)) == [new]


def test_staff_see_and_end_an_address_by_command(key, ada, capsys):
    boss = User.objects.create(email="grace@example.org", is_staff=True)
    roles.assign(boss, ["support"], by=None)
    made = address.make(key)

    call_command("keys", "addresses", str(key.pk))
    assert str(made.pk) in capsys.readouterr().out
    call_command(
        "keys", "end-address", str(made.pk), by=boss.email, reason="it was found in a forum"
    )

    assert ask(address.token(made)).status_code == 401
    noted = Event.objects.get(action="run-address.ended", workspace_id=ada.workspace_id)
    assert (noted.actor_id, noted.reason) == (boss.pk, "it was found in a forum")
    assert noted.subject_id == ada.user.pk


def mine(member):
    return Address.objects.filter(workspace_id=member.workspace_id)


def in_thread(act):
    """Return what does that, and leaves no connection open."""

    def do(given):
        try:
            return act(given)
        finally:
            connections.close_all()

    return do
