"""Every address of the site says who may ask, and is held to it: generated from the URL list.

An address without a rule fails. What is asked by key says its scope in its view, and is held to it
in tests/config/test_scopes.py; what hangs on an id is in `OF_SOMEBODY` besides.
"""

import json
import re
import uuid
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver
from django.utils import timezone
from test_accounts import PASSWORD

import staff.urls
from accounts import invitations, teams
from accounts.models import Membership
from apikeys import asks, keys
from apikeys.models import SCOPES, ApiKey, Pairing
from common.drf import SESSION
from runs import address as run_address
from runs import workflows
from runs.models import Asset, Run
from usage.models import Call
from webhooks import events
from webhooks.models import Delivery

ANYBODY, DOOR, MEMBER, STAFF, TABLE = "anybody", "door", "member", "staff", "table"
"""Everybody reads it; it lets people in; for who is signed in; for staff with a second factor, and
tables to look at."""
OPERATOR = "operator"
"""For staff, and for the operator's programs, by a secret of their own."""
TOKEN = "token"
"""For who shows a secret of its own, and limits tries by itself (tests/accounts/test_oauth.py,
tests/apikeys/test_pairing.py)."""
KEY = "key"

A, B = "account/", "_allauth/browser/v1/"
TABLES = [
    f"staff/{model._meta.app_label}/{model._meta.model_name}/{what}"
    for model in admin.site._registry
    for what in (
        "", "add/", "<path:object_id>/", "<path:object_id>/change/", "<path:object_id>/delete/",
        "<path:object_id>/history/",
    )
]  # fmt: skip
TABLES += [
    f"staff/{each.pattern}"
    for each in admin.site.get_urls()
    if getattr(each, "name", "") == "app_list"
]
"""Rows to look at, all by one class: who may, tests/staff/test_tables.py tries at each address."""
PAGES_OF_STAFF = [f"staff/{each.pattern}" for each in staff.urls.urlpatterns if str(each.pattern)]
"""Each by one decorator, which also asks for a role: tests/staff/test_roles.py."""
RULES = {
    ANYBODY: [
        "",  # It leads on.
        "health", "ready", "metrics", "openapi.json", "openapi-proxy.json", "reference",
        "static/<path:path>", "login", "pair",
        "profile/usage", "profile/billing", "releases",
        "api/global-settings", "api/global-settings/<str:key>",
        "purchases/<uuid:top_up_id>", "purchases/method", "webhooks/stripe",
        ".well-known/oauth-authorization-server", ".well-known/jwks.json", "webhooks/leaked-keys",
        "files/<uuid:output_id>/<path:name>", "receipts/<token>", "notices/<str:token>",
        A + "inactive/", A + "3rdparty/login/cancelled/", A + "3rdparty/login/error/",
        B + "config", "prices", "v1/quote",
    ],
    TOKEN: [
        "auth/partner-node/renew",
        "v1/pairings", "v1/pairings/<uuid:pairing_id>", "v1/pairings/<uuid:pairing_id>/taken",
    ],
    OPERATOR: [
        "admin/verify-api-key", "admin/customers/<uuid:user_id>/balance",
        "admin/customers/<uuid:user_id>/cloud-subscription-status",
        "customers/<uuid:user_id>", "customers/<uuid:user_id>/balance",
        "customers/<uuid:user_id>/events", "customers/<uuid:user_id>/usage",
        "admin/customers/<uuid:user_id>/stripe-data",
        *("admin/workers" + what for what in (
            "", "/<str:name>", "/<str:name>/nodes", "/<str:name>/drain", "/<str:name>/back",
        )),
    ],
    DOOR: [
        "oauth/authorize", "oauth/token", "invitations/<str:token>",
        "privacy/confirm/<str:token>", "privacy/<str:token>", "privacy/<str:token>/certificate",
        "privacy/<str:token>/certificate.json",
        *(A + path for path in (
            "language", "login/", "logout/", "signup/", "signup/passkey/", "confirm-email/",
            "password/reset/", "password/reset/confirm/", "password/reset/complete/",
            "password/reset/done/", "login/code/confirm/", "2fa/authenticate/",
            "2fa/webauthn/login/", "2fa/webauthn/signup/", "3rdparty/signup/",
            "google/login/", "google/login/callback/", "github/login/", "github/login/callback/",
        )),
        *(B + path for path in (
            "auth/session", "auth/login", "auth/signup", "auth/email/verify",
            "auth/email/verify/resend",
            "auth/code/confirm", "auth/password/request", "auth/password/reset",
            "auth/provider/signup", "auth/provider/redirect", "auth/provider/token",
            "auth/2fa/authenticate", "auth/webauthn/authenticate", "auth/webauthn/login",
            "auth/webauthn/signup",
        )),
    ],
    MEMBER: [
        # What is whose of it: tests/dashboard/.
        "my/", "my/usage", "my/usage.csv", "my/usage/<uuid:call_id>",
        "my/usage/<uuid:call_id>/share", "my/<path:anything>",
        "my/workspace", "my/settings", "my/settings/mails", "my/programs/<uuid:sign_in_id>/end",
        "my/keys", "my/keys/new", "my/keys/revoke-all", "my/keys/<uuid:key_id>",
        *("my/keys/<uuid:key_id>/" + what for what in (
            "change", "rotate", "disable", "enable", "revoke", "address",
            "addresses/<uuid:address_id>/end",
        )),
        "my/connect", "my/credits", *("my/credits/" + what for what in (
            "buy", "redeem", "automatic", "card", "portal", "warning", "statement",
            "purchases/<uuid:top_up_id>/back", "asked/<uuid:ask_id>/keep",
        )),
        "my/team", "my/team/new", "my/team/name", "my/team/vendors", "my/team/invite",
        "my/team/invitations/<uuid:invitation>/withdraw", "my/team/asks/<uuid:ask>/answer",
        "my/team/<uuid:user>", "my/team/<uuid:user>/role", "my/team/<uuid:user>/remove",
        "my/team/<uuid:user>/transfer",
        "my/usage/presses", "my/usage/project", "my/usage/spend", "my/refusals", "my/runs",
        "my/runs/preferences",
        *("my/runs/<uuid:run_id>" + what for what in (
            "", "/events", "/preview", "/files/<uuid:output_id>", "/cancel", "/again", "/share",
        )),
        "my/workflows", "my/workflows/new",
        *("my/workflows/<uuid:workflow_id>" + what for what in ("", "/version", "/remove")),
        "my/webhooks", "my/webhooks/new", "my/webhooks/messages/<uuid:delivery_id>/resend",
        *("my/webhooks/<uuid:endpoint_id>" + what for what in (
            "", "/rotate", "/switch", "/test", "/remove",
        )),
        "my/prices/of/<path:name>",
        "my/limits", "my/limits/ask", "my/limits/<slug:kind>", "my/prices", "my/quote",
        *(A + path for path in (
            "", "reauthenticate/", "reauthenticate/code/", "reauthenticate/code/confirm/",
            "email/", "password/change/", "password/set/", "2fa/", "2fa/reauthenticate/",
            "2fa/totp/activate/", "2fa/totp/deactivate/", "2fa/recovery-codes/",
            "2fa/recovery-codes/generate/", "2fa/recovery-codes/download/", "2fa/webauthn/",
            "2fa/webauthn/add/", "2fa/webauthn/reauthenticate/",
            "2fa/webauthn/keys/<int:pk>/remove/", "2fa/webauthn/keys/<int:pk>/edit/",
            "3rdparty/", "sessions/", "sessions/<int:session>/end", "pair/", "credits/",
            "pair/<uuid:pairing_id>/",
            # Whose archive it is: tests/privacy/test_leaving_story.py.
            "privacy/", "privacy/archive", "privacy/archives/<uuid:export_id>", "privacy/delete",
            "privacy/stay",
        )),
        *(B + path for path in (
            "auth/reauthenticate", "auth/reauthenticate/code/request",
            "auth/reauthenticate/code/confirm", "auth/reauthenticate/code/resend",
            "account/password/change", "account/email", "account/providers",
            "auth/2fa/reauthenticate", "auth/webauthn/reauthenticate", "account/authenticators",
            "account/authenticators/totp", "account/authenticators/recovery-codes",
            "account/authenticators/webauthn", "auth/sessions",
        )),
    ],
    STAFF: [
        "staff/", "staff/password_change/done/", "staff/(?P<url>.*)$",
        # They only lead on, to where everybody does it.
        "staff/login/", "staff/logout/", "staff/password_change/",
        *PAGES_OF_STAFF,
    ],
    TABLE: TABLES,
}  # fmt: skip
RULE = {route: rule for rule, some in RULES.items() for route in some}


