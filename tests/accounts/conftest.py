"""People at our pages, as browsers without script: forms are posted, codes are read in mails."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from django.test import Client

PASSWORD = "four plain words of mine"


@pytest.fixture(autouse=True)
def nobody_has_tried(tries_forgotten):
    """Each test begins with no tries of anybody."""


@dataclass
class Visitor:
    """Somebody with a browser."""

    browser: Client
    email: str = field(default_factory=lambda: f"{uuid.uuid4().hex}@example.org")

    def get(self, path: str, **more):
        return self.browser.get(f"/account/{path}", **more)

    def post(self, path: str, **form):
        return self.browser.post(f"/account/{path}", form)

    def sign_up(self, password: str = PASSWORD):
        return self.post("signup/", email=self.email, password1=password)

    def sign_in(self, password: str = PASSWORD):
        return self.post("login/", login=self.email, password=password)

    def code(self) -> str:
        """Return the code of the newest mail to them."""
        return code_of(self.mails()[0])

    def mails(self):
        from outbox.models import Mail

        return list(Mail.objects.filter(to=self.email).order_by("-id"))

    def come_in(self):
        """Sign up and verify the address."""
        self.sign_up()
        return self.post("confirm-email/", code=self.code())

    @property
    def user(self):
        from accounts.models import User

        return User.objects.get(email=self.email)

    def is_in(self) -> bool:
        return "_auth_user_id" in self.browser.session


def code_of(mail) -> str:
    found = re.search(r"^\s*([A-Z]{4}-[A-Z]{4})\s*$", mail.text, re.MULTILINE)
    assert found, mail.text
    return found[1]


@pytest.fixture
def visit(request: pytest.FixtureRequest) -> Callable[..., Visitor]:
    """Make somebody new with a browser of their own."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    return lambda **about: Visitor(Client(**{"SERVER_NAME": "localhost", **about}))


@pytest.fixture
def ines(visit) -> Visitor:
    """Ines is new here."""
    return visit()
