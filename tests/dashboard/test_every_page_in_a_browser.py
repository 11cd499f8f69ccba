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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import databases
import pytest
from allauth.account.internal.flows.login import _AUTHENTICATION_METHODS_USER_SESSION_KEY as WHO
from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.core.signing import Signer
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver
from in_process import site
from looks import english_on, look_from_all_sides

from local.halfyear.cast import LUMEN, SCHOOL
from local.processes import free_port
from local.up import fake_stripe, vendors_of_the_sandbox

ASKED_FOR = "HALF_YEAR_WALK"
# Half a year with few calls took five minutes on two cores that had much else to do, before any
# page is looked at: too long for everybody's run. Without this mark it is as slow as its kin.
# `whole` in its place leaves no call out, as `up --demo` does.
ASKED = pytest.mark.skipif(
    not os.environ.get(ASKED_FOR), reason=f"{ASKED_FOR}=1 lives through half a year first"
)
pytestmark = [pytest.mark.browser, pytest.mark.slow, ASKED]
ROOT = Path(__file__).resolve().parents[2]
WALKS = (
    ("mina", "en"),
    ("mina", "zh-hans"),
    ("stranger", "en"),
    ("stranger", "zh-hans"),
    ("grace", "en"),  # Staff's pages are in English alone (decision 80).
)
"""Who walks in which language."""
PAGES = re.compile(
    r"(my|account|staff|purchases|privacy|invitations|notices)/|oauth/authorize|(login|pair|reference)?$"
)
"""Where pages are: everything else is for programs."""
APART = ("my/<path:anything>", "")
"""What says that nothing is there, and what leads to where somebody is."""
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
    "privacy/<str:token>/certificate.json": "the same",
    "account/3rdparty/login/error/": "on the way back from Google: tests/accounts/",
    "account/google/login/callback/": "the same",
    "account/github/login/callback/": "the same",
    "my/credits/statement": "a file, of days that its form names: tests/dashboard/",
}
"""Pages that are there for a moment alone, and where they are looked at."""
SAID = (
    SCHOOL, "Kling answers slowly today", "Kite film", "Contact sheet", "Render farm, night",
    "The client wants the harbour", "freelancer.with.a.long.name", "EmptyImage", "ending in 4242",
    "Your card was declined.", "The database moves", "CUDA out of memory",
    "sandbox/v1/image",
)  # fmt: skip
"""What somebody named or said, which stays as it was said; names of what is sold stay, too."""
SHOWN = 600
"""So many letters are told of what is wrong with a page."""
METHODS = [{"method": "password"}, {"method": "mfa", "type": "totp"}]


# --- The half year --------------------------------------------------------------------------------


@dataclass(frozen=True)
class HalfYear:
    """A database that was lived in, and what is told of it."""

    database: str
    data: Path
    told: dict
    walked: dict = field(default_factory=dict)
    """What `shown` found, once for all languages and visitors."""