def routes(patterns=None, before=""):
    """Each route of the site with what answers it."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, route)
        else:
            yield route, each.callback


def path_of(route, value="1"):
    if value == "1":
        route = re.sub("<uuid:[^>]+>", str(uuid.UUID(int=1)), route)
    return "/" + re.sub(r"<[^>]+>|\(\?P[^)]*\)\$?", value, route)


ROUTES = dict(routes())
BY_KEY = [route for route, callback in ROUTES.items() if hasattr(callback, "cls")]
BY_KEY = [route for route in BY_KEY if route not in RULE]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def test_every_address_has_one_rule_and_every_rule_an_address():
    ruled = [*RULE, *BY_KEY]

    assert sorted(ruled) == sorted(ROUTES)
    assert len(ruled) == len(set(ruled)) > 100


def ask(client, method, path):
    return client.generic(method, path, b"{}", content_type="application/json")


LEADS = ("/account/", "/staff/login/", "/staff/")
"""Whither who is not admitted is led: the last leads on, once more."""


def is_sent_away(answer):
    """To sign in, or refused; or no such method, or nothing that it could go on with."""
    return answer.status_code in (401, 403, 405, 409) or (
        answer.status_code == 302 and answer["Location"].startswith("/account/")
    )


@pytest.mark.parametrize("route", RULES[MEMBER])
def test_what_is_for_members_is_for_nobody_else(db, route):
    client = Client(SERVER_NAME="localhost")

    for method in METHODS:
        answer = ask(client, method, path_of(route))
        assert is_sent_away(answer), (method, answer.status_code)


@pytest.mark.parametrize("route", RULES[STAFF])
def test_what_is_for_staff_is_for_no_member(ines, route):
    ines.come_in()
    path = path_of(route)
    assert ines.get("").status_code == 200

    for client in (ines.browser, Client(SERVER_NAME="localhost")):
        for method in METHODS:
            answer = ask(client, method, path)
            if answer.status_code == 302:
                assert answer["Location"].startswith(LEADS)
            else:
                assert answer.status_code in (403, 405), (method, answer.status_code)


@pytest.mark.parametrize("route", RULES[OPERATOR])
def test_what_is_for_the_operator_is_for_no_key_and_no_member(ines, alice, route):
    ines.come_in()
    path = path_of(route, str(uuid.uuid4()))

    for method in METHODS:
        by_key = Client().generic(method, path, b"{}", headers={"X-API-KEY": alice.key})
        assert by_key.status_code in (401, 403, 404, 405), (method, by_key.status_code)
        assert ask(ines.browser, method, path).status_code in (401, 403, 404, 405), method


@pytest.mark.parametrize("route", BY_KEY)
def test_a_session_changes_nothing_without_the_proof_of_a_page(ines, route):
    """A browser sends its cookie to every address of ours, whoever's page it shows."""
    ines.come_in()
    view, path = ROUTES[route].cls, path_of(route, str(uuid.uuid4()))
    elsewhere = Client(enforce_csrf_checks=True, SERVER_NAME="localhost")
    elsewhere.cookies = ines.browser.cookies

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        if hasattr(view, method.lower()):
            assert ask(elsewhere, method, path).status_code in (401, 403), method


