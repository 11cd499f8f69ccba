"""The page of an invitation: its address alone makes an account by it, and joins."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone
from test_accounts import PASSWORD

from accounts import invitations, teams
from accounts.models import Invitation, Membership, User
from outbox.models import Mail

HTML = {"HTTP_ACCEPT": "text/html"}


@pytest.fixture
def team(alice):
    return teams.create(owner=alice.user, name="Studio")


@pytest.fixture
def link(team, alice, ines):
    """Of an invitation of Ines to Alice's team."""
    made = invitations.invite(
        team.pk, email=ines.email, role="member", by=alice.user, base_url="http://us.example"
    )
    (mail,) = Mail.objects.filter(key=f"invitation:{made.pk}")
    return re.search(r"us\.example(/invitations/\S+)", mail.text)[1]


def belong(team):
    emails = Membership.objects.filter(workspace=team).values_list("user__email", flat=True)
    return set(emails)


def test_where_one_must_be_invited_the_link_lets_its_address_in_and_no_other(
    ines, visit, link, team, alice, settings
):
    settings.SIGN_UP = "invitation"
    assert "Make an account" in ines.browser.get(link, **HTML).content.decode()
    mallory = visit()
    mallory.browser.get(link, **HTML)
    mallory.sign_up()
    assert not User.objects.filter(email=mallory.email).exists()

    ines.come_in()
    assert "Join the team" in ines.browser.get(link, **HTML).content.decode()
    answer = ines.browser.post(link)

    assert answer.status_code == 302
    assert belong(team) == {alice.user.email, ines.email}
    assert ines.browser.session["workspace"] == str(team.pk)


def test_who_makes_an_account_by_it_finds_the_address_filled_in(ines, link):
    """With another they would join nothing, and learn that only at the end."""
    page = ines.browser.get(link, **HTML).content.decode()
    path = unescape(re.search(r'href="(/account/signup/[^"]*)"', page)[1])

    form = ines.browser.get(path).content.decode()

    assert f'value="{ines.email}"' in form
    assert link in unescape(form), "and is led back"


def test_where_some_domains_are_welcome_an_invited_address_is_too(ines, link, settings):
    settings.SIGN_UP, settings.SIGN_UP_DOMAINS = "domains", ["school.example"]

    ines.sign_up()
    assert not User.objects.filter(email=ines.email).exists()
    ines.browser.get(link, **HTML)
    ines.sign_up()

    assert User.objects.filter(email=ines.email).exists()


def test_who_is_not_signed_in_is_led_there_and_back(ines, link, team):
    ines.come_in()
    ines.browser.logout()

    answer = ines.browser.post(link)

    assert answer["Location"].startswith("/account/login/?next=%2Finvitations%2F")
    assert ines.email not in belong(team)
    back = ines.browser.post(answer["Location"], {"login": ines.email, "password": PASSWORD})
    assert back["Location"] == link


def test_another_who_has_the_link_joins_nothing(ines, visit, link, team):
    mallory = visit()
    mallory.come_in()

    assert "Join the team" not in mallory.browser.get(link, **HTML).content.decode()
    answer = mallory.browser.post(link, **HTML)

    assert (answer.status_code, mallory.email in belong(team)) == (403, False)
    assert "another address" in answer.content.decode()


@pytest.mark.parametrize("how", ["unknown", "expired", "withdrawn"])
def test_what_is_not_open_is_a_404_and_lets_nobody_in(ines, link, settings, how):
    settings.SIGN_UP = "invitation"
    long_ago = timezone.now() - timedelta(days=9)
    match how:
        case "unknown":
            link += "x"
        case "expired":
            Invitation.objects.update(created_at=long_ago, expires_at=long_ago + timedelta(days=7))
        case "withdrawn":
            Invitation.objects.filter(accepted_at=None).update(withdrawn_at=timezone.now())

    answer = ines.browser.get(link, **HTML)

    assert answer.status_code == 404
    assert "not open any more" in answer.content.decode()
    ines.sign_up()
    assert not User.objects.filter(email=ines.email).exists()
