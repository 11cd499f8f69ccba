"""Staff at their pages, as browsers without script: each with a role, by two factors."""

import uuid

import pytest
from allauth.account.internal.flows.login import _AUTHENTICATION_METHODS_USER_SESSION_KEY as WHO
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client

from accounts import doors, status
from accounts.signup import sign_up
from desk import roles

METHODS = [{"method": "password", "at": 1}, {"method": "mfa", "type": "totp", "at": 2}]


class Staff:
    """Somebody of staff at a browser."""

    def __init__(self, *names):
        self.user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
        self.user.name = f"{'-'.join(names) or 'nobody'}"
        self.user.save(update_fields=["name"])
        status.appoint(self.user, by=None)
        roles.assign(self.user, names, by=None)
        Authenticator.objects.create(user=self.user, type=Authenticator.Type.TOTP, data={})
        self.browser = Client(SERVER_NAME="localhost")
        self.browser.force_login(self.user, "allauth.account.auth_backends.AuthenticationBackend")
        session = self.browser.session
        session[WHO], session["account_authentication_methods"] = str(self.user.pk), METHODS
        session.save()

    def get(self, path, **more):
        return self.browser.get(f"/staff/{path}", **more)

    def post(self, path, **form):
        return self.browser.post(f"/staff/{path}", form)

    def text(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, answer.content
        return " ".join(answer.content.decode().split())


@pytest.fixture
def of_staff(request, django_db_blocker, monkeypatch):
    """Make somebody with these roles; how often they may post is not what is tried here."""
    monkeypatch.setattr(doors, "TRIES", 1_000_000)
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    with django_db_blocker.unblock():
        cache.clear()
    return Staff


@pytest.fixture
def sam(of_staff):
    """Sam is of support."""
    return of_staff("support")


@pytest.fixture
def fay(of_staff):
    """Fay is of finance."""
    return of_staff("finance")


@pytest.fixture
def olga(of_staff):
    """Olga is of operations."""
    return of_staff("operations")


@pytest.fixture
def axel(of_staff):
    """Axel audits."""
    return of_staff("auditor")
