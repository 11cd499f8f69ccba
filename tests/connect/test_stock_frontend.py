"""The page of a real ComfyUI, unmodified, signs in here: only where one is named.

    python3 dev.py up --https --data D;  a ComfyUI with clients/comfyui-credits, pointed at it
    COMFYUI_ADDRESS=http://127.0.0.1:8188 COMFYUI_MEMBER=D/demo.json
    python3 dev.py test tests/connect

The member's address must be verified for the second test. Screenshots go to COMFYUI_SHOTS, if it is
set: those in docs/images are made so.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

COMFY = os.environ.get("COMFYUI_ADDRESS", "")
ONLY = pytest.mark.skipif(not COMFY, reason="needs COMFYUI_ADDRESS and COMFYUI_MEMBER")
pytestmark = [pytest.mark.browser, pytest.mark.system, ONLY]
LONG = 40_000
ENTER = re.compile("(sign|log) ?in", re.I)


@pytest.fixture(scope="module")
def member() -> dict[str, str]:
    return json.loads(Path(os.environ["COMFYUI_MEMBER"]).read_text())


@pytest.fixture(scope="module")
def platform() -> str:
    """Where the page of that ComfyUI is told to ask."""
    with urlopen(f"{COMFY}/features", timeout=10) as answer:
        features = json.load(answer)
    assert features["local_web_sso"] is True
    bases = {features[f"comfy_{each}_base_url"] for each in ("api", "cloud", "platform")}
    assert len(bases) == 1
    return bases.pop()


@pytest.fixture
def comfy(browser: Browser) -> Page:
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(LONG)
    page.goto(COMFY)
    page.wait_for_timeout(12_000)  # It loads in many steps, and shows templates at a first visit.
    page.keyboard.press("Escape")
    page.get_by_role("button", name=ENTER).first.click()
    yield page
    context.close()


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("COMFYUI_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def open_menu(page: Page) -> None:
    page.locator('button[aria-label*="user" i], .current-user-button').first.click()


def test_a_key_signs_in_and_the_page_shows_whose_it_is_and_sells_credits(
    comfy: Page, member: dict[str, str], platform: str
):
    comfy.get_by_role("button", name=re.compile("API Key", re.I)).first.click()
    comfy.locator('input[type=password], input[placeholder*="key" i]').first.fill(member["api_key"])
    with comfy.expect_response(lambda answer: "/customers/balance" in answer.url) as balance:
        comfy.get_by_role("button", name=re.compile("^(Save|Continue|Sign in)$", re.I)).last.click()
    shown = round(balance.value.json()["effective_balance_micros"] * 2.11)
    open_menu(comfy)

    expect(comfy.get_by_text(member["email"])).to_be_visible()
    expect(comfy.get_by_text(f"{shown:,}", exact=True)).to_be_visible()
    shot(comfy, "signed-in")

    comfy.get_by_role("button", name="Add credits").click()
    with comfy.context.expect_page() as opened:
        comfy.get_by_role(
            "button", name=re.compile("(Buy|Add credits|Continue)", re.I)
        ).last.click()
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith(("http://127.0.0.1", "https://checkout.stripe.com"))
    opened.value.close()

    comfy.reload()
    open_menu(comfy)
    comfy.get_by_text("Log Out").click()
    comfy.get_by_role("button", name=ENTER).first.wait_for()
    assert comfy.evaluate("localStorage.getItem('comfy_api_key')") is None


def test_signing_in_by_browser_comes_back_and_acts_for_the_member(
    comfy: Page, member: dict[str, str], platform: str
):
    comfy.get_by_role("button", name=re.compile("SSO", re.I)).first.click()
    comfy.wait_for_url(f"{platform}/**")
    comfy.get_by_label("Mail").fill(member["email"])
    comfy.get_by_label("Password", exact=True).fill(member["password"])
    comfy.get_by_role("button", name="Sign in", exact=True).click()
    allow = comfy.get_by_role("button", name="Let it in")
    allow.wait_for()
    shot(comfy, "consent")

    with comfy.expect_response(lambda answer: "/customers/balance" in answer.url) as balance:
        allow.click()

    assert balance.value.status == 200
    assert balance.value.request.headers["authorization"].startswith("Bearer ")
    assert comfy.url.startswith(COMFY)
    open_menu(comfy)
    expect(comfy.get_by_text(member["email"])).to_be_visible()
