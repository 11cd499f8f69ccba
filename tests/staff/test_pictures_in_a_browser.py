"""The pages that docs/members.md and docs/support.md show, with the people that they show.

With DOCS_SHOTS=docs/images the pictures are made anew; without it the pages are walked alike.
"""

from __future__ import annotations

import io
import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from call_rows import call_of
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from in_process import site
from looks import look
from PIL import Image
from playwright.sync_api import expect

from accounts import teams
from accounts.models import User
from accounts.sessions import Session
from accounts.signup import sign_up, verify_email
from apikeys import allowances, limited
from apikeys.authentication import giver
from apikeys.limited import Limits
from apikeys.models import ApiKey
from apikeys.rights import Rights
from common.ids import uuid7
from common.money import usd
from credits.books import holds, limits
from credits.gifts import adjustments, grants
from credits.payments import topups
from desk import notes
from sandbox.stripe.remote import stripe_in_thread
from usage import sums
from usage.models import Refusal

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]
MEMBERS, SUPPORT = {"width": 1200, "height": 780}, {"width": 1440, "height": 900}
COLOURS = 128
"""Of a picture: a page has few, and a file is half as large."""
FLUX = ("bfl", "flux-pro-1.1-ultra/generate", "Flux Pro 1.1 Ultra", 60_000, {"images": 1})
FILM = ("kling", "v1/videos/image2video", "Kling Image to Video", 280_000, {"seconds": 5})
LOGO = ("recraft", "image_generation", "Recraft Text to Image", 40_000, {"images": 1})


@dataclass(frozen=True)
class Lantern:
    """A team of two; it has the fields that `call_of` writes a call by."""

    user: User
    workspace_id: uuid.UUID
    key_id: uuid.UUID
    call_id: uuid.UUID
    top_up: Any


@pytest.fixture
def url(monkeypatch):
    """An address of the site, which sells credits by a stand-in for the processor."""
    cache.clear()
    with stripe_in_thread() as remote, site() as address:
        monkeypatch.setattr(settings, "STRIPE_API_KEY", "sk_test_ours")
        monkeypatch.setattr(settings, "STRIPE_API_BASE", remote.url)
        yield Site(address, remote)


@dataclass(frozen=True)
class Site:
    """Where the pages are, and where is paid."""

    address: str
    stripe: Any


def paper_lantern(stripe, domain):
    """Make a team of Ines and Tomas, with a purchase, a key, calls, and a call that was refused."""
    ines, tomas = (
        sign_up(email=f"{name.lower()}@{domain}", name=f"{name} Example")
        for name in ("Ines", "Tomas")
    )
    for user in (ines, tomas):
        verify_email(user)
    team = teams.create(owner=ines, name="Paper Lantern")
    teams.join(team, tomas, role="member", by=ines.pk)
    grants.grant(
        wallet=team.wallet, amount=usd("5"), key=uuid.uuid4().hex, reason="welcome",
        expires_at=timezone.now() + timedelta(days=40),
    )  # fmt: skip
    top_up = bought(stripe, team, ines)
    rights = Rights(scopes=frozenset({"proxy", "usage:read"}))
    caps = Limits("Night train", None, {"day": usd("5"), "month": usd("60")})
    session = Session(ines, team.pk, "owner")
    _whole, key = limited.make(giver(session), name="Render farm", asked=rights, limits=caps)
    for kind, of, period, limit in (
        ("workspace", "", "month", "200"), ("member", str(tomas.pk), "week", "20"),
    ):  # fmt: skip
        allowances.set_rule(team.pk, kind, of, period, usd(limit), by=ines.pk)
    limits.set_concurrency(team.pk, 5, by=ines.pk, reason="As agreed.")
    call_id = called(Lantern(ines, team.pk, key.pk, uuid.uuid4(), top_up))
    for at, refusal in refusals():
        refused(team.pk, ines, key, at, **refusal)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
    sums.catch_up(team.pk)
    return Lantern(ines, team.pk, key.pk, call_id, top_up)


def bought(stripe, team, user):
    """Buy credits for 50 dollars, and pay."""
    begun = topups.start(
        team.pk, amount=usd("50"), email=user.email, user_id=user.pk, base_url="http://us.example"
    )
    stripe.post(f"sessions/{begun.session_id}/pay", card="visa")
    return topups.refresh(begun.pk)


