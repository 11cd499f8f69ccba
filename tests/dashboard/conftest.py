"""Members at their pages, as browsers without script: pages are read, forms are posted."""

from dataclasses import dataclass

import pytest
from django.test import Client

from accounts import teams


@pytest.fixture
def signed_in(db, tries_forgotten):
    """Return a browser in which a member is signed in."""

    def come_in(member, workspace=None) -> Client:
        browser = Client(SERVER_NAME="localhost")
        browser.force_login(member.user)
        if workspace is not None:
            assert browser.post("/my/workspace", {"workspace": workspace}).status_code == 302
        return browser

    return come_in


@dataclass(frozen=True)
class Studio:
    """Alice's team, with Bob in it; each at a browser that acts for it."""

    id: object
    owner: Client
    member: Client


@pytest.fixture
def studio(alice, bob, signed_in) -> Studio:
    """Alice owns a team, and Bob is a member."""
    made = teams.create(owner=alice.user, name="Studio")
    teams.join(made, bob.user, role="member", by=alice.user.pk)
    return Studio(made.pk, signed_in(alice, made.pk), signed_in(bob, made.pk))
