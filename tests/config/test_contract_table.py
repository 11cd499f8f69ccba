"""What stock clients ask, line by line (contract 1.2), with each answer that they can read.

The browser asks from any page, with a header and no cookie; a wrong key, an unknown path and a
refusal must be readable there, in the shape that its reader knows.
"""

import json
import uuid

import pytest
from django.urls import resolve

from apikeys.models import SCOPES, ApiKey

ORIGIN = "http://192.168.1.20:8188"
FRONTEND = [
    # method, path, body, answer, what it must hold
    ("POST", "/customers", {"signup_source": "localhost"}, 200, {"id", "email", "name"}),
    ("GET", "/customers/balance", None, 200, {"amount_micros", "currency"}),
    ("GET", "/customers/events?page=1&limit=7", None, 200, {"events", "page", "limit", "total"}),
    ("GET", "/customers/me", None, 200, {"id", "email"}),
    ("GET", "/customers/api-keys", None, 200, {"api_keys"}),
    ("GET", "/customers/cloud-subscription-status", None, 200, {"is_active", "has_fund"}),
    ("GET", "/api/workspaces", None, 200, {"workspaces", "can_create_workspace"}),
    ("GET", "/api/workspaces/current", None, 200, {"id", "name", "type", "auth_method", "role"}),
    ("GET", "/api/billing/status", None, 200, {
        "has_funds", "is_active", "max_seats", "occupied_seats", "scheduled_change",
        "team_credit_stop", "billing_rail",
    }),
    ("GET", "/api/billing/capabilities", None, 200, {
        "capabilities", "resolved_for", "expires_at", "revision", "rollout_defaults_applied",
    }),
    ("GET", "/api/billing/balance", None, 200, {"amount_micros", "currency"}),
    ("GET", "/api/billing/plans", None, 200, {"plans"}),
]  # fmt: skip

ASKED = "authorization, comfy-env, content-type, x-api-key"


@pytest.fixture
def ask(client, alice):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=list(SCOPES))

    def asked(method, path, body=None, **headers):
        sent = {"Origin": ORIGIN, "X-API-KEY": alice.key, "Comfy-Env": "local-git", **headers}
        content = json.dumps(body) if body is not None else ""
        return client.generic(method, path, content, "application/json", headers=sent)

    return asked


@pytest.mark.parametrize(("method", "path", "body", "status", "fields"), FRONTEND)
def test_each_line_answers_with_its_fields_to_any_page(ask, method, path, body, status, fields):
    answer = ask(method, path, body)

    assert answer.status_code == status, answer.content
    assert fields <= set(answer.json())
    assert answer["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize("path", [line[1] for line in FRONTEND] + [
    "/customers/credit", "/customers/billing", "/releases",
    "/proxy/bfl/flux-pro-1.1-ultra/generate", "/auth/partner-node/renew",
])  # fmt: skip
def test_the_browser_may_ask_with_every_header_that_it_sends(client, db, path):
    answer = client.options(path, headers={
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ASKED,
    })  # fmt: skip

    assert answer.status_code in (200, 204)
    assert set(ASKED.split(", ")) <= set(answer["Access-Control-Allow-Headers"].lower().split(", "))
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(
        answer["Access-Control-Allow-Methods"].split(", ")
    )


@pytest.mark.parametrize(("method", "path", "body", "status", "fields"), FRONTEND)
def test_a_wrong_key_is_a_401_that_a_page_can_read(ask, method, path, body, status, fields):
    answer = ask(method, path, body, **{"X-API-KEY": "comfyui-" + "0" * 64})

    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    said = answer.json()
    assert said["error"] == "unauthorized"
    assert said["message"]
    assert said.get("code") == ("unauthorized" if path.startswith("/api/") else None)


def test_what_is_not_there_has_a_code_below_api(ask):
    assert ask("GET", "/api/nothing").json() == {
        "error": "not_found", "code": "not_found", "message": "There is no such path.",
    }  # fmt: skip
    refused = ask("DELETE", "/api/billing/status")
    assert (refused.status_code, refused.json()["code"]) == (405, "invalid_request")


@pytest.mark.parametrize("path", ["/api/global-settings", "/api/global-settings/Comfy.Theme"])
def test_settings_that_nobody_keeps_are_a_clean_none(ask, path):
    for method in ("GET", "POST"):
        answer = ask(method, path, {})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_there_is_no_news(ask):
    answer = ask("GET", "/releases?project=comfyui&current_version=0.33.0&form_factor=git")

    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("path", ["/customers", "/customers/balance", "/customers/events"])