# --- What is somebody's ------------------------------------------------------------------------


def call_of(member):
    made = Call.objects.filter(workspace_id=member.workspace_id).first()
    return made.pk if made else uuid.uuid4()


def key_of(member):
    return member.api_key_record.pk


def run_address_of(member):
    return run_address.make(member.api_key_record).pk


def sign_in_of(member):
    return uuid.uuid4()  # Of these somebody must have come in: tests/accounts/test_oauth.py.


def workspace_of(member):
    return member.workspace_id


def webhook_of(member):
    return events.for_runs(member.workspace_id).pk


def delivery_of(member):
    events.emit_to(member.workspace_id, "https://8.8.8.8/", "run.failed", "{}", key="x")
    return Delivery.objects.get(endpoint__workspace_id=member.workspace_id).pk


def run_of(member):
    made = Run.objects.filter(workspace_id=member.workspace_id).first()
    return made.pk if made else uuid.uuid4()  # Whose is whose: tests/runs/test_face_v2.py.


def asset_of(member):
    made = Asset.objects.filter(workspace_id=member.workspace_id).first()
    return made.pk if made else uuid.uuid4()  # Whose is whose: tests/runs/test_faces_files.py.


def workflow_of(member):
    name, graph = f"w {uuid.uuid4()}", {"1": {"class_type": "A", "inputs": {}}}
    return workflows.make(member.workspace_id, name=name, graph=graph, by=member.user.pk).pk


