"""People at our pages with a real browser: sign-up, app, passkey, reset, sessions, both themes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import hotp_value
from people_at_pages import PASSWORD, Place, lands, place_of, sign_in, sign_out, sign_up
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser
SCREENS = {"phone": ({"width": 390, "height": 844}, "light"), "desk": (None, "dark")}
AUTHENTICATOR = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def open_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of(tmp_path_factory.mktemp("place"), WELCOME_GRANT_USD="1") as made:
        yield made


@pytest.fixture
def place(open_place: Place) -> Place:
    open_place.forget_tries()
    return open_place


@pytest.fixture
def email() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.org"


def prove(page: Page) -> None:
    """Show once more who one is, where that is asked."""
    if page.get_by_role("heading", name="Is it you?").is_visible():
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Continue").click()


def authenticator(page: Page) -> tuple[Any, str]:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    return session, made["authenticatorId"]


def nothing_lies_beside(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("screen", SCREENS)
def test_who_signs_up_has_the_welcome_credits(place: Place, page: Page, email: str, screen: str):
    size, scheme = SCREENS[screen]
    if size:
        page.set_viewport_size(size)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{place.url}/account/signup/")
    expect(page.get_by_text("With $1.00 of credits")).to_be_visible()
    nothing_lies_beside(page)

    sign_up(place, page, email)

    nothing_lies_beside(page)
    expect(page.get_by_text("Account made")).to_be_visible()
    (row,) = place.stack.rows(
        "SELECT balance_micros FROM credits_account a JOIN accounts_workspace w ON w.id = a.id"
        " JOIN accounts_user u ON u.id = w.personal_of_id WHERE u.email = %s",
        email,
    )
    assert row["balance_micros"] == 1_000_000
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == ("rgb(19, 23, 29)" if scheme == "light" else "rgb(238, 241, 244)")


def test_an_app_is_asked_for_after_the_password(place: Place, page: Page, email: str):
    sign_up(place, page, email)
    page.get_by_role("link", name="Set up").click()
    prove(page)
    expect(page.get_by_role("img", name="The same as the key below")).to_be_visible()
    secret = page.locator(".copy code").inner_text()
    page.get_by_label("Code").fill(f"{hotp_value(secret, int(time.time()) // 30):06}")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_role("heading", name="Spare codes")).to_be_visible()
    spare = page.locator("pre").inner_text().split()[0]

    sign_out(place, page)
    sign_in(place, page, email)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("not the code that the app shows")).to_be_visible()
    page.get_by_label("Code").fill(spare)
    page.get_by_role("button", name="Continue").click()

    lands(place, page)
    expect(page.get_by_text("9 of 10 spare codes left")).to_be_visible()


def test_a_passkey_alone_signs_up_and_in(
    place: Place, page: Page, email: str, complaints: list[str]
):
    device, name = authenticator(page)
    page.goto(f"{place.url}/account/signup/")
    page.get_by_role("link", name="With a passkey").click()
    page.get_by_label("Mail").fill(email)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Code").fill(place.code(email))
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Make the passkey").click()
    lands(place, page)
    expect(page.get_by_text("None: you sign in without one")).to_be_visible()
    assert (
        len(device.send("WebAuthn.getCredentials", {"authenticatorId": name})["credentials"]) == 1
    )

    sign_out(place, page)
    page.get_by_role("button", name="Use a passkey").click()
    lands(place, page)

    sign_out(place, page)
    device.send("WebAuthn.setUserVerified", {"authenticatorId": name, "isUserVerified": False})
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("The passkey was not used").first).to_be_visible()
    page.goto(f"{place.url}/account/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_passkey_is_added_renamed_and_removed(place: Place, page: Page, email: str):
    authenticator(page)
    sign_up(place, page, email)
    page.get_by_role("link", name="Add a passkey").click()
    prove(page)
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Spare codes")).to_be_visible()
    page.goto(f"{place.url}/account/")
    expect(page.get_by_text("Passkey, laptop")).to_be_visible()

    page.get_by_role("link", name="Rename").click()
    page.get_by_label("Name").fill("tower")
    page.get_by_role("button", name="Rename the passkey").click()
    expect(page.get_by_text("Passkey, tower")).to_be_visible()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove the passkey").click()

    expect(page.get_by_role("heading", name="Security")).to_be_visible()
    expect(page.get_by_text("Passkey, tower")).not_to_be_visible()
    expect(page.get_by_text("Passkey removed").first).to_be_visible()


def test_a_forgotten_password_is_reset_and_ends_other_sessions(
    place: Place, page: Page, email: str, browser: Browser
):
    sign_up(place, page, email)
    other = browser.new_context().new_page()
    other.goto(f"{place.url}/account/login/")
    other.get_by_role("link", name="Forgotten?").click()
    other.get_by_label("Mail").fill(email)
    other.get_by_role("button", name="Send the code").click()
    other.get_by_label("Code").fill(place.code(email))
    other.get_by_role("button", name="Confirm").click()
    for label in ("New password", "New password, again"):
        other.get_by_label(label, exact=True).fill("five other plain words here")
    other.get_by_role("button", name="Set the password").click()
    expect(other.get_by_role("heading", name="The password is set")).to_be_visible()
    sign_in(place, other, email, "five other plain words here")
    lands(place, other)
    other.context.close()

    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_another_browser_is_signed_out_from_here(
    place: Place, page: Page, email: str, browser: Browser
):
    sign_up(place, page, email)
    other = browser.new_context(
        user_agent="Mozilla/5.0 (Android 15; Mobile; rv:140.0) Firefox/140.0"
    ).new_page()
    sign_in(place, other, email)
    lands(place, other)

    page.reload()
    page.get_by_role("listitem").filter(has_text="Firefox on Android").get_by_role(
        "button", name="Sign out"
    ).click()
    expect(page.get_by_text("That browser is signed out")).to_be_visible()

    other.reload()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    other.context.close()


def test_all_but_passkeys_works_without_script(
    place: Place, page: Page, email: str, browser: Browser
):
    plain = browser.new_context(java_script_enabled=False).new_page()

    sign_up(place, plain, email)
    sign_out(place, plain)
    sign_in(place, plain, email)

    lands(place, plain)
    plain.context.close()