def test_no_customer_is_missing_so_no_409_ever_says_so(ask, path):
    """The frontend makes a customer at a 409 with that one sentence; ours exist with their key."""
    for _ in range(2):
        answer = ask("POST" if path == "/customers" else "GET", path, None)
        assert answer.status_code == 200


# --- each line of the contract --------------------------------------------------------------------

ID = str(uuid.UUID(int=7))
MUST = [
    # What a stock client needs, or a part of it that can be seen does not work without.
    ("POST", "/customers/storage"), ("GET", "/health"), ("POST", "/customers"),
    ("GET", "/customers/balance"), ("POST", "/customers/credit"), ("GET", "/customers/events"),
    ("GET", "/api/workspaces/current"), ("GET", "/api/billing/status"),
    ("GET", "/api/billing/capabilities"), ("POST", "/customers/billing"),
    ("GET", "/api/billing/balance"), ("GET", "/api/billing/plans"), ("GET", "/customers/me"),
    ("GET", "/customers/api-keys"), ("POST", "/customers/api-keys"),
    ("DELETE", f"/customers/api-keys/{ID}"), ("GET", "/releases"),
    ("POST", "/admin/verify-api-key"), ("GET", f"/admin/customers/{ID}/balance"),
    ("GET", f"/admin/customers/{ID}/cloud-subscription-status"),
    ("GET", "/customers"), ("GET", f"/customers/{ID}"), ("GET", f"/customers/{ID}/balance"),
    ("GET", f"/customers/{ID}/events"), ("POST", f"/customers/{ID}/usage"),
    ("DELETE", f"/admin/customers/{ID}/stripe-data"),
]  # fmt: skip
LATER = [
    ("POST", "/auth/partner-node/renew"), ("GET", "/api/workspaces"),
    ("GET", "/oauth/authorize"), ("POST", "/oauth/token"),
    ("GET", "/api/global-settings"), ("POST", "/api/global-settings"),
    ("GET", "/api/global-settings/Comfy.Theme"),
    ("GET", "/customers/cloud-subscription-status"),
]  # fmt: skip
NOT_HERE = {
    # What the contract lists, and is not served; each answers a clean 404 or 405.
    ("POST", f"/admin/customers/{ID}/archive-metronome-data"): "there is no such processor",
    ("POST", "/customers/usage"): "our own pages show it",
    ("GET", "/features"): "nobody was seen to ask it",
    ("POST", "/admin/generate-token"): "staff sign in with a second factor",
    ("POST", "/api/auth/token"): "signing in by a browser is by /oauth/token",
    ("POST", "/api/auth/token/revoke"): "sign-ins are ended at /v1/sign-ins",
    ("GET", "/api/billing/events"): "the older rail is told, so this is not asked",
    ("POST", "/api/billing/topup"): "the older rail is told, so this is not asked",
    ("GET", "/customers/admin/coupons"): "vouchers are made by manage.py money",
    ("POST", "/customers/cloud-subscription-checkout"): "there are no subscriptions",
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), MUST + LATER)
def test_each_line_of_the_contract_has_its_address(client, db, method, path):
    """Asked by nobody it is refused, or answered to anybody: never as if it were not there."""
    where = resolve(path).route
    answer = client.generic(method, path, "{}", "application/json")

    assert "anything" not in where
    assert answer.status_code not in (405, 500, 501), answer.content
    if answer.status_code == 404:
        assert path.startswith("/api/global-settings"), "a clean none"


@pytest.mark.parametrize(("method", "path"), NOT_HERE)
def test_what_is_not_served_is_a_clean_none(ask, method, path):
    answer = ask(method, path, {})

    said = answer.json()
    assert said["message"]
    if path == "/admin/generate-token":  # Below a door, where origins are looked at first.
        assert (answer.status_code, said["error"]) == (403, "origin_not_allowed")
        return
    assert answer.status_code in (404, 405), answer.content
    kind = said["error"]["type"] if isinstance(said["error"], dict) else said["error"]
    assert kind in ("not_found", "invalid_request")


# --- where the frontend leads people -------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "lands"),
    [
        ("/login", "/account/login/"),
        ("/profile/usage", "/my/usage"),
        ("/profile/billing", "/my/credits"),
    ],
)
def test_what_the_frontend_links_to_is_there(client, db, path, lands):
    assert client.get(path)["Location"] == lands


def test_who_is_not_signed_in_signs_in_first(client, db):
    answer = client.get("/my/credits", SERVER_NAME="localhost")

    assert answer["Location"] == "/account/login/?next=/my/credits"


def test_where_credits_were_bought_before_leads_to_where_they_are(client, alice):
    client.force_login(alice.user)

    answer = client.get("/account/credits/", SERVER_NAME="localhost")

    assert answer["Location"] == "/my/credits"