JOB = "api/v2/jobs/<uuid:run_id>"
OF_SOMEBODY = {
    **{JOB + what: run_of for what in ("", "/workflow", "/outputs", "/events", "/cancel")},
    "api/v1/workflows/<uuid:workflow_id>/runs": run_of,
    "api/v1/workflows/<uuid:workflow_id>/runs/<uuid:run_id>": run_of,
    "api/v1/workflows/<uuid:workflow_id>/runs/<uuid:run_id>/cancel": run_of,
    "api/v2/assets/<uuid:asset_id>": asset_of,
    "api/v2/assets/<uuid:asset_id>/content": asset_of,
    "api/v2/assets/by-hash/<digest>": asset_of,
    "api/v7/comfyui/fetch/<uuid:run_id>": run_of,
    **{f"v1/workflows/<uuid:workflow_id>{what}": workflow_of for what in (
        "", "/versions", "/versions/<str:number>",
    )},
    # Which of its paths, and whose is whose: tests/runs/test_faces_native.py.
    "comfy/<path:rest>": run_of,
    "run/<token>/<path:rest>": run_of,
    "v1/calls/<uuid:call_id>": call_of,
    "v1/runs/<path:run_id>": run_of,
    "v1/webhooks/<uuid:endpoint_id>": webhook_of,
    "v1/webhooks/<uuid:endpoint_id>/rotate": webhook_of,
    "v1/webhooks/<uuid:endpoint_id>/test": webhook_of,
    "v1/webhooks/<uuid:endpoint_id>/deliveries": webhook_of,
    "v1/webhooks/deliveries/<uuid:delivery_id>/resend": delivery_of,
    "v1/calls/<uuid:call_id>/result": call_of,
    "customers/api-keys/<uuid:key_id>": key_of,
    "v1/keys/<uuid:key_id>": key_of,
    "v1/run-addresses/<uuid:address_id>": run_address_of,
    "v1/keys/<uuid:key_id>/rotate": key_of,
    "v1/sign-ins/<uuid:sign_in_id>": sign_in_of,
    "v1/workspaces/<uuid:workspace_id>/vendors/<vendor>/account": workspace_of,
}  # fmt: skip
"""How each address by key comes by a thing of somebody's; one that is missing fails."""


