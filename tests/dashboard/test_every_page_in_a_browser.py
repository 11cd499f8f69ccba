"""Every page that members, staff and strangers can open, over half a year of a studio's life.

The pages are those of the URL tables: one that is added is walked, and one that hangs on an id for
which `Examples` has none fails. With DASHBOARD_SHOTS=<folder> a picture of each look is left there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import databases
import pytest
from allauth.account.internal.flows.login import _AUTHENTICATION_METHODS_USER_SESSION_KEY as WHO
from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver
from in_process import site
from looks import SIZES, look_from_all_sides

from local.halfyear.cast import LUMEN
from local.processes import free_port
from local.up import fake_stripe, vendors_of_the_sandbox

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("half_year")]
ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en",)
"""In which the pages are walked."""
PAGES = re.compile(
    r"(my/|account/|staff/|purchases/|privacy/|invitations/|oauth/authorize)|(reference|releases)?$"
)
"""Where pages are: everything else is for programs."""
ELSEWHERE = {
    "account/confirm-email/": "somebody who signs up: tests/system/test_signing_in_in_a_browser.py",
    "account/login/code/confirm/": "a code that was mailed: the same",
    "account/password/reset/confirm/": "a link that was mailed: the same",
    "account/password/reset/complete/": "the same",
    "account/2fa/authenticate/": "between two factors: the same",
    "account/signup/passkey/": "a passkey: tests/accounts/",
    "account/reauthenticate/code/confirm/": "a code that was mailed: tests/accounts/",
    "account/2fa/webauthn/keys/<int:pk>/edit/": "a passkey: tests/accounts/",
    "account/2fa/webauthn/keys/<int:pk>/remove/": "a passkey: tests/accounts/",
    "account/3rdparty/signup/": "on the way from Google: tests/accounts/",
    "account/pair/<uuid:pairing_id>/": "tests/system/test_pairing_in_a_browser.py",
    "invitations/<str:token>": "tests/system/test_joining_a_team_in_a_browser.py",
    "oauth/authorize": "tests/accounts/test_consent_in_a_browser.py",
    "privacy/confirm/<str:token>": "a link that was mailed: tests/privacy/",
    "privacy/<str:token>": "the same",
    "privacy/<str:token>/certificate": "the same",
}
"""Pages that are there for a moment alone, and where they are looked at."""
METHODS = [{"method": "password"}, {"method": "mfa", "type": "totp"}]


# --- The half year --------------------------------------------------------------------------------


@dataclass(frozen=True)
class HalfYear:
    """A database that was lived in, and what is told of it."""

    database: str
    data: Path
    told: dict


@pytest.fixture(scope="module")
def lived(migrated, django_db_blocker, tmp_path_factory):
    """Live through it once, with few calls."""
    from django.db import connection

    data = tmp_path_factory.mktemp("half-year")
    name = f"{connection.settings_dict['NAME']}_halfyear"
    with django_db_blocker.unblock():
        databases.sql(
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {migrated}",
        )
    port = free_port()
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")
    done = subprocess.run(
        [sys.executable, "-m", "local.halfyear", "--few", "--data", str(data), "--port", str(port)],
        env=environment(data, port, urlunsplit(address)),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    yield HalfYear(name, data, json.loads(done.stdout.splitlines()[-1]))
    with django_db_blocker.unblock():
        databases.sql(f"DROP DATABASE {name} WITH (FORCE)")


def environment(data, port, database):
    """Return the settings of programs that call the sandbox and its Stripe."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV_"))}
    inherited.pop("CONCURRENCY_TIERS", None)  # How many calls run at once is judged here.
    base = {
        **inherited,
        "STRIPE_SECRET": "halfyear",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "DATABASE_URL": database,
        "DATA_DIR": str(data),
        "SANDBOX_KEY": "test",
        "VENDOR_SANDBOX_KEY": "test",
    }
    sandbox, stripe = free_port(), free_port()
    base |= fake_stripe(base, data, base_url=f"http://127.0.0.1:{port}", port=stripe)
    base["VENDOR_BASE_URL"] = f"http://127.0.0.1:{sandbox}/{{vendor}}"
    return base | vendors_of_the_sandbox(base, data, sandbox)


