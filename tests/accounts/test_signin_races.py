"""Of many who bring one code or refresh token at once one is served, and the sign-in ends."""

import pytest
from django.core.cache import cache
from django.test import Client
from signin_flow import Flow, refresh

from accounts import signingkeys
from accounts.models import SignIn, SigningKey


@pytest.fixture
def flow(committed, alice, client):
    cache.clear()
    client.defaults["SERVER_NAME"] = "localhost"
    client.force_login(alice.user)
    return Flow(client)


def test_one_code_eight_times_at_once(flow, alice, at_once):
    code = flow.code()
    flow.client.logout()

    came = at_once(lambda _: flow.exchange(code, client=Client(SERVER_NAME="localhost")), range(8))

    assert sorted(answer.status_code for answer in came) == [200] + [400] * 7
    assert SignIn.objects.get(user=alice.user).why_ended == "a code used twice"


def test_one_refresh_token_eight_times_at_once(flow, alice, at_once):
    token = flow.signed_in()["refresh_token"]

    came = at_once(lambda _: refresh(Client(SERVER_NAME="localhost"), token), range(8))

    assert sorted(answer.status_code for answer in came) == [200] + [400] * 7
    assert SignIn.objects.get(user=alice.user).why_ended == "a refresh token used twice"
    (served,) = [answer.json() for answer in came if answer.status_code == 200]
    bearer = {"Authorization": f"Bearer {served['access_token']}"}
    assert Client().get("/customers/balance", headers=bearer).status_code == 401


def test_processes_that_start_at_once_make_one_key(committed, at_once):
    SigningKey.objects.all().delete()

    kids = at_once(lambda _: signingkeys.Ring().signer()[0], range(8))

    assert len(set(kids)) == 1
    assert SigningKey.objects.count() == 1
