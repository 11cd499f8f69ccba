"""The pages of staff in a real browser: each is readable, fits, and complains of nothing."""

from __future__ import annotations

import uuid

import pytest
from django.conf import settings
from django.utils import timezone
from in_process import site
from looks import LOOKS, SIZES, look
from playwright.sync_api import expect
from staff_cast import call_of

from accounts.models import RefusedOrigin
from common.money import usd
from credits.books import freezes
from credits.gifts import adjustments
from credits.models import Freeze, TopUp
from desk import roles

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]

PAGES = {
    "home": "", "customer": "customers/{workspace}",
    "calls": "customers/{workspace}/calls", "ledger": "customers/{workspace}/entries",
    "adjust": "customers/{workspace}/adjust", "call": "calls/{call}",
    "purchase": "purchases/{purchase}", "refund": "purchases/{purchase}/refund",
    "money": "money", "vouchers": "vouchers", "voucher": "vouchers/make", "origins": "origins",
    "deletions": "deletions", "log": "log", "tables": "tables", "vendors": "vendors",
    "vendor": "vendors/bfl", "vendor-off": "vendors/bfl/off",
}  # fmt: skip


@pytest.fixture
def url():
    with site() as address:
        yield address


@pytest.fixture
def grace(of_staff, url, page):
    """Grace has every role, and is signed in at the page's browser."""
    member = of_staff(*roles.ROLES)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies(
        [{"name": name, "value": member.browser.cookies[name].value, "url": url}]
    )
    return member


@pytest.fixture
def desk(grace, alice):
    """A customer of whom there is something of everything."""
    adjustments.request(
        alice.workspace_id, amount=usd("250"), requested_by=grace.user.pk,
        reason="A render farm ran on our mistake for a night, and they ask for all of it back.",
    )  # fmt: skip
    freezes.freeze(
        alice.workspace_id, Freeze.Cause.STAFF, "The card was reported stolen.", by=grace.user.pk
    )
    for state in ("open", "failed"):
        top_up = TopUp.objects.create(
            wallet_id=alice.workspace_id, amount_micros=usd("25"), source="checkout", state=state
        )
    now = timezone.now()
    RefusedOrigin.objects.create(
        origin=f"https://{uuid.uuid4().hex}.example.org", tries=3, first_at=now, last_at=now
    )
    call_of(alice, outcome="failed", charged_micros=0)
    return {
        "workspace": alice.workspace_id, "call": call_of(alice).pk, "purchase": top_up.pk,
    }  # fmt: skip


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_each_page_of_staff_reads_well(page, url, desk, complaints, size, scheme):
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    for name, path in PAGES.items():
        page.goto(f"{url}/staff/{path.format(**desk)}")
        look(page, f"staff-{name}-{size}-{scheme}", complaints)


def test_a_customer_is_found_by_mail_and_a_key_is_disabled(page, url, desk, alice, complaints):
    page.goto(f"{url}/staff/")
    page.get_by_label("Find").fill(alice.user.email)
    page.keyboard.press("Enter")
    expect(page.get_by_text(alice.user.email).first).to_be_visible()
    look(page, "staff-customer-found", complaints)