@pytest.fixture
def half_year(lived, django_db_blocker, monkeypatch):
    """Be in its database."""
    from django.db import connections

    monkeypatch.setattr(settings, "DATA_DIR", lived.data)
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "sk_test_x")
    with django_db_blocker.unblock(), databases.inside(lived.database):
        cache.clear()
        yield lived
        connections.close_all()


# --- Who looks, and at what -----------------------------------------------------------------------


def routes(resolver=None, before=""):
    """Yield every route of the URL tables that is a page's, perhaps."""
    for each in (resolver or get_resolver()).url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each, route)
        elif PAGES.match(route) and not route.endswith("<path:anything>"):
            yield route


def is_table(route):
    """Whether it is of Django's own tables of rows, which are all alike."""
    return any(
        route.startswith(f"staff/{model._meta.app_label}/") for model in admin.site._registry
    ) or route.startswith("staff/(?P")


class Examples:
    """What stands for each name in a route: what there is most to see of."""

    def __init__(self):
        from accounts.models import AllowedOrigin, Invitation, User, Workspace
        from apikeys.models import ApiKey, Ask
        from credits.models import Adjustment, Finding, StripeEvent, TopUp, Voucher
        from desk.models import Banner
        from prices.models import Bill, Draft
        from privacy.models import Deletion, Export
        from runs.models import Output, Run, Workflow
        from usage.models import Call
        from webhooks.models import Endpoint

        team = Workspace.objects.get(name=LUMEN)
        tomasz = User.objects.get(email="tomasz@example.org")
        mine = {"workspace_id": team.pk}
        run = Run.objects.filter(state="succeeded", **mine).latest("created_at")
        calls = Call.objects.filter(outcome="delivered", **mine)
        bought = TopUp.objects.filter(wallet_id=team.pk, state="credited")
        findings = Finding.objects.filter(resolved_at=None)
        self.by_name = {
            "workspace_id": team.pk, "user_id": tomasz.pk, "user": tomasz.pk,
            "key_id": ApiKey.objects.get(name="Render farm, night", **mine).pk,
            "call_id": calls.latest("charged_micros").pk,
            "run_id": run.pk, "output_id": Output.objects.filter(run=run).first().pk,
            "workflow_id": Workflow.objects.get(name="Turntable of a prop").pk,
            "endpoint_id": Endpoint.objects.exclude(url="").filter(**mine).latest("pk").pk,
            "top_up_id": bought.latest("created_at").pk,
            "voucher_id": Voucher.objects.get(name="Autumn school 2026").pk,
            "origin_id": AllowedOrigin.objects.latest("pk").pk,
            "deletion_id": Deletion.objects.get(state="waiting").pk,
            "banner_id": Banner.objects.latest("pk").pk,
            "event_id": StripeEvent.objects.filter(kind="checkout.session.completed").first().pk,
            "export_id": Export.objects.latest("asked_at").pk,
            "invitation": Invitation.objects.filter(accepted_at=None, **mine).first().pk,
            "ask": Ask.objects.filter(**mine).first().pk,
            "number": Draft.objects.latest("pk").pk, "term": "runway", "kind": "workspace",
            # Of these nothing is shown, only done.
            "account": "main", "session": 1, "sign_in_id": team.pk, "delivery_id": team.pk,
        }  # fmt: skip
        self.special = {
            "my/prices/of/<path:name>": "bfl/flux-pro-1.1-ultra/generate?ask=1",
            "staff/margin/exports/<int:number>": Bill.objects.get().pk,
            "staff/findings/<path:key>": findings.latest("pk").key,
        }
        self.waiting = {
            "adjustment": Adjustment.objects.get(state="waiting").pk,
            "voucher": Voucher.objects.get(name="Winter festival").pk,
            "refund_ask": team.pk,  # None waits.
        }

    def path(self, route):
        """Return an address of a route; raise KeyError for a name that nothing stands for."""
        given = dict(self.by_name)
        if route in self.special:
            given |= dict.fromkeys(("name", "number", "key"), self.special[route])
        elif "vendors/" in route:
            given["name"] = "bfl"
        elif "machines/" in route:
            given["name"] = "rack-2-a100"
        elif route.startswith("staff/money/"):
            given["pk"] = self.waiting[route.split("/")[2]]
        return "/" + re.sub(r"<\w+:(\w+)>", lambda found: str(given[found[1]]), route)


