"""A team by invitation with a real browser: invited on the page, by mail, joined, acted for."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from people_at_pages import Place, fill_sign_in, fill_sign_up, place_of, sign_up
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def open_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Who is not invited makes no account here, but for Alice's domain."""
    settings = {"SIGN_UP": "domains", "SIGN_UP_DOMAINS": "studio.example.org"}
    with place_of(tmp_path_factory.mktemp("place"), **settings) as made:
        yield made


@pytest.fixture
def place(open_place: Place) -> Place:
    open_place.forget_tries()
    return open_place


@pytest.fixture
def owner(place: Place, page: Page) -> Page:
    """Alice, at the page of her new team, whose wallet has 25 dollars."""
    email = f"{uuid.uuid4().hex[:12]}@studio.example.org"
    sign_up(place, page, email)
    page.goto(f"{place.url}/my/team/new")
    page.get_by_label("Name").fill("Kite studio")
    page.get_by_role("button", name="Make the team").click()
    expect(page.get_by_role("heading", name="Kite studio")).to_be_visible()
    (team,) = place.stack.rows(
        "SELECT w.id::text FROM accounts_workspace w JOIN accounts_membership m"
        " ON m.workspace_id = w.id JOIN accounts_user u ON u.id = m.user_id"
        " WHERE u.email = %s AND w.kind = 'team'",
        email,
    )
    give(place, team["id"])
    return page


def give(place: Place, workspace: str) -> None:
    """Put 25 dollars into a workspace's wallet."""
    script = (
        "from accounts.models import Workspace\n"
        "from common.money import usd\n"
        "from credits.gifts import grants\n"
        f"wallet = Workspace.objects.get(pk='{workspace}').wallet\n"
        f"grants.grant(wallet=wallet, amount=usd('25'), key='{workspace}', reason='test')\n"
    )
    place.stack.manage("shell", "-v0", "-c", script)


def invited(place: Place, owner: Page, email: str, role: str) -> str:
    """Have the owner invite an address; return the link in the mail to it."""
    owner.goto(f"{place.url}/my/team")
    owner.get_by_label("Mail").fill(email)
    owner.get_by_label("Role").select_option(role)
    owner.get_by_role("button", name="Send the invitation").click()
    expect(owner.get_by_text(f"{email} is invited, by mail")).to_be_visible()
    found = re.search(r"\S+/invitations/\S+", place.mail(email))
    assert found
    return found[0]


def sees_the_team(place: Place, page: Page, *, role: str) -> None:
    """Whoever has joined acts for the team: its wallet, and their own role in it."""
    expect(page.get_by_text("You belong to Kite studio now")).to_be_visible()
    expect(page.get_by_role("heading", name="Kite studio")).to_be_visible()
    mine = page.get_by_role("row").filter(has_text="(you)")
    expect(mine.get_by_role("cell", name=role, exact=True)).to_be_visible()
    page.goto(f"{place.url}/my/")
    wallet = page.get_by_role("region", name="Available in Kite studio")
    expect(wallet).to_contain_text("25.00")


def test_who_is_new_signs_up_by_the_invitation_and_is_a_member(
    place: Place, owner: Page, browser: Browser
):
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    link = invited(place, owner, email, "member")
    page = browser.new_context().new_page()

    page.goto(link)
    expect(page.get_by_role("heading", name="Join Kite studio")).to_be_visible()
    page.get_by_role("link", name="Make an account").click()
    fill_sign_up(place, page, email)
    expect(page.get_by_role("heading", name="Join Kite studio")).to_be_visible()
    page.get_by_role("button", name="Join the team").click()

    sees_the_team(place, page, role="Member")
    page.goto(f"{place.url}/my/team")
    expect(page.get_by_role("button", name="Send the invitation")).not_to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)  # The head, and oneself.
    owner.goto(f"{place.url}/my/team")
    expect(owner.get_by_role("row").filter(has_text=email)).to_be_visible()
    expect(owner.get_by_text("None is open")).to_be_visible()
    page.context.close()


def test_who_has_an_account_signs_in_by_the_invitation_and_pays(
    place: Place, owner: Page, browser: Browser
):
    email = f"{uuid.uuid4().hex[:12]}@studio.example.org"
    before = browser.new_context().new_page()
    sign_up(place, before, email)
    before.context.close()
    link = invited(place, owner, email, "billing")
    page = browser.new_context().new_page()

    page.goto(link)
    page.get_by_role("link", name="Sign in").click()
    fill_sign_in(page, email)
    page.get_by_role("button", name="Join the team").click()

    sees_the_team(place, page, role="Billing")
    page.goto(link)
    expect(page.get_by_role("heading", name="This invitation is not for you now")).to_be_visible()
    page.context.close()


def test_who_is_another_does_not_join_and_who_is_removed_is_out_at_once(
    place: Place, owner: Page, browser: Browser
):
    email, other = (f"{uuid.uuid4().hex[:12]}@studio.example.org" for _ in range(2))
    link = invited(place, owner, email, "member")
    page = browser.new_context().new_page()
    sign_up(place, page, other)
    page.goto(link)
    expect(page.get_by_text("the invitation is for another address")).to_be_visible()
    expect(page.get_by_role("button", name="Join the team")).not_to_be_visible()
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto(link)
    page.get_by_role("link", name="Make an account").click()
    fill_sign_up(place, page, email)
    page.get_by_role("button", name="Join the team").click()
    sees_the_team(place, page, role="Member")

    owner.goto(f"{place.url}/my/team")
    owner.get_by_role("link", name=email.partition("@")[0]).click()
    owner.get_by_role("link", name="Remove").click()
    owner.get_by_role("button", name="Remove").click()
    expect(owner.get_by_text("is not in the team any more")).to_be_visible()

    page.goto(f"{place.url}/my/")
    expect(page.locator(".balance .also").first).to_have_text("0 credits")
    expect(page.get_by_text("Kite studio")).to_have_count(0)
    page.goto(link)
    expect(page.get_by_role("heading", name="This invitation is not for you now")).to_be_visible()
    page.context.close()