def test_every_address_by_key_that_hangs_on_an_id_is_tried_with_anothers():
    hanging = {route for route in BY_KEY if "<" in route}

    assert hanging - set(OF_SIGNED_IN) == set(OF_SOMEBODY)


@pytest.mark.parametrize("route", OF_SOMEBODY)
def test_what_is_anothers_is_not_there(alice, bob, route):
    path = path_of(route, str(OF_SOMEBODY[route](alice)))
    ApiKey.objects.filter(pk=bob.api_key_record.pk).update(scopes=list(SCOPES))

    for method in METHODS:
        if hasattr(ROUTES[route].cls, method.lower()):
            by_key = {"X-API-KEY": bob.key}
            answer = Client().generic(method, path, b"{}", "application/json", headers=by_key)
            assert answer.status_code == 404, (method, answer.content)


OF_SIGNED_IN = [
    route
    for route in BY_KEY
    if "<" in route and set(ROUTES[route].cls.scopes.values()) == {SESSION}
]
"""What no key may at all (tests/config/test_scopes.py), and who is signed in may, of their own."""
WHATEVER = {
    "name": "Mine now", "allowed_vendors": [], "role": "member", "to": str(uuid.uuid4()),
    "email": "ann@example.org", "kind": "workspace", "period": "day", "limit_micro_usd": 1,
    "project": "mine", "granted": True,
}  # fmt: skip
"""What each of them could go on with."""


@pytest.mark.parametrize("route", OF_SIGNED_IN)
def test_what_is_another_teams_is_not_there_for_who_is_signed_in(ines, alice, bob, route):
    team = teams.create(owner=alice.user, name="Studio")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    invited = invitations.invite(
        team.pk, email="ann@example.org", role="member", by=alice.user, base_url="http://x"
    )
    asked = asks.ask(team.pk, period="day", limit=1, note="", by=bob.user.pk)
    _, key = keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="laptop")
    theirs = {"id": team.pk, "user": bob.user.pk, "invitation": invited.pk, "ask": asked.pk}
    theirs |= {"key_id": key.pk}
    ines.come_in()
    path = "/" + re.sub(r"<uuid:(\w+)>", lambda name: str(theirs[name[1]]), route)

    for method in METHODS:
        if hasattr(ROUTES[route].cls, method.lower()):
            answer = ines.browser.generic(method, path, json.dumps(WHATEVER), "application/json")
            assert answer.status_code == 404, (method, answer.content)
    assert Membership.objects.filter(workspace=team).count() == 2


@pytest.fixture
def anothers(visit):
    """What somebody else has: a passkey, a session, and a machine whose code they typed."""
    other = visit()
    other.come_in()
    key = Authenticator.objects.create(
        user=other.user, type=Authenticator.Type.WEBAUTHN, data={"name": "theirs"}
    )
    other.get("")
    machine = Pairing.objects.create(
        state=Pairing.State.FOUND,
        found_by=other.user,
        public_key=bytes(32),
        secret_digest=bytes(32),
        expires_at=timezone.now() + timedelta(minutes=9),
    )
    return {
        "pk": key.pk,
        "session": other.user.usersession_set.get().pk,
        "pairing_id": machine.pk,
    }


HANGING = [route for route in RULES[MEMBER] if "<int:" in route]


@pytest.mark.parametrize("route", HANGING)
def test_what_is_another_members_is_not_there(ines, anothers, route):
    ines.come_in()
    ines.post("reauthenticate/", password=PASSWORD)
    name = re.search(r"<\w+:(\w+)>", route)[1]
    path = path_of(route, str(anothers[name]))

    for method in ("GET", "POST"):
        answer = ines.browser.generic(method, path)
        assert answer.status_code in (404, 405), (method, answer.status_code)
    assert Authenticator.objects.filter(pk=anothers["pk"]).exists()
