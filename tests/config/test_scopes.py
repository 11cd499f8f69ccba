"""Every address says who may ask: by a scope, or by a reason why anybody may."""

import re
import uuid

import pytest
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

from apikeys.models import SCOPES, ApiKey
from common.drf import SESSION, STAFF
from common.errors import is_for_nodes

ANYBODY = {
    "": "leads to where a person is",
    "health": "a balancer asks",
    "ready": "a balancer asks, and reads nothing about anybody",
    "metrics": "a token, or this machine",
    "openapi.json": "the document is public",
    "openapi-proxy.json": "the same",
    "reference": "the same, as a page",
    "login": "leads to the page of signing in",
    "profile/usage": "leads to a page for who is signed in",
    "profile/billing": "the same",
    "releases": "there are none",
    "api/global-settings": "there are none",
    "api/global-settings/<str:key>": "the same",
    "pair": "leads to the page of pairing",
    "v1/pairings": "a machine that has no credential yet",
    "v1/pairings/<uuid:pairing_id>": "the secret of the machine that began it",
    "v1/pairings/<uuid:pairing_id>/taken": "the same",
    "static/<path:path>": "the same for everybody",
    "purchases/<uuid:top_up_id>": "the address is the secret",
    "purchases/method": "the session in the query is the secret",
    "prices": "the price list is public",
    "v1/quote": "prices are public; what one has is told to who shows a key of theirs",
    "webhooks/stripe": "Stripe's signature",
    "webhooks/leaked-keys": "the reporter's signature",
    ".well-known/oauth-authorization-server": "it says where what is",
    ".well-known/jwks.json": "what verifies is public",
    "oauth/authorize": "who is signed in, by a form of ours; others are sent to sign in",
    "oauth/token": "the code, or the refresh token",
    "invitations/<str:token>": "the address is the secret; joining is for who is signed in",
    "privacy/confirm/<str:token>": "the address is the secret, and is in one mail alone",
    "privacy/<str:token>": "the address is the secret",
    "privacy/<str:token>/certificate": "the same; it names nobody",
    "privacy/<str:token>/certificate.json": "the same",
    "files/<uuid:output_id>/<path:name>": "the signature in the address is the secret",
    "notices/<str:token>": "the signature in the address is the secret; it leaves mails out",
    "receipts/<token>": "the signature in the address is the secret; it names nobody",
    "auth/partner-node/renew": "the token that is renewed, itself",
    "admin/verify-api-key": "the operator's secret, which a test of its own asks for",
    "admin/customers/<uuid:user_id>/balance": "the same",
    "admin/customers/<uuid:user_id>/cloud-subscription-status": "the same",
    "admin/customers/<uuid:user_id>/stripe-data": "the same",
    "admin/workers": "the same",
    "admin/workers/<str:name>": "the same",
    "admin/workers/<str:name>/nodes": "the same",
    "admin/workers/<str:name>/drain": "the same",
    "admin/workers/<str:name>/back": "the same",
    "customers/<uuid:user_id>/usage": "the same",
}
ELSEWHERE = ("account/", "_allauth/", "staff/", "my/")
"""What is for browsers and sessions has its rules in tests/accounts/test_access_rules.py."""
METHODS = ("get", "post", "put", "patch", "delete")


def routes(patterns=None, before=""):
    """Each route of the site with what answers it."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, route)
        else:
            if route in ANYBODY or not route.startswith(ELSEWHERE):
                yield route, each.callback


def guarded():
    """Each method of each route that needs a credential, with the scope that it needs."""
    for route, callback in routes():
        view = getattr(callback, "cls", None)
        if view is None or route in ANYBODY:
            continue
        for method in METHODS:
            if hasattr(view, method):
                path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
                yield method, path, getattr(view, "scopes", {}).get(method.upper(), "none stated")


GUARDED = list(guarded())
CHANGING = {
    re.sub(r"{\w+}", str(uuid.UUID(int=1)), path) for method, path, _ in GUARDED if method == "post"
}


def test_what_needs_no_credential_says_why():
    plain = {route for route, callback in routes() if not hasattr(callback, "cls")}

    assert plain <= set(ANYBODY)
    assert set(ANYBODY) <= {route for route, _ in routes()}
    assert len(GUARDED) > 12


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
def test_a_key_without_the_scope_is_refused_and_without_a_key_it_is_a_401(
    client, alice, method, path, scope
):
    assert scope in {*SCOPES, SESSION, STAFF}
    others = [each for each in SCOPES if each != scope]
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=others)

    def ask(**headers):
        return client.generic(
            method.upper(), re.sub(r"{\w+}", str(uuid.uuid4()), path), b"{}",
            content_type="application/json", headers=headers,
        )  # fmt: skip

    refused = ask(**{"X-API-KEY": alice.key})
    error = refused.json().get("error")
    if path.startswith("/api/v7/"):
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert scope in refused.json()["message"]
    elif path.startswith(("/comfy/", "/run/")):
        assert (refused.status_code, error["type"]) == (403, "forbidden")
        assert scope in error["message"]
    elif path.startswith("/api/v2/"):  # A dialect of runs has its own shape.
        assert (refused.status_code, error["code"]) == (403, "forbidden")
        assert (error["details"], scope in error["message"]) == (
            {"reason": "access_disabled"}, True,
        )  # fmt: skip
    elif path.startswith("/api/v1/workflows/"):
        assert (refused.status_code, error) == (403, "forbidden")
        assert scope in refused.json()["message"]
    else:
        code = error["type"] if is_for_nodes(path) else error
        assert (refused.status_code, code) == (403, "access_disabled")
        assert scope in refused.json()["message"]
    assert ask().status_code == 401


@pytest.mark.parametrize(
    "path", ["/customers/billing", "/v1/auto-top-up", "/v1/auto-top-up/setup", "/v1/wallet"]
)
def test_what_changes_how_one_pays_needs_the_scope_for_it(path):
    changes = {scope for method, at, scope in GUARDED if at == path and method != "get"}

    assert changes == {"billing:manage"}


def test_a_new_key_may_spend_and_read(alice):
    assert alice.api_key_record.scopes == ["proxy", "usage:read", "runs"]


@pytest.mark.parametrize(("scopes", "can"), [([], False), (["billing:manage"], True)])
def test_the_frontend_shows_what_its_key_may(client, alice, settings, scopes, can):
    settings.STRIPE_API_KEY = "sk_test_x"
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["usage:read", *scopes])

    answer = client.get("/api/billing/capabilities", headers={"X-API-KEY": alice.key}).json()

    assert answer["capabilities"]["can_manage_billing"] is can
    assert answer["capabilities"]["can_top_up"] is True


def test_a_method_that_is_not_there_is_a_405_and_head_is_as_get(client, alice):
    headers = {"X-API-KEY": alice.key}

    assert client.delete("/customers/balance", headers=headers).status_code == 405
    assert client.head("/customers/balance", headers=headers).status_code == 200
    assert client.options("/customers/balance", headers=headers).status_code == 200


@pytest.mark.parametrize("path", sorted({"/webhooks/stripe", *CHANGING}))
def test_no_cookie_guard_stands_before_what_needs_no_cookie(db, settings, path):
    """A middleware that comes with login would turn each of these into a 403."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]

    answer = Client(enforce_csrf_checks=True).post(path, b"{}", content_type="application/json")

    assert answer.status_code == (400 if path == "/webhooks/stripe" else 401)
