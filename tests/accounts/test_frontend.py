"""What the stock frontend's workspace layer reads (contract 4.13)."""

import pytest


@pytest.fixture
def get(client, alice):
    def ask(path: str):
        return client.get(path, headers={"X-API-KEY": alice.key})

    return ask


def test_a_key_is_of_the_owner_of_its_workspace(get, alice):
    assert get("/api/workspaces/current").json() == {
        "id": str(alice.workspace_id),
        "name": "Personal",
        "type": "personal",
        "role": "owner",
        "auth_method": "api_key",
        "permissions": [],
    }


@pytest.mark.parametrize(("role", "told"), [("member", "member"), ("billing", "owner")])
def test_who_pays_is_shown_what_is_about_money(get, alice, role, told):
    alice.user.memberships.update(role=role)

    assert get("/api/workspaces/current").json()["role"] == told


def test_a_key_of_who_was_removed_speaks_for_nobody(get, alice):
    alice.user.memberships.all().delete()

    assert get("/api/workspaces/current").json()["error"] == "unauthorized"


def test_money_goes_by_the_older_rail(get):
    status = get("/api/billing/status").json()

    assert (status["billing_rail"], status["has_funds"]) == ("legacy_stripe", True)
    assert get("/api/billing/plans").json() == {"plans": []}


def test_there_are_no_subscriptions_and_none_is_missing(get):
    answer = get("/customers/cloud-subscription-status")

    assert (answer.status_code, answer.json()) == (200, {"is_active": False, "has_fund": True})


def test_the_balance_is_in_cents_under_both_names(get, alice, place_hold):
    place_hold(alice, "0.25")

    balance = get("/api/billing/balance").json()

    assert (balance["amount_micros"], balance["amount_cents"]) == (100, 100)
    assert (balance["effective_balance_micros"], balance["effective_balance_cents"]) == (75, 75)


@pytest.mark.parametrize("key", ["", "sk_test_x"])
def test_credits_are_offered_only_where_they_can_be_bought(get, alice, settings, key):
    settings.STRIPE_API_KEY = key

    answer = get("/api/billing/capabilities").json()

    assert answer["capabilities"]["can_top_up"] is bool(key)
    assert answer["resolved_for"]["workspace_id"] == str(alice.workspace_id)
    assert answer["revision"] >= 1


@pytest.mark.parametrize("path", ["workspaces/current", "billing/status", "billing/capabilities"])
def test_without_a_credential_there_is_nothing_to_see(client, db, path):
    assert client.get(f"/api/{path}").status_code == 401
