"""docs/connect.md with a real ComfyUI: from nothing to a paid node, in each of its ways.

    COMFYUI_FOLDER=/opt/ComfyUI COMFYUI_PYTHON=/opt/ComfyUI/venv/bin/python \
        python3 dev.py test tests/connect/test_real_comfy.py

Without these it is not collected. As root, on Linux (real_comfy.py says why). ComfyUI's Python has
frontend 1.58.1. Screenshots are left in .boot/connect, or in COMFYUI_SHOTS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import PASSWORD, by_https, member_of
from playwright.sync_api import Browser, Page, Playwright, expect
from real_comfy import Installed, Ways, proved
from test_stock_frontend import ENTER, PAID, shot

pytestmark = [pytest.mark.browser, pytest.mark.system]
NAME = "credits.test"
PRICE = 60_000
LONG = 180_000


@dataclass
class Platform:
    base: str
    stack: Any
    member: dict[str, str]

    def calls(self) -> list[str]:
        """What became of each call, the oldest first."""
        return [call["outcome"] for call in self.stack.calls(self.member)]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, Ways]]:
    folder = Path(os.environ["COMFYUI_FOLDER"]).resolve()
    python = Path(os.environ.get("COMFYUI_PYTHON") or folder / "venv/bin/python").absolute()
    made = tmp_path_factory.mktemp("real")
    with by_https(made, NAME) as (stack, base, certificate, _):
        ways = Ways(Installed(folder, python), made, NAME, certificate.authority)
        yield Platform(base, stack, member_of(stack)), ways


@pytest.fixture(scope="module")
def platform(begun: tuple[Platform, Ways]) -> Platform:
    return begun[0]


@pytest.fixture(scope="module")
def ways(begun: tuple[Platform, Ways]) -> Ways:
    return begun[1]


@pytest.fixture(scope="module")
def browser(playwright: Playwright, browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    """A browser on this machine, which knows the platform's name and goes nowhere else."""
    rules = f"MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 10.213.*"
    words = ["--no-proxy-server", f"--host-resolver-rules={rules}"]
    browser = playwright.chromium.launch(**{**browser_type_launch_args, "args": words})
    yield browser
    browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(LONG)
    yield page
    context.close()


def sign_in(page: Page, platform: Platform, then: str) -> None:
    page.goto(f"{platform.base}{then}")
    fill(page, platform)
    page.wait_for_url(f"**{then}")


def fill(page: Page, platform: Platform) -> None:
    page.get_by_label("Mail").fill(platform.member["email"])
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def usage(page: Page, platform: Platform, name: str) -> None:
    """See that a call which was just made is told to who pays for it."""
    page.context.clear_cookies()
    sign_in(page, platform, "/my/usage")
    expect(page.get_by_text(re.compile("flux", re.I)).first).to_be_visible()
    shot(page, name)


def key_made(page: Page, platform: Platform) -> str:
    """Make a key as a newcomer does; return it, as the page shows it for the only time."""
    sign_in(page, platform, "/my/keys")
    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Name", exact=True).fill("render farm")
    page.get_by_role("button", name="Create the key").click()
    shown = page.locator("[data-key]")
    expect(shown).to_be_visible()
    shot(page, "key")
    return shown.inner_text()


def test_a_script_sends_a_key_with_its_prompt(platform: Platform, ways: Ways, tab: Page):
    before = platform.calls()
    key = key_made(tab, platform)

    with ways.plain("--comfy-api-base", platform.base, has_node=False) as address:
        assert "a picture came" in proved(address, key)

    assert platform.calls() == [*before, "delivered"]
    usage(tab, platform, "headless")


def test_on_ones_own_machine_one_signs_in_and_runs_a_paid_node(
    platform: Platform, ways: Ways, tab: Page
):
    before = platform.calls()
    with ways.plain(has_node=True, COMFYUI_CREDITS_URL=platform.base) as address:
        tab.goto(address)
        tab.get_by_role("button", name=ENTER).first.wait_for()
        tab.wait_for_function("window.app?.graph?.nodes?.length !== undefined")
        tab.keyboard.press("Escape")
        tab.get_by_role("button", name=ENTER).first.click()
        tab.get_by_role("button", name=re.compile("SSO", re.I)).first.click()
        tab.wait_for_url(f"{platform.base}/**")
        fill(tab, platform)
        with tab.expect_response(lambda answer: "/customers/balance" in answer.url):
            tab.get_by_role("button", name="Let it in").click()
        tab.wait_for_function("window.app?.graph?.nodes?.length !== undefined")
        tab.keyboard.press("Escape")
        tab.evaluate("graph => app.loadApiJson(graph, 'paid')", PAID)
        tab.get_by_role("button", name="Run", exact=True).click()
        tab.wait_for_function(
            "address => fetch(`${address}/history`).then(got => got.json())"
            ".then(all => Object.values(all).some(one => one.status.completed))",
            arg=address,
        )
        tab.wait_for_timeout(2000)  # For the picture alone: the page draws what came.
        shot(tab, "paid-node")

    assert platform.calls() == [*before, "delivered"]


def test_a_machine_in_the_network_is_paired_and_spends_no_more_than_was_allowed(
    platform: Platform, ways: Ways, tab: Page, browser: Browser
):
    before = platform.calls()
    with ways.in_the_network(COMFYUI_CREDITS_URL=platform.base) as address:
        tab.goto(f"{address}/comfyui-credits")
        tab.get_by_role("button", name="Show a code").click()
        expect(tab.locator("[data-code]")).to_have_text(re.compile(r"^\w{4}-\w{4}$"))
        code = tab.locator("[data-code]").inner_text()
        shot(tab, "lan-code")
        member = browser.new_context(ignore_https_errors=True).new_page()
        sign_in(member, platform, "/account/pair/")
        member.get_by_label("Code").fill(code)
        member.get_by_role("button", name="Find the machine").click()
        if member.get_by_role("heading", name="Is it you?").is_visible():
            member.get_by_label("Password", exact=True).fill(PASSWORD)
            member.get_by_role("button", name="Continue").click()
        words = tab.locator('[data-phase="found"] [data-words]')
        expect(words).to_be_visible()
        expect(member.locator("[data-words]")).to_have_text(words.inner_text())
        shot(member, "lan-approve")
        member.get_by_role("button", name="Yes, pair it").click()
        expect(member.get_by_role("heading", name="Paired")).to_be_visible()
        tab.get_by_role("button", name="Yes, use it").click()
        expect(tab.get_by_text("This machine has its key")).to_be_visible()
        shot(tab, "lan-paired")
        member.context.close()

        assert "a picture came" in proved(address)

    assert platform.calls() == [*before, "delivered"]
    (key,) = platform.stack.rows(
        "SELECT call_limit_micros, expires_at IS NOT NULL AS ends FROM apikeys_apikey"
        " WHERE description LIKE 'Paired:%%'"
    )
    assert key["ends"]
    assert key["call_limit_micros"] > PRICE


def test_in_a_container_by_two_variables(platform: Platform, ways: Ways, tab: Page):
    before = platform.calls()
    told = {
        "COMFYUI_CREDITS_URL": platform.base,
        "COMFYUI_CREDITS_KEY": platform.member["api_key"],
    }

    with ways.in_a_container(**told) as address:
        assert "a picture came" in proved(address)

    assert platform.calls() == [*before, "delivered"]
    usage(tab, platform, "container")
