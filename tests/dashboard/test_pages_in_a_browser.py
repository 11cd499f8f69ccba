"""The pages of members in a real browser: each is readable, fits, and complains of nothing.

With DASHBOARD_SHOTS=<folder> a picture of each is left there.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from call_rows import call_of
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from in_process import site
from looks import IN_CHINESE, LOOKS, SIZES, look, look_in_chinese, read_in
from playwright.sync_api import expect
from test_credit_pages import come_in as fresh
from test_credit_pages import credited

from accounts import invitations, teams
from accounts.models import Workspace
from accounts.sessions import Session
from accounts.signup import verify_email
from apikeys import allowances, asks, keys, limited, states
from apikeys.authentication import giver
from apikeys.limited import Limits
from apikeys.rights import Rights
from common.ids import uuid7
from common.money import usd
from credits.books import holds
from credits.books.limits import OVER_BALANCE
from credits.gifts import grants
from credits.models import Account, AutoTopUp, Hold, TopUp
from dashboard.receipts import CALL, PRESS, Shared
from usage.models import Call, Refusal

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]


@pytest.fixture
def url():
    cache.clear()
    with site() as address:
        yield address


@pytest.fixture
def come_in(url, page):
    """Have somebody be signed in at the page's browser, and act for a workspace."""

    def sign_in(member, workspace_id=None, context=None):
        client = Client(SERVER_NAME="localhost")
        client.force_login(member.user)
        if workspace_id:
            client.post("/my/workspace", {"workspace": workspace_id})
        name = settings.SESSION_COOKIE_NAME
        cookie = {"name": name, "value": client.cookies[name].value, "url": url}
        (context or page.context).add_cookies([cookie])

    return sign_in


@pytest.fixture
def studio(alice, bob):
    """A team in which everything is there once: limits, keys, asks, purchases, holds."""
    team = teams.create(owner=alice.user, name="Lumen Yard")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    end = timezone.now() + timedelta(days=40)
    grants.grant(wallet=team.wallet, amount=usd("25"), key=uuid.uuid4().hex, reason="welcome")
    grants.grant(
        wallet=team.wallet, amount=usd("61.4275"), key=uuid.uuid4().hex, reason="x", expires_at=end
    )
    invitations.invite(
        team.pk, email=f"{uuid.uuid4().hex[:9]}@example.org", role="member", by=alice.user,
        base_url="http://x",
    )  # fmt: skip
    asks.ask(team.pk, period="month", limit=usd("20"), note="Ten more.", by=bob.user.pk)
    calls = Rights(scopes=frozenset({"proxy", "usage:read"}))
    for name, limits in (
        ("Render farm, night", Limits("Kite film", 60, {"day": usd("5"), "month": usd("60")})),
        ("Old laptop", Limits()),
    ):
        _whole, key = limited.make(
            giver(Session(alice.user, team.pk, "owner")), name=name, asked=calls, limits=limits
        )
    keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="Bobs workstation")
    for kind, of, period, limit in (
        ("workspace", "", "month", "400"), ("project", "Kite film", "total", "90"),
        ("each_member", "", "week", "30"), ("member", str(bob.user.pk), "month", "40"),
        ("member", str(alice.user.pk), "day", "0"),
    ):  # fmt: skip
        allowances.set_rule(team.pk, kind, of, period, usd(limit), by=alice.user.pk)
    for state in ("open", "expired", "failed"):
        TopUp.objects.create(
            wallet_id=team.pk, amount_micros=usd("25"), source="checkout", state=state
        )
    AutoTopUp.objects.create(
        wallet_id=team.pk, payment_method_id="pm", method_label="Visa ending 4242",
        last_failure="Your card was refused.",
    )  # fmt: skip
    holds.place(team.pk, amount=usd("3.2"), ttl_seconds=900)
    memo = {"vendor": "kling", "operation": "video", "user": str(alice.user.pk)}
    Hold.objects.filter(account_id=team.pk).update(memo=memo)
    for n, (limit, more) in enumerate((
        ("balance", {"left_micros": 5_000}),
        ("budget", {"whose": "workspace", "left_micros": 0, "most_micros": 5_000_000,
                    "resets_at": timezone.now() + timedelta(days=2)}),
        ("concurrency", {"left": 0, "most": 5}),
    )):  # fmt: skip
        at = timezone.now() - timedelta(minutes=n)
        Refusal.objects.create(
            id=uuid7(), workspace_id=team.pk, hour=at, first_at=at, last_at=at, limit=limit,
            user_id=alice.user.pk, key_id=key.pk, vendor="kling", operation="kling/v1/videos",
            code=limit, needed_micros=60_000, times=n + 1, **more,
            message=OVER_BALANCE % {"amount": "$0.06", "left": "$0.005"},
        )  # fmt: skip
    first = Account.objects.get(pk=team.pk).events
    Call.objects.bulk_create(
        Call(
            id=uuid.uuid4(), workspace_id=team.pk, number=number, user_id=alice.user.pk,
            vendor="kling", operation="kling/v1/videos", run_id=f"run-{number // 3}",
            outcome="moderated" if number % 4 else "failed", status=200, quoted_micros=60_000,
            held_micros=60_000, charged_micros=0, price_version="1",
            attempts=1, started_at=timezone.now(), settled_at=timezone.now(),
            facts={"title": "Kling video", "inputs": {"seconds": 5, "mode": "std"}},
        )
        for number in range(first + 1, first + 10)
    )  # fmt: skip
    Account.objects.filter(pk=team.pk).update(events=first + 9)
    call = Call.objects.filter(workspace_id=team.pk).latest("number")
    until = timezone.now() + timedelta(days=7)
    return {
        "call": str(call.pk), "shared": Shared(CALL, call.pk, until).token,
        "whole": Shared(PRESS, call.pk, until).token,
        "team": str(team.pk), "key": str(key.pk), "user": str(bob.user.pk),
        "operation": "bfl/flux-pro-1.1-ultra/generate",
    }  # fmt: skip


