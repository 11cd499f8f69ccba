"""The cast of money: a fake Stripe on a real port, and what a member does on its pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import databases
import pytest

from sandbox.stripe.remote import Remote, stripe_in_thread

SECRET = "whsec_for_tests"


@pytest.fixture(scope="session")
def _far_side() -> Iterator[Remote]:
    with stripe_in_thread() as remote:
        yield remote


@pytest.fixture
def fake(_far_side: Remote, settings: Any) -> Remote:
    """Stripe, as freshly opened; it sends no webhooks unless a test says where to."""
    _far_side.post("reset")
    settings.STRIPE_API_KEY = "sk_test_ours"
    settings.STRIPE_API_BASE = _far_side.url
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    return _far_side


@dataclass
class Shop:
    """What members and their banks do, and our side hearing of it."""

    fake: Remote

    def open(self, member: Any, dollars: str = "25.00") -> Any:
        """Begin a purchase."""
        from common.money import usd
        from credits.payments import topups

        return topups.start(
            member.workspace_id,
            amount=usd(dollars),
            email=member.user.email,
            user_id=member.user.pk,
            base_url="http://us.example",
        )

    def buy(self, member: Any, dollars: str = "25.00", *, card: str = "visa") -> Any:
        """Buy credits, and come back from the page."""
        from credits.payments import topups

        top_up = self.open(member, dollars)
        self.pay(top_up, card=card)
        return topups.refresh(top_up.pk)

    def pay(self, top_up: Any, *, card: str = "visa") -> None:
        """Pay on the page of a purchase; nobody tells us."""
        self.fake.post(f"sessions/{top_up.session_id}/pay", card=card)

    def spend(self, member: Any, dollars: str) -> None:
        """Make a call of that price."""
        from common.money import usd
        from credits.books import holds

        hold = holds.place(member.workspace_id, amount=usd(dollars), ttl_seconds=60)
        assert holds.capture(hold, usd(dollars))

    def dispute(self, top_up: Any, **more: Any) -> Any:
        """Have the bank contest a payment."""
        return self.fake.post("disputes", payment_intent=top_up.payment_intent_id, **more)

    def learn(self, made: Any) -> Any:
        """Read a dispute as it is now, and return ours."""
        from credits.models import Dispute
        from credits.payments import disputes, stripe_api

        disputes.learn(stripe_api.dispute(made["id"]))
        return Dispute.objects.get(pk=made["id"])

    def hear_all(self) -> None:
        """Learn of everything that happened, by listing."""
        from credits.payments import webhooks

        webhooks.catch_up()
        for event_id in webhooks.due():
            webhooks.process(event_id)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripe's library repeats a failed request at once, not half a second later."""
    import stripe

    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.01)


@pytest.fixture
def shop(fake: Remote) -> Shop:
    """The shop is open."""
    return Shop(fake)


@pytest.fixture
def books_balance(request: pytest.FixtureRequest) -> Any:
    """Prove the books, as `manage.py reconcile` does."""

    def prove() -> None:
        from credits.proofs import reconciliation

        checks = reconciliation.CHECKS + reconciliation.MONEY
        wrong = [p for p in reconciliation.prove(checks) if p.differences]
        assert not wrong, wrong

    return prove


@pytest.fixture
def own_books(migrated: str, django_db_blocker: Any) -> Iterator[None]:
    """Give a test a database where all money is its own, and commits are real."""
    from django.db import connection

    name = f"{connection.settings_dict['NAME']}_own"
    with django_db_blocker.unblock():
        databases.sql(
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {migrated}",
        )
        with databases.inside(name):
            yield
        databases.sql(f"DROP DATABASE {name} WITH (FORCE)")