def come_in(email, workspace=None):
    """Return a browser without script in which somebody is signed in, by two factors."""
    from accounts.models import User

    client = Client(SERVER_NAME="localhost")
    user = User.objects.get(email=email)
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    now = time.time()
    session[WHO] = str(user.pk)
    session["account_authentication_methods"] = [{**each, "at": now} for each in METHODS]
    session.save()
    if workspace is not None:
        assert client.post("/my/workspace", {"workspace": workspace}).status_code == 302
    return client


NOT_PAGES = {405: "only done", 302: "leads on", 303: "leads on", 301: "leads on"}


def pages_of(client, found, examples):
    """Return the addresses of those routes that show this client a page.

    What only does something, leads on, or is a file is none. Anything else must be `ELSEWHERE`.
    """
    shown, wrong = [], []
    for route in found:
        path = examples.path(route)
        answer = client.get(path)
        if answer.status_code == 200 and "text/html" in answer.get("Content-Type", ""):
            shown.append(path)
        elif answer.status_code not in {200, *NOT_PAGES} and route not in ELSEWHERE:
            wrong.append((path, answer.status_code))
        answer.close()
    assert wrong == []
    return shown


WHO_LOOKS = {
    "mina": ("mina@example.org", True, ("my/", "account/", "purchases/", "privacy/", "reference")),
    "grace": ("grace@staff.example.org", False, ("staff/",)),
    "stranger": ("", False, ("account/", "reference", "invitations/", "oauth/")),
}
LEAST = {"mina": 45, "grace": 50, "stranger": 5}
"""So many pages each of them has at least: an empty walk is no proof."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("who", WHO_LOOKS)
def test_each_page_of_the_half_year_reads_well(page, half_year, complaints, who, language):
    from accounts.models import Workspace

    email, has_team, prefixes = WHO_LOOKS[who]
    team = Workspace.objects.get(name=LUMEN).pk
    client = Client(SERVER_NAME="localhost")
    if email:
        client = come_in(email, team if has_team else None)
    found = [each for each in routes() if each.startswith(prefixes) and not is_table(each)]
    paths = pages_of(client, found, Examples())
    assert len(paths) >= LEAST[who], paths
    with site() as url:
        cookies = {name: morsel.value for name, morsel in client.cookies.items() if email}
        cookies[settings.LANGUAGE_COOKIE_NAME] = language
        page.context.add_cookies(
            [{"name": name, "value": value, "url": url} for name, value in cookies.items()]
        )
        page.set_viewport_size(SIZES["desk"])
        for path in paths:
            page.goto(f"{url}{path}")
            look_from_all_sides(page, f"{who}-{language}-{named(path)}", complaints)


def named(path):
    """Return a file's name for an address, the same each time."""
    path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", urlsplit(path).path)
    return path.strip("/").replace("/", ".") or "front"


def test_no_page_is_left_out(half_year):
    """Whatever is neither a member's, staff's nor a stranger's to look at is named."""
    prefixes = tuple(prefix for _, _, some in WHO_LOOKS.values() for prefix in some)

    assert {each for each in routes() if not each.startswith(prefixes)} <= {"", "releases"}
