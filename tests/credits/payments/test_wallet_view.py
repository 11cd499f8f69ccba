"""The wallet with its parts, as its owner reads it, and the one thing that can be set."""

import json

import pytest

from apikeys.models import ApiKey


@pytest.fixture
def ask(client, alice):
    def request(method: str, body: object = None):
        return getattr(client, method)(
            "/v1/wallet",
            data=json.dumps(body),
            content_type="application/json",
            headers={"X-API-KEY": alice.key},
        )

    return request


@pytest.fixture
def owner(alice):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(
        scopes=["usage:read", "billing:manage"]
    )


def test_the_parts_add_up_to_the_balance(client, alice, shop, place_hold):
    shop.buy(alice, "25.00")
    shop.spend(alice, "0.40")
    place_hold(alice, "0.10")

    wallet = client.get("/v1/wallet", headers={"X-API-KEY": alice.key}).json()

    assert wallet["granted_micro_usd"] == 600_000
    assert wallet["paid_micro_usd"] == 25_000_000
    assert wallet["balance_micro_usd"] == 25_600_000
    assert wallet["held_micro_usd"] == 100_000
    assert wallet["available_micro_usd"] == 25_500_000
    assert (wallet["due_micro_usd"], wallet["paused_because"]) == (0, "")
    assert [lot["kind"] for lot in wallet["lots"]] == ["granted", "paid"]


@pytest.mark.usefixtures("owner")
def test_the_owner_says_below_which_balance_a_mail_warns(ask):
    answer = ask("patch", {"low_balance_micro_usd": 7_000_000})

    assert answer.status_code == 200
    assert answer.json()["low_balance_micro_usd"] == 7_000_000


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(
    "wrong", [{}, {"low_balance_micro_usd": -1}, {"low_balance_micro_usd": "x"}]
)
def test_what_is_no_amount_is_refused(ask, wrong):
    answer = ask("patch", wrong)

    assert answer.status_code == 400
    assert "low_balance_micro_usd" in answer.json()["message"]


def test_a_key_that_may_only_read_sets_nothing(ask):
    assert ask("patch", {"low_balance_micro_usd": 1}).status_code == 403
