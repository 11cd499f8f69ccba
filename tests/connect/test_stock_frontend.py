"""The page of ComfyUI, unmodified (frontend 1.58.1), signs in here: by key, and by browser.

What serves it is a stand-in for ComfyUI (stock_comfy.py) or, where one is named, a real one:

    python3 dev.py up --https --data D;  a ComfyUI with clients/comfyui-credits, pointed at it
    COMFYUI_ADDRESS=http://127.0.0.1:8188 COMFYUI_MEMBER=D/demo.json
    python3 dev.py test tests/connect

There the member's address must be verified for the second test. Screenshots are left in
.boot/connect, or in COMFYUI_SHOTS: those in docs/images are made so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.system]
ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("COMFYUI_SHOTS") or ROOT / ".boot" / "connect")
LONG = 40_000
ENTER = re.compile("(sign|log) ?in$", re.I)
PAID = {
    "1": {
        "class_type": "FluxProUltraImageNode",
        "inputs": {"prompt": "a lighthouse, evening light", "seed": 7, "aspect_ratio": "16:9"},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "paid"}},
}


@pytest.fixture
def comfy(connected: Any, browser: Browser) -> Iterator[Page]:
    """The page, as somebody sees it who is not signed in, with a paid node in the graph."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(LONG)
    page.goto(connected.comfy)
    page.get_by_role("button", name=ENTER).first.wait_for()
    page.wait_for_function("window.app?.graph?.nodes?.length")  # Its own first graph is there.
    page.keyboard.press("Escape")
    page.evaluate("graph => app.loadApiJson(graph, 'paid')", PAID)
    expect(page.get_by_role("button", name="Sign in to run")).to_be_visible()
    yield page
    context.close()
    assert connected.surprises == [], "the stand-in answers all that the page asks"


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"))


def open_menu(page: Page) -> None:
    page.locator('button[aria-label*="user" i], .current-user-button').first.click()


def sign_in_by_key(page: Page, key: str) -> int:
    """Sign in with a key; return the credits that the page must show then."""
    page.get_by_role("button", name=ENTER).first.click()
    page.get_by_role("button", name=re.compile("API Key", re.I)).first.click()
    page.locator('input[type=password], input[placeholder*="key" i]').first.fill(key)
    with page.expect_response(lambda answer: "/customers/balance" in answer.url) as balance:
        page.get_by_role("button", name=re.compile("^(Save|Continue|Sign in)$", re.I)).last.click()
    return round(balance.value.json()["effective_balance_micros"] * 2.11)


def run(page: Page, connected: Any) -> dict[str, Any]:
    """Press Run; return what ComfyUI was sent beside the workflow."""
    with page.expect_request(lambda request: request.url.endswith("/api/prompt")) as sent:
        page.get_by_role("button", name="Run", exact=True).click()
    return sent.value.post_data_json["extra_data"]


def test_a_key_signs_in_and_the_page_shows_whose_it_is_and_sells_credits(
    comfy: Page, connected: Any
):
    member = connected.member
    shown = sign_in_by_key(comfy, member["api_key"])
    open_menu(comfy)

    expect(comfy.get_by_text(member["email"].partition("@")[0], exact=True)).to_be_visible()
    expect(comfy.get_by_text(member["email"])).to_be_visible()
    expect(comfy.get_by_text(f"{shown:,}", exact=True)).to_be_visible()
    shot(comfy, "signed-in")

    comfy.get_by_role("button", name="Add credits").click()
    with comfy.context.expect_page() as opened:
        comfy.get_by_role(
            "button", name=re.compile("(Buy|Add credits|Continue)", re.I)
        ).last.click()
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith(connected.checkouts)
    opened.value.close()


def test_with_a_key_the_page_runs_lists_what_was_called_and_forgets_the_key(
    comfy: Page, connected: Any
):
    shown = sign_in_by_key(comfy, connected.member["api_key"])
    expect(comfy.get_by_role("button", name="Run", exact=True)).to_be_visible()

    assert run(comfy, connected)["api_key_comfy_org"] == connected.member["api_key"]

    comfy.get_by_role("button", name=re.compile("^Settings")).first.click()
    settings = comfy.get_by_role("dialog")
    settings.get_by_text("Plan & Credits", exact=True).click()
    expect(settings.get_by_text(f"{shown:,}", exact=True).first).to_be_visible()
    shot(comfy, "credits")
    settings.get_by_text("Activity", exact=True).click()
    expect(settings.get_by_text("API Usage").first).to_be_visible()
    expect(settings.get_by_text("Credits Added").first).to_be_visible()
    shot(comfy, "activity")

    comfy.reload()
    open_menu(comfy)
    comfy.get_by_text("Log Out").click()
    comfy.get_by_role("button", name=ENTER).first.wait_for()
    assert comfy.evaluate("localStorage.getItem('comfy_api_key')") is None


def test_signing_in_by_browser_comes_back_and_acts_for_the_member(comfy: Page, connected: Any):
    member = connected.member
    comfy.get_by_role("button", name=ENTER).first.click()
    comfy.get_by_role("button", name=re.compile("SSO", re.I)).first.click()
    comfy.wait_for_url(f"{connected.platform}/**")
    comfy.get_by_label("Mail").fill(member["email"])
    comfy.get_by_label("Password", exact=True).fill(member["password"])
    comfy.get_by_role("button", name="Sign in", exact=True).click()
    allow = comfy.get_by_role("button", name="Let it in")
    allow.wait_for()
    shot(comfy, "consent")

    with comfy.expect_response(lambda answer: "/customers/balance" in answer.url) as balance:
        allow.click()

    assert balance.value.status == 200
    token = balance.value.request.headers["authorization"]
    assert token.startswith("Bearer ")
    assert comfy.url.startswith(connected.comfy)
    comfy.wait_for_function("window.app?.graph?.nodes?.length")
    comfy.evaluate("graph => app.loadApiJson(graph, 'paid')", PAID)
    assert run(comfy, connected)["auth_token_comfy_org"].count(".") == 2
    open_menu(comfy)
    expect(comfy.get_by_text(member["email"])).to_be_visible()