PAGES = {
    "home": "/my/", "connect": "/my/connect", "usage": "/my/usage", "credits": "/my/credits",
    "keys": "/my/keys",
    "key": "/my/keys/{key}", "key-change": "/my/keys/{key}/change", "key-new": "/my/keys/new",
    "keys-revoke": "/my/keys/revoke-all",
    "team": "/my/team", "member": "/my/team/{user}", "vendors": "/my/team/vendors",
    "sure": "/my/team/{user}/remove",
    "limits": "/my/limits", "limit": "/my/limits/member?of={user}",
    "prices": "/my/prices?q=flux", "quote": "/my/quote", "settings": "/my/settings",
    "mails": "/my/settings/mails",
    "security": "/account/", "mail": "/account/email/", "nowhere": "/my/nothing",
    "spend": "/my/usage/spend", "presses": "/my/usage/presses",
    "refusals": "/my/refusals", "reference": "/reference",
    "operation": "/my/prices/of/{operation}?ask=1",
    "call": "/my/usage/{call}", "share": "/my/usage/{call}/share",
    "receipt-shared": "/receipts/{shared}", "receipt-whole": "/receipts/{whole}",
}  # fmt: skip


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_each_page_reads_well(
    page, url, come_in, alice, studio, complaints, size, scheme, monkeypatch
):
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "sk_test_x")
    come_in(alice, studio["team"])
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    for name, path in PAGES.items():
        page.goto(f"{url}{path.format(**studio)}")
        if name == "vendors":
            page.get_by_label("Only these", exact=True).check()
        if name == "reference":
            page.locator("#reference .info .url").wait_for()
        look(page, f"{name}-{size}-{scheme}", complaints)


DATA = (
    "Render farm", "Old laptop", "Bobs workstation", "Ten more.", "Your card was refused.",
    "Black Forest Labs", "Fish Audio",
)  # fmt: skip
"""What people and the payment provider said, and what a vendor is called."""


@pytest.mark.parametrize(("size", "scheme"), IN_CHINESE)
def test_each_page_reads_well_in_chinese(
    page, url, come_in, alice, studio, complaints, size, scheme, monkeypatch
):
    monkeypatch.setattr(settings, "STRIPE_API_KEY", "sk_test_x")
    come_in(alice, studio["team"])
    read_in(page, url, "zh-hans")
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    for name, path in PAGES.items():
        page.goto(f"{url}{path.format(**studio)}")
        look_in_chinese(page, f"{name}-{size}-{scheme}-zh", complaints, DATA)


