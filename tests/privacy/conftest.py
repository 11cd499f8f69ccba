"""The cast: somebody of whom everything is known that can be, and a Stripe to buy at."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from privacy_cast import ADDRESS, AGENT, PASSWORD

from sandbox.stripe.remote import stripe_in_thread


@pytest.fixture(scope="session")
def _stripe():
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def stripe(_stripe, settings):
    """Stripe, as freshly opened."""
    _stripe.post("reset")
    settings.STRIPE_API_KEY = "sk_test_ours"
    settings.STRIPE_API_BASE = _stripe.url
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_for_tests"]
    return _stripe


@pytest.fixture(autouse=True)
def data_folder(tmp_path, settings):
    """Files of a test lie in a folder of its own."""
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture(autouse=True)
def nobody_has_tried(tries_forgotten):
    """Each test begins with no tries of anybody."""


@pytest.fixture
def ilse(db, make_member):
    """Ilse has a name that nobody else has, a verified address and a password."""
    from accounts.signup import verify_email

    member = make_member("1.00")
    member.user.email = f"ilse-{uuid.uuid4().hex}@example.org"
    member.user.name = f"Ilse Hapax{uuid.uuid4().hex[:8]}"
    member.user.set_password(PASSWORD)
    member.user.save()
    from credits.models import Billing

    Billing.objects.filter(pk=member.workspace_id).update(email=member.user.email)
    verify_email(member.user)
    return member


@pytest.fixture
def browser_of():
    """Have somebody signed in at a browser of theirs, by their password."""

    def come_in(member) -> Client:
        browser = Client(SERVER_NAME="localhost", REMOTE_ADDR=ADDRESS, HTTP_USER_AGENT=AGENT)
        answer = browser.post("/account/login/", {"login": member.user.email, "password": PASSWORD})
        assert answer.status_code == 302, answer.content
        return browser

    return come_in
