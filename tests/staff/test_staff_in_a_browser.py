"""The pages of staff in a real browser: each is readable, fits, and complains of nothing."""

from __future__ import annotations

import io
import uuid

import pytest
from call_rows import call_of
from django.conf import settings
from django.utils import timezone
from in_process import site
from looks import LOOKS, SIZES, look
from playwright.sync_api import expect

from accounts.models import RefusedOrigin
from common.money import usd
from credits.books import freezes
from credits.gifts import adjustments
from credits.models import Freeze, TopUp
from desk import banners, roles
from prices import bills, comparing, drafts, terms
from prices.exports import Form
from prices.terms import Term
from proxy import price_book
from usage import sums

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]

PAGES = {
    "home": "", "customer": "customers/{workspace}",
    "calls": "customers/{workspace}/calls", "ledger": "customers/{workspace}/entries",
    "adjust": "customers/{workspace}/adjust", "call": "calls/{call}",
    "purchase": "purchases/{purchase}", "refund": "purchases/{purchase}/refund",
    "money": "money", "vouchers": "vouchers", "voucher": "vouchers/make", "origins": "origins",
    "deletions": "deletions", "log": "log", "tables": "tables", "vendors": "vendors",
    "vendor": "vendors/bfl", "vendor-off": "vendors/bfl/off",
    "prices": "prices", "lists": "prices/lists", "draft": "prices/drafts/{draft}",
    "term": "prices/drafts/{draft}/term",
    "publish": "prices/drafts/{draft}/publish", "margin": "margin?vendor=bfl",
    "export": "margin/export", "bill": "margin/exports/{bill}", "notices": "notices",
    "banner": "notices/banner", "maintenance": "notices/pause", "nowhere": "nothing/here",
    "view-as": "customers/{workspace}/as/{person}",
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
    told = {
        "workspace": alice.workspace_id, "call": call_of(alice).pk, "purchase": top_up.pk,
        "person": alice.user.pk, "draft": drafted(grace), "bill": billed(grace, alice),
    }  # fmt: skip
    sums.catch_up(alice.workspace_id)
    banner = banners.put_up(
        "Kling answers slowly today; what fails costs nothing.", level="warning", begins_at=now,
        ends_at=None, for_staff=False, by=grace.user.pk,
    )  # fmt: skip
    yield told
    banners.take_down(banner.pk, by=grace.user.pk)  # No other test's pages say it.


def drafted(grace):
    """A draft with a term of each kind, compared with the last week's calls."""
    changes = [
        Term("*", terms.MARKUP, 125_000), Term("kling", terms.FIXED, 50_000),
        Term("bfl/flux-pro-1.1/generate", terms.BY, 100_000, "seconds"),
    ]  # fmt: skip
    made = drafts.draft(
        changes=changes, known=price_book.names(), by=grace.user.pk, reason="Costs of the house"
    )
    comparing.compare(made.pk)
    return made.pk


def billed(grace, alice):
    """An export with one request of each verdict."""
    tag = uuid.uuid4().hex
    for name in ("same", "twice", "dear"):
        call_of(alice, vendor_request_id=f"{tag}-{name}")
    text = "id,cost\n" + "".join(
        f"{tag}-{name},{cost}\n"
        for name, cost in (("same", "0.03"), ("twice", "0.04"), ("twice", "0.04"), ("dear", "0.09"),
                           ("nobody", "0.01"))
    )  # fmt: skip
    made = bills.bring_in(
        io.BytesIO(text.encode()), vendor="bfl", filename="bfl-usage-november-2026.csv",
        form=Form(), by=grace.user.pk, reason="the bill of November",
    )  # fmt: skip
    return made.pk


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


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_a_member_is_looked_at_as_they_see_it_and_left_by_the_button(
    page, url, desk, alice, complaints, size, scheme
):
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{url}/staff/customers/{desk['workspace']}/as/{desk['person']}")
    page.get_by_label("Reason").fill("They cannot find a charge.")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_text(f"You look as {alice.user.email}")).to_be_visible()
    look(page, f"staff-looking-{size}-{scheme}", complaints)

    page.goto(f"{url}/account/")
    expect(page.get_by_role("heading", name="Only to read")).to_be_visible()
    complaints.clear()  # The browser tells of a 403.
    page.get_by_role("button", name="Stop looking").click()

    expect(page.get_by_text("You are yourself again.")).to_be_visible()


def test_prices_are_drafted_and_compared_by_hand(page, url, grace, complaints):
    page.goto(f"{url}/staff/prices")
    page.get_by_role("link", name="Draft prices").click()
    page.get_by_label("Reason").fill("Costs of the house")
    page.get_by_role("button", name="Make the draft").click()
    page.get_by_role("link", name="Add or change a term").click()
    page.get_by_label("How much").fill("12.5")
    page.get_by_role("button", name="Put it in").click()
    expect(page.get_by_text("12.5 % more than the published price").first).to_be_visible()
    page.get_by_role("button", name="Compare with 7 days").click()
    look(page, "staff-compared", complaints)
    page.get_by_role("link", name="Publish").click()

    # What is published stays for ever, and for all tests after: test_staff_prices.py does it.
    expect(page.get_by_label("From")).to_be_visible()
    look(page, "staff-publish", complaints)