@pytest.mark.parametrize(("size", "scheme"), IN_CHINESE)
def test_the_page_of_a_revoked_key_reads_well_and_ends_what_it_made(
    page, url, come_in, alice, complaints, size, scheme
):
    own = {"workspace_id": alice.workspace_id, "user_id": alice.user.pk}
    for name in ("Night", "Day"):
        keys.issue(**own, name=name, made_by=alice.api_key_record)
    states.revoke(alice.api_key_record, by=alice.user.pk, reason="It leaked.")
    come_in(alice)
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    path = f"{url}/my/keys/{alice.api_key_record.pk}"

    page.goto(path)
    look(page, f"key-revoked-{size}-{scheme}", complaints)
    page.get_by_role("button", name="Revoke these").click()
    page.goto(path)

    expect(page.get_by_role("button", name="Revoke these")).to_have_count(0)
    assert not keys.living().filter(user=alice.user).exists()


def test_the_page_of_connecting_sees_the_first_call_by_itself(page, url, come_in, alice):
    come_in(alice)
    page.goto(f"{url}/my/connect")
    expect(page.get_by_text("Waiting for your first call")).to_be_visible()
    expect(page.get_by_role("link", name="Look again")).to_be_hidden()

    call_of(alice)

    expect(page.get_by_role("heading", name="It works")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("link", name="See its receipt")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), IN_CHINESE)
def test_what_is_wanted_back_reads_well_and_is_kept_after_all(
    page, url, alice, complaints, size, scheme, monkeypatch
):
    monkeypatch.setattr(settings, "MEMBER_REFUNDS", "asked")
    bought = credited(alice)
    cookies = fresh(alice).cookies.items()
    page.context.add_cookies([{"name": name, "value": each.value, "url": url}
                              for name, each in cookies])  # fmt: skip
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{url}/my/credits")
    page.get_by_role("link", name="Give back").click()
    expect(page).to_have_url(re.compile(f"{bought.pk}/back"))
    look(page, f"give-back-{size}-{scheme}", complaints)

    page.get_by_role("button", name="Give them back").click()

    expect(page.get_by_text("It waits for staff, and a mail")).to_be_visible()
    look(page, f"wanted-back-{size}-{scheme}", complaints)
    page.get_by_role("button", name="Keep them after all").click()
    expect(page.get_by_role("link", name="Give back")).to_be_visible()


def test_a_list_narrows_while_one_chooses_and_its_address_and_files_follow(
    page, url, come_in, alice, complaints
):
    come_in(alice)
    call_of(alice, vendor="kling", outcome="failed", charged_micros=0)
    call_of(alice)
    page.goto(f"{url}/my/usage")
    rows = page.locator("#found tbody tr")
    expect(rows).to_have_count(2)

    page.get_by_label("State").select_option("failed")

    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("outcome=failed"))
    assert "outcome=failed" in page.get_by_role("link", name="CSV").get_attribute("href")
    page.get_by_role("link", name="Clear the filters").click()
    expect(rows).to_have_count(2)
    assert complaints == []


def test_prices_are_found_while_one_types_and_a_refusal_is_a_page_of_its_own(
    page, url, come_in, alice, complaints
):
    come_in(alice)
    page.goto(f"{url}/my/prices")
    page.get_by_role("searchbox").press_sequentially("flux-3-video")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("")

    page.goto(f"{url}/my/usage")
    page.get_by_label("Run id").evaluate("field => field.removeAttribute('maxlength')")
    page.get_by_label("Run id").fill("x" * 80)
    page.get_by_label("Run id").press("Enter")

    expect(page.get_by_text("This filter is too long")).to_be_visible()
    assert all("400" in each for each in complaints), complaints
    complaints.clear()


DROP = """
(field) => {
    const given = new DataTransfer();
    given.items.add(new File(['{"1": {}}'], "workflow.json"));
    field.dispatchEvent(new DragEvent("drop", {dataTransfer: given, bubbles: true}));
}
"""


def test_a_workflow_may_be_dropped_on_its_field(page, url, come_in, alice):
    come_in(alice)
    page.goto(f"{url}/my/quote")

    page.locator("textarea[name=prompt]").evaluate(DROP)

    expect(page.locator("textarea[name=prompt]")).to_have_value('{"1": {}}')


