"""People who come by Google or GitHub, through allauth, from sites that insist on their rules."""

from __future__ import annotations

import time
import uuid
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from django.core.cache import cache
from django.test import Client
from social_site import CLIENT, SECRET, site

from accounts.models import User

SITES = ["google", "github"]


@pytest.fixture
def away(db, settings, monkeypatch):
    """Both sites, where allauth looks for them, and a member-to-be who is signed in there."""
    app = {"client_id": CLIENT, "secret": SECRET, "key": ""}
    settings.SOCIALACCOUNT_PROVIDERS = {
        name: {"APPS": [app], "OAUTH_PKCE_ENABLED": True} for name in SITES
    }
    with site() as made:
        made.email = f"{uuid.uuid4().hex}@example.org"
        for adapter in (GoogleOAuth2Adapter, GitHubOAuth2Adapter):
            monkeypatch.setattr(adapter, "authorize_url", f"{made.url}/authorize")
            monkeypatch.setattr(adapter, "access_token_url", f"{made.url}/token")
        monkeypatch.setattr(GitHubOAuth2Adapter, "profile_url", f"{made.url}/user")
        monkeypatch.setattr(GitHubOAuth2Adapter, "emails_url", f"{made.url}/user/emails")
        yield made


@pytest.fixture
def browser():
    return Client(SERVER_NAME="localhost")


def go(browser, name, away):
    """Press the button; return the way back with which the site sends the browser home."""
    sent = browser.post(f"/account/{name}/login/")
    assert sent.status_code == 302, sent.content
    assert sent["Location"].startswith(f"{away.url}/authorize?")
    back = urlsplit(away.authorize(sent["Location"]))
    assert (back.scheme, back.netloc) == ("http", "localhost")
    return f"{back.path}?{back.query}"


def come(browser, name, away):
    return browser.get(go(browser, name, away))


def is_in(browser):
    return "_auth_user_id" in browser.session


@pytest.mark.parametrize("name", SITES)
def test_somebody_new_is_a_member_with_a_wallet_and_comes_back_as_the_same(
    away, browser, settings, name
):
    settings.WELCOME_GRANT_MICROS = 1_000_000
    came = come(browser, name, away)

    user = User.objects.get(email=away.email)
    assert came.status_code == 302
    assert is_in(browser)
    assert user.personal_workspace.wallet.balance_micros == 1_000_000
    assert EmailAddress.objects.get(user=user).verified
    assert not user.has_usable_password()
    assert not SocialToken.objects.filter(account__user=user).exists(), "we need nothing of theirs"

    again = Client(SERVER_NAME="localhost")
    come(again, name, away)
    assert again.session["_auth_user_id"] == f"{user.pk}"
    assert User.objects.filter(email=away.email).count() == 1
    assert away.refused == []


@pytest.mark.parametrize("name", SITES)
def test_a_mailbox_that_has_an_account_is_not_entered_from_there(away, browser, ines, name):
    """Whoever has the mailbox there would have the wallet here: its owner links the two."""
    ines.come_in()
    cache.clear()  # The code was sent a while ago.
    away.email = ines.email

    came = come(browser, name, away)

    assert (came.status_code, came["Location"]) == (302, "/account/confirm-email/")
    assert not is_in(browser)
    assert "already" in ines.mails()[0].text
    assert User.objects.filter(email=ines.email).count() == 1
    assert not SocialAccount.objects.filter(user=ines.user).exists()


@pytest.mark.parametrize("name", SITES)
def test_an_address_that_is_not_verified_there_is_to_be_verified_here(away, browser, name):
    away.is_verified = False

    come(browser, name, away)

    assert not is_in(browser)
    assert not EmailAddress.objects.filter(email=away.email, verified=True).exists()


@pytest.mark.parametrize("name", SITES)
def test_whose_state_is_not_that_of_the_browser_stays_out(away, browser, name):
    back = go(browser, name, away)
    other = Client(SERVER_NAME="localhost")

    for client, path in ((other, back), (browser, back.replace("state=", "state=x"))):
        client.get(path)
        assert not is_in(client)
    assert not User.objects.filter(email=away.email).exists()
    assert away.codes, "nobody asked for what the code is worth"


@pytest.mark.parametrize("name", SITES)
def test_a_code_is_worth_something_once(away, browser, name):
    back = go(browser, name, away)
    browser.get(back)
    browser.post("/account/logout/")

    browser.get(back)

    assert not is_in(browser)


@pytest.mark.parametrize("name", SITES)
def test_from_a_foreign_origin_nobody_comes_back(away, browser, name):
    back = go(browser, name, away)

    refused = browser.get(back, headers={"Host": "evil.example"})

    assert refused.status_code == 403
    assert away.codes, "the code was not used"
    assert not User.objects.filter(email=away.email).exists()


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody-elses-client"},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 7200},
    ],
)
def test_a_token_that_is_not_for_us_or_no_longer_good_is_no_sign_in(away, browser, claims):
    away.claims = claims

    came = come(browser, "google", away)

    assert came.status_code < 500
    assert not is_in(browser)
    assert not User.objects.filter(email=away.email).exists()


def test_where_sign_up_is_closed_nobody_new_comes_in_by_another_site(away, browser, settings):
    settings.SIGN_UP = "invitation"

    for name in SITES:
        come(browser, name, away)
        assert not is_in(browser)
    assert not User.objects.filter(email=away.email).exists()


@pytest.mark.parametrize("name", SITES)
def test_where_some_domains_are_welcome_another_sites_people_are_asked_for_theirs_too(
    away, browser, settings, name
):
    settings.SIGN_UP, settings.SIGN_UP_DOMAINS = "domains", ["school.example"]

    came = come(browser, name, away)

    assert came["Location"] == "/account/3rdparty/signup/"
    assert browser.get(came["Location"]).status_code == 200
    refused = browser.post(came["Location"], {"email": away.email})
    assert "school.example" in refused.content.decode()
    assert not is_in(browser)
    assert not User.objects.filter(email=away.email).exists()
    away.email = f"{uuid.uuid4().hex}@school.example"
    come(Client(SERVER_NAME="localhost"), name, away)
    assert User.objects.filter(email=away.email).exists()


def test_who_tells_that_site_no_address_is_asked_for_one_and_verifies_it(away, browser, visit):
    away.email = ""
    ines = visit()
    ines.browser = browser

    came = come(browser, "github", away)
    assert came["Location"] == "/account/3rdparty/signup/"
    browser.get(came["Location"])
    browser.post(came["Location"], {"email": ines.email})
    assert not is_in(browser), "anybody can write any address"
    ines.post("confirm-email/", code=ines.code())

    assert is_in(browser)
    assert SocialAccount.objects.filter(user=ines.user, provider="github").exists()
    assert ines.user.personal_workspace is not None