@pytest.fixture(scope="module")
def lived(migrated, django_db_blocker, tmp_path_factory):
    """Live through it once, with few calls unless the whole is asked for."""
    from django.db import connection, connections

    data = tmp_path_factory.mktemp("half-year")
    name = f"{connection.settings_dict['NAME']}_halfyear"
    with django_db_blocker.unblock():
        databases.sql(
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {migrated}",
        )
    port = free_port()
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")
    words = ["--data", str(data), "--port", str(port)]
    words += [] if os.environ[ASKED_FOR] == "whole" else ["--few"]
    done = subprocess.run(
        [sys.executable, "-m", "local.halfyear", *words],
        env=environment(data, port, urlunsplit(address)),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    yield HalfYear(name, data, json.loads(done.stdout.splitlines()[-1]))
    with django_db_blocker.unblock():
        databases.sql(f"DROP DATABASE {name} WITH (FORCE)")
        # It is this loop's, of which nobody else knows: the test database could not be dropped.
        connections.close_all()


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
    monkeypatch.setattr(settings, "MEMBER_REFUNDS", "asked")
    monkeypatch.setattr(settings, "MEMBER_REFUND_DAYS", 365)
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
        elif PAGES.match(route) and route not in APART and not is_table(route):
            yield route


def is_table(route):
    """Whether it is of Django's own tables of rows, which are all alike."""
    return any(
        route.startswith(f"staff/{model._meta.app_label}/") for model in admin.site._registry
    ) or route.startswith("staff/(?P")


class Examples:
    """What stands for each name in a route: what there is most to see of."""

    def __init__(self):
        from accounts import notices
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
        leaving = f"{tomasz.pk.hex}-{notices.LOW}"
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
            "event_id": StripeEvent.objects.filter(type="checkout.session.completed").first().pk,
            "export_id": Export.objects.latest("asked_at").pk,
            "invitation": Invitation.objects.filter(accepted_at=None, **mine).first().pk,
            "ask": Ask.objects.filter(**mine).first().pk,
            "number": Draft.objects.latest("pk").pk, "term": "runway", "kind": "workspace",
            # Of these nothing is shown, only done.
            "account": "main", "session": 1, "sign_in_id": team.pk, "delivery_id": team.pk,
            "ask_id": team.pk, "token": Signer(sep=".", salt="accounts.notices").sign(leaving),
            "address_id": team.pk,
        }  # fmt: skip
        self.special = {
            "my/prices/of/<path:name>": "bfl/flux-pro-1.1-ultra/generate?ask=1",
            "staff/margin/exports/<int:number>": Bill.objects.earliest("pk").pk,
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


def come_in(email):
    """Return a browser without script in which somebody is signed in, by two factors."""
    from accounts.models import User

    client = Client(SERVER_NAME="localhost")
    if not email:
        return client
    user = User.objects.get(email=email)
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    now = time.time()
    session[WHO] = str(user.pk)
    session["account_authentication_methods"] = [{**each, "at": now} for each in METHODS]
    session.save()
    return client


VISITORS = {"mina": "mina@example.org", "grace": "grace@staff.example.org", "stranger": ""}
"""Who looks: a page is walked by the first of them who is shown it."""
LEAST = {"mina": 50, "grace": 60, "stranger": 2}
"""So many pages each of them has at least: an empty walk is no proof."""
NO_PAGE = {200, 204, 301, 302, 303, 405}
"""Statuses of what is a file, leads on, or is only done."""
NOT_THEIRS = {401, 403, 404}


@pytest.fixture
def browsers(half_year):
    """Each visitor's browser without script; Mina acts for her team."""
    from accounts.models import Workspace

    made = {who: come_in(email) for who, email in VISITORS.items()}
    team = Workspace.objects.get(name=LUMEN).pk
    assert made["mina"].post("/my/workspace", {"workspace": team}).status_code == 302
    made["mina"].get("/my/")  # Which says that she does.
    return made


def shown(half_year, browsers):
    """Return by visitor the addresses of the pages that they are shown, and what is unexplained."""
    if not half_year.walked:
        # Apart from Playwright, whose event loop runs in this thread: views have their own.
        with ThreadPoolExecutor(1) as apart:
            half_year.walked["found"], half_year.walked["unexplained"] = apart.submit(
                _shown, browsers
            ).result()
    return half_year.walked["found"], half_year.walked["unexplained"]


def _shown(browsers):
    from django.db import connections

    try:
        return _found(browsers, Examples())
    finally:
        connections.close_all()


def _found(browsers, examples):
    unexplained = []
    found = {who: [] for who in browsers}
    for route in routes():
        if route in ELSEWHERE:
            continue
        path, statuses = examples.path(route), set()
        for who, browser in browsers.items():
            answer = browser.get(path)
            is_page = "text/html" in answer.get("Content-Type", "")
            answer.close()
            if answer.status_code == 200 and is_page:
                found[who].append(path)
                break
            statuses.add(answer.status_code)
        else:
            is_explained = statuses & NO_PAGE and statuses <= NO_PAGE | NOT_THEIRS
            if not is_explained:
                unexplained.append((route, path, statuses))
    return found, unexplained


def test_every_route_of_pages_is_shown_to_somebody_or_explained(half_year, browsers):
    found, unexplained = shown(half_year, browsers)

    assert unexplained == []
    assert set(ELSEWHERE) <= set(routes())
    assert {who: len(paths) for who, paths in found.items() if len(paths) < LEAST[who]} == {}


@pytest.mark.parametrize(("who", "language"), WALKS)
def test_each_page_of_the_half_year_reads_well(
    page, half_year, browsers, complaints, who, language
):
    paths, _ = shown(half_year, browsers)
    cookies = {name: morsel.value for name, morsel in browsers[who].cookies.items()}
    cookies[settings.LANGUAGE_COOKIE_NAME] = language
    wrong = []
    with site() as url, speaking(who, language):
        page.context.add_cookies(
            [{"name": name, "value": value, "url": url} for name, value in cookies.items()]
        )
        for path in paths[who]:
            page.goto(f"{url}{path}")
            try:
                reads_well(page, f"{who}-{language}-{named(path)}", complaints, language)
            except AssertionError as why:  # One walk says all that is wrong.
                wrong.append((path, str(why)[:SHOWN]))
                complaints.clear()

    assert not wrong, "\n".join(map(str, wrong))


def reads_well(page, name, complaints, language):
    """Look at one page; in Chinese nothing is left in English but what somebody said."""
    if language == "zh-hans":
        assert page.locator("html").get_attribute("lang") == language, name
        left = english_on(page, data=(*SAID, *sold()))
        assert left == [], (name, left)
    look_from_all_sides(page, name, complaints)


def sold():
    """Return what vendors and their operations are called."""
    from proxy.vendors import catalogue

    vendors = catalogue().vendors.values()
    named = {each.display for each in vendors} | {
        each.title for vendor in vendors for each in vendor.operations
    }
    return sorted(each for each in named if each)


@contextmanager
def speaking(who, language):
    """Have somebody have chosen a language: it follows a member to every browser."""
    from accounts import languages
    from accounts.models import User

    user = User.objects.filter(email=VISITORS[who]).first()
    if user is None:
        yield
        return
    before = user.language
    languages.choose(user, language)
    try:
        yield
    finally:
        languages.choose(user, before or "en")


def named(path):
    """Return a file's name for an address, the same each time."""
    path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", urlsplit(path).path)
    return path.strip("/").replace("/", ".") or "front"