def test_a_language_is_chosen_without_script_and_stays(url, come_in, alice, browser):
    context = browser.new_context(java_script_enabled=False, viewport=SIZES["phone"])
    page = context.new_page()
    page.goto(f"{url}/account/login/")
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    come_in(alice, context=context)
    page.goto(f"{url}/my/usage?vendor=bfl")
    page.get_by_role("button", name="菜单").click()
    page.get_by_role("button", name="English").click()

    expect(page).to_have_url(f"{url}/my/usage?vendor=bfl")
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()
    alice.user.refresh_from_db()
    assert alice.user.language == "en"
    context.close()


def test_a_members_pages_read_well(page, url, come_in, bob, studio, complaints):
    come_in(bob, studio["team"])
    page.set_viewport_size(SIZES["phone"])

    for name in ("home", "credits", "team", "limits", "keys"):
        page.goto(f"{url}{PAGES[name]}")
        look(page, f"{name}-of-a-member", complaints)


def test_a_key_is_made_copied_limited_and_revoked(page, url, come_in, alice, complaints):
    come_in(alice)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{url}/my/keys")
    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Name").fill("Render farm")
    page.get_by_label("Each day").fill("-1")
    page.get_by_role("button", name="Create the key").click()
    expect(page.locator(".wrong")).to_have_count(1)
    page.get_by_label("Each day").fill("5.5")
    complaints.clear()  # The browser tells of the 400.
    page.get_by_role("button", name="Create the key").click()

    whole = page.locator("[data-key]").inner_text()
    assert re.fullmatch(r"comfyui-[0-9a-z-]{64}", whole)
    look(page, "key-made", complaints)
    page.get_by_role("button", name="Copy").first.click()
    expect(page.locator("#say")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == whole
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text("$5.50 left")).to_be_visible()
    page.get_by_role("button", name="Rotate the key").click()
    assert page.locator("[data-key]").inner_text() != whole
    page.goto(f"{url}/my/keys")
    page.get_by_role("link", name="Render farm").first.click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("is revoked, for good")).to_be_visible()


def test_who_is_invited_joins_and_switches_back_and_forth(
    page, url, come_in, alice, bob, complaints
):
    verify_email(bob.user)
    come_in(alice)
    page.goto(f"{url}/my/")
    page.locator(".workspaces > summary").click()
    page.get_by_role("link", name="Make a team").click()
    page.get_by_label("Name").fill("Kite studio")
    page.get_by_role("button", name="Make the team").click()
    page.get_by_label("Mail").fill(bob.user.email)
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_text("is invited, by mail")).to_be_visible()
    team = Workspace.objects.get(name="Kite studio", memberships__user=alice.user)
    from outbox.models import Mail

    mail = Mail.objects.filter(to=bob.user.email).latest("id")
    path = re.search(r"/invitations/\S+", mail.text)[0]

    other = page.context.browser.new_context()
    come_in(bob, context=other)
    theirs = other.new_page()
    theirs.goto(f"{url}{path}")
    theirs.get_by_role("button", name="Join the team").click()
    expect(theirs.get_by_role("heading", name="Kite studio")).to_be_visible()
    theirs.locator(".workspaces > summary").click()
    theirs.locator(".workspaces form button").first.click()
    expect(theirs.get_by_text("You act for")).to_be_visible()
    assert teams.members(team.pk).count() == 2
    other.close()


def test_without_script_all_of_it_still_works(url, come_in, alice, browser):
    context = browser.new_context(java_script_enabled=False, viewport=SIZES["phone"])
    come_in(alice, context=context)
    page = context.new_page()
    page.goto(f"{url}/my/keys")
    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Name").fill("No script")
    page.get_by_role("button", name="Create the key").click()
    assert page.locator("[data-key]").inner_text().startswith("comfyui-")
    page.goto(f"{url}/my/prices?q=flux")
    page.locator("tbody summary").first.click()
    expect(page.locator("tbody details[open] .sums").first).to_be_visible()
    page.get_by_role("button", name="Menu").click()
    page.locator(".workspaces > summary").click()
    expect(page.get_by_role("link", name="Make a team")).to_be_visible()
    context.close()
