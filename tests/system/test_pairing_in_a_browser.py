"""A machine is paired, from its code to its first call: by the node's own code and a browser."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from system_stack import IMAGE, Stack

pytestmark = pytest.mark.browser
PASSWORD = "four plain words of mine"
FOLDER = Path(__file__).resolve().parents[2] / "clients" / "comfyui-credits"
SCREENS = [
    (width, scheme)
    for width in ({"width": 390, "height": 844}, {"width": 1440, "height": 900})
    for scheme in ("light", "dark")
]
A_DAY = "0.02"
"""Two of the sandbox's pictures."""


@pytest.fixture(scope="module")
def open_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("pairing"))
    try:
        stack.start()
        stack.environment |= {"WELCOME_GRANT_USD": "5"}
        stack.start_web()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The custom node, loaded by its path as ComfyUI does, with a place of its own for its key."""
    monkeypatch.setenv("COMFYUI_CREDITS_KEY_FILE", str(tmp_path / "user" / "key.json"))
    for name in ("COMFYUI_CREDITS_URL", "COMFYUI_CREDITS_KEY"):
        monkeypatch.delenv(name, raising=False)
    name = "comfyui_credits_paired"
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    for part in ("box", "place", "pairing"):
        importlib.import_module(f"{name}.{part}")
    monkeypatch.setattr(module.pairing, "EVERY_SECONDS", 0.2)
    return module


def sign_up(stack: Stack, page: Page, url: str) -> str:
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    page.goto(f"{url}/account/signup/")
    page.get_by_label("Mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    (row,) = stack.rows('SELECT text FROM outbox_mail WHERE "to" = %s', email)
    code = re.search(r"^\s*([A-Z]{4}-[A-Z]{4})\s*$", row["text"], re.MULTILINE)
    assert code
    page.get_by_label("Code").fill(code[1])
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    return email


def until(machine: Any, phase: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while machine.shown()["phase"] != phase:
        assert time.monotonic() < end, machine.shown()
        time.sleep(0.05)
    shown: dict[str, Any] = machine.shown()
    return shown


def look(page: Page, name: str) -> None:
    """See the page in both sizes and themes: nothing lies beside it; keep pictures if asked."""
    folder = os.environ.get("SCREENSHOTS")
    for size, scheme in SCREENS:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        if folder:
            path = Path(folder) / f"{name}-{size['width']}-{scheme}.png"
            page.screenshot(path=str(path), full_page=True)


def call(url: str, key: str) -> tuple[int, bytes]:
    request = urllib.request.Request(
        url + IMAGE,
        json.dumps({"seed": uuid.uuid4().hex}).encode(),
        {"Content-Type": "application/json", "X-API-KEY": key},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_a_machine_is_paired_and_held_to_its_amount_a_day(open_stack: Stack, node: Any, page: Page):
    stack, url = open_stack, f"http://localhost:{open_stack.port}"
    email = sign_up(stack, page, url)
    machine = node.pairing.Pairing(url, say=lambda line: None)
    machine.begin()
    shown = machine.shown()

    page.goto(shown["where"])
    look(page, "pair")
    page.get_by_label("Code").fill(shown["code"].lower())
    page.get_by_role("button", name="Find the machine").click()
    if page.get_by_role("heading", name="Is it you?").is_visible():
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Continue").click()
    expect(page.locator("[data-words]")).to_have_text(shown["words"])
    assert until(machine, "found")
    expect(page.get_by_label("Most in a day, in dollars")).to_have_value("5")
    look(page, "pair-machine")
    page.get_by_label("Name of its key").fill("studio")
    page.get_by_label("Most in a day, in dollars").fill(A_DAY)
    page.get_by_role("button", name="Yes, pair it").click()
    expect(page.get_by_role("heading", name="Paired")).to_be_visible()
    look(page, "paired")
    until(machine, "approved")
    machine.confirm()

    key = node.place.key_for(url)
    told = [call(url, key) for _ in range(3)]
    assert [status for status, _ in told] == [200, 200, 403], told
    assert "left of the budget of this key, $0.02" in json.loads(told[2][1])["message"]
    (letter,) = stack.rows(
        'SELECT text FROM outbox_mail WHERE "to" = %s AND key LIKE %s', email, "pairing:%"
    )
    told = " ".join(letter["text"].split())
    assert "at most $1.00 in one call and $0.02 in a day" in told