def called(lantern):
    """Write the calls of five runs, as far back as the month goes; return the newest's id."""
    now = timezone.now()
    month = now.replace(day=1, hour=0, minute=0, second=1, microsecond=0)
    spent, last = 0, None
    for back, (vendor, operation, title, price, inputs) in enumerate(
        reversed([FLUX, FLUX, FILM, LOGO, FLUX, FILM, FLUX, LOGO, FILM, FLUX])
    ):
        ended = max(month, now - timedelta(days=8 - back // 2 * 2, minutes=7 - back % 2 * 2))
        fails = back == 6
        last = call_of(
            lantern, vendor=vendor, operation=f"{vendor}/{operation}", key_id=lantern.key_id,
            run_id=f"night-train-{back // 2 + 1}", outcome="failed" if fails else "delivered",
            reason="The vendor could not make it." if fails else "", project="Night train",
            quoted_micros=price, held_micros=price, charged_micros=0 if fails else price,
            facts={"title": title, "inputs": inputs}, vendor_request_id=f"req-{4711 + back}",
            started_at=ended - timedelta(seconds=9), settled_at=ended,
        )  # fmt: skip
        spent += last.charged_micros
    hold = holds.place(lantern.workspace_id, amount=spent, ttl_seconds=60)
    assert holds.capture(hold, spent)
    return last.pk


def refusals():
    """Return what limits said yesterday, in the words of credits/books/limits.py."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    budget = {
        "limit": "budget", "whose": "key", "code": "budget_exceeded", "needed_micros": 280_000,
        "left_micros": 120_000, "most_micros": 5_000_000, "times": 3, "resets_at": midnight,
        "message": "This call can cost $0.28, and $0.12 is left of the budget of this key, $5.00. "
        f"It begins anew on {midnight:%Y-%m-%d at %H:%M} UTC.",
    }  # fmt: skip
    slots = {
        "limit": "concurrency", "code": "concurrency_limit", "needed_micros": 280_000, "left": 0,
        "most": 5, "message": "5 calls of this workspace are running, and 5 may run at once. Wait "
        "until one has ended.",
    }  # fmt: skip
    return [(midnight - timedelta(hours=2), budget), (midnight - timedelta(hours=1), slots)]


def refused(team, user, key, at, **fields):
    """Write down a call that a limit did not let through."""
    Refusal.objects.create(
        id=uuid7(), workspace_id=team, hour=at, first_at=at, last_at=at, user_id=user.pk,
        key_id=key.pk, vendor="kling", operation="kling/v1/videos/image2video",
        project="Night train", **fields,
    )  # fmt: skip


def shown(page, name, complaints):
    """Look at a page as everywhere, and take what fits one screen of it for the documents."""
    look(page, name, complaints)
    if folder := os.environ.get("DOCS_SHOTS"):
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.quantize(COLOURS).save(Path(folder) / f"{name}.png", optimize=True)


def come_in(page, site, browser, size):
    """Have a page's browser have the session of one without pages."""
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": browser.cookies[name].value, "url": site.address}
    page.context.add_cookies([cookie])
    page.set_viewport_size(size)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")


def test_what_the_page_for_members_shows(page, url, complaints):
    lantern = paper_lantern(url.stripe, "paperlantern.example")
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(lantern.user)
    browser.post("/my/workspace", {"workspace": lantern.workspace_id})
    come_in(page, url, browser, MEMBERS)

    page.goto(f"{url.address}/my/")
    expect(page.get_by_text("Available in Paper Lantern")).to_be_visible()
    shown(page, "members-home", complaints)
    page.goto(f"{url.address}/my/credits")
    expect(page.get_by_role("button", name="Go to payment")).to_be_visible()
    shown(page, "members-credits", complaints)
    page.goto(f"{url.address}/my/keys/{lantern.key_id}")
    expect(page.get_by_role("button", name="Rotate the key")).to_be_visible()
    shown(page, "members-key", complaints)
    page.goto(f"{url.address}/my/refusals")
    expect(page.get_by_role("link", name="Change the key's limits")).to_be_visible()
    expect(page.get_by_text("It could have cost $0.2800; $0.1200 was left.")).to_be_visible()
    shown(page, "members-refused", complaints)
    page.goto(f"{url.address}/my/usage/{lantern.call_id}")
    expect(page.get_by_text("What happened to the money")).to_be_visible()
    shown(page, "members-receipt", complaints)


def test_what_the_page_for_support_shows(page, url, of_staff, complaints):
    lantern = paper_lantern(url.stripe, "lantern.example")
    sam = of_staff("support")
    User.objects.filter(pk=sam.user.pk).update(name="Sam", email="sam@credits.example")
    adjustments.request(
        lantern.workspace_id, amount=usd("0.28"), requested_by=sam.user.pk,
        reason="Half of the video was black.",
    )  # fmt: skip
    notes.write(lantern.workspace_id, "Renders at night; calls from 8 on.", by=sam.user.pk)
    come_in(page, url, sam.browser, SUPPORT)

    page.goto(f"{url.address}/staff/")
    page.get_by_label("Find").fill(str(lantern.workspace_id))
    page.keyboard.press("Enter")
    page.wait_for_url("**/staff/customers/*")
    expect(page.get_by_text(lantern.user.email).first).to_be_visible()
    shown(page, "support-customer", complaints)
    page.goto(f"{url.address}/staff/purchases/{lantern.top_up.pk}/refund")
    page.get_by_label("Amount").fill("20")
    page.get_by_label("Reason").fill("Bought twice by mistake.")
    expect(page.get_by_role("button", name="Refund", exact=True)).to_be_visible()
    shown(page, "support-refund", complaints)
    page.goto(f"{url.address}/staff/customers/{lantern.workspace_id}/as/{lantern.user.pk}")
    page.get_by_label("Reason").fill("They cannot find a charge.")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_text(f"You look as {lantern.user.email}")).to_be_visible()
    page.goto(f"{url.address}/my/refusals")
    expect(page.get_by_role("heading", name="Why was I refused?")).to_be_visible()
    shown(page, "support-looking", complaints)
