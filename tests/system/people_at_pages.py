"""What people do at our pages in a real browser, and where: a place of several processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect
from system_stack import Stack

PASSWORD = "four plain words of mine"


@dataclass
class Place:
    stack: Stack

    @property
    def url(self) -> str:
        """By name: passkeys belong to a name, and no address is one."""
        return f"http://localhost:{self.stack.port}"

    def mail(self, email: str) -> str:
        """The newest mail to somebody."""
        (row, *_) = self.stack.rows(
            'SELECT text FROM outbox_mail WHERE "to" = %s ORDER BY id DESC', email
        )
        return str(row["text"])

    def code(self, email: str) -> str:
        """The code of the newest mail to somebody."""
        found = re.search(r"^\s*([A-Z]{4}-[A-Z]{4})\s*$", self.mail(email), re.MULTILINE)
        assert found
        return found[1]

    def forget_tries(self) -> None:
        self.stack.rows("DELETE FROM shared_cache")


@contextmanager
def place_of(folder: Path, **settings: str) -> Iterator[Place]:
    """Have a place with two web processes, under these settings."""
    stack = Stack(folder)
    try:
        stack.start()
        stack.environment |= {"PLATFORM_NAME": "Lumen Yard", **settings}
        stack.start_web(workers=2)
        yield Place(stack)
    finally:
        stack.stop()


def fill_sign_up(place: Place, page: Page, email: str) -> None:
    """Sign up from the page of it: the address is confirmed by the code of the mail."""
    page.get_by_label("Mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    page.get_by_label("Code").fill(place.code(email))
    page.get_by_role("button", name="Confirm").click()


def sign_up(place: Place, page: Page, email: str) -> None:
    page.goto(f"{place.url}/account/signup/")
    fill_sign_up(place, page, email)
    lands(place, page)


def lands(place: Place, page: Page) -> None:
    """Whoever has come in is at home; from there they go to Security."""
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    page.goto(f"{place.url}/account/")
    expect(page.get_by_role("heading", name="Security")).to_be_visible()


def fill_sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("Mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_in(place: Place, page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto(f"{place.url}/account/login/")
    fill_sign_in(page, email, password)


def sign_out(place: Place, page: Page) -> None:
    page.goto(f"{place.url}/account/logout/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
