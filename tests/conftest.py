"""The cast: members with a wallet and a key, and a database whose commits are real.

A table that refuses TRUNCATE cannot be flushed, so no test uses `transaction=True`. What needs
other connections to see its rows (threads, lanes, races) asks for `committed`: it leaves its rows
behind, and everybody in them is new, so nobody meets anybody; none of them is due any more. They
lie in a database of their own: a test that only asks for `db` finds nothing but what it made.

A test marked `browser` asks for pytest-playwright's `page`, and fails if its console complains. It
lives in a file without coroutines.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import databases
import lock_order
import pytest
from django.test import TestCase
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from local import prepared

TestCase.databases = {"default", "counts"}
"""The second is the same database by other connections: what a test counts there, it commits."""


@dataclass(frozen=True)
class Member:
    """A user with a personal workspace, its wallet and one key."""

    user: Any
    workspace_id: uuid.UUID
    wallet: Any
    key: str
    api_key_record: Any

    def now(self) -> Any:
        """Return the wallet as the database has it now."""
        from credits.models import Account

        return Account.objects.get(pk=self.workspace_id)


def make_member(credits: str = "1.00") -> Member:  # noqa: A002 - dollars, as the command says it
    """Make somebody new with that many dollars. May be called where a loop runs, too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _make_member(credits)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_closing, _make_member, credits).result()


def _make_member(dollars: str) -> Member:
    from accounts.signup import sign_up
    from apikeys import keys
    from common.money import usd
    from credits.gifts import grants

    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    workspace = user.personal_workspace
    if amount := usd(dollars):
        grants.grant(wallet=workspace.wallet, amount=amount, key=uuid.uuid4().hex, reason="test")
        workspace.wallet.refresh_from_db()
    key, record = keys.issue(workspace_id=workspace.pk, user_id=user.pk, name="laptop")
    return Member(user, workspace.pk, workspace.wallet, key, record)


def _closing(work: Callable[..., Any], *arguments: Any) -> Any:
    from django.db import connections

    try:
        return work(*arguments)
    finally:
        connections.close_all()


@pytest.fixture(scope="session", autouse=True)
def watched_locks() -> Iterator[None]:
    """Fail whoever locks wallets out of their order, in whatever test."""
    with pytest.MonkeyPatch.context() as patch:
        lock_order.watch(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Hash passwords within a millisecond: what makes argon2 dear is meant for thieves."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    with pytest.MonkeyPatch.context() as patch:
        for name, least in {"time_cost": 1, "memory_cost": 8, "parallelism": 1}.items():
            patch.setattr(Argon2PasswordHasher, name, least)
        yield


@pytest.fixture(autouse=True)
def keys_of_this_test() -> None:
    """Forget the keys that signed another test's tokens: with its database they are gone.

    A ring that still had one would sign by it, and know it no more once its minute is over.
    """
    if (loaded := sys.modules.get("accounts.signingkeys")) is not None:
        loaded.ring.__init__()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """Make the test database, also where only `committed` asks for it.

    pytest-django's own fixture would make none then, and leave everybody in the real one. It is a
    copy of `TEMPLATE_DATABASE`, if there is one: who runs tests often has that migrated once. Of
    ours it is known that nothing is left to migrate; to look takes longer than most files of tests.
    """
    from django.db import connection, connections
    from django.test.utils import setup_databases, teardown_databases

    connection.settings_dict["TEST"]["TEMPLATE"] = os.environ.get("TEMPLATE_DATABASE")

    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        if os.environ.get("TEMPLATE_DATABASE") == prepared.DATABASE:
            patch.setattr("django.core.management.call_command", lambda *_, **__: None)
        made = setup_databases(0, interactive=False, serialized_aliases=set())
    yield
    with django_db_blocker.unblock():
        connections["counts"].close()
        connections["counts"].close_pool()  # Django closes those of the database that it drops.
        teardown_databases(made, 0)


@pytest.fixture(scope="session")
def migrated(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """Have a migrated database that nobody ever uses: others are copied from it."""
    from django.core.management import call_command
    from django.db import connection

    if template := os.environ.get("TEMPLATE_DATABASE"):
        yield template
        return
    name = f"{connection.settings_dict['NAME']}_empty"
    with django_db_blocker.unblock():
        databases.sql(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
        with databases.inside(name):
            call_command("migrate", verbosity=0)
        yield name
        databases.sql(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def commits(migrated: str, django_db_blocker: Any) -> Iterator[str]:
    """Have the database that everybody commits to."""
    from django.db import connection

    name = f"{connection.settings_dict['NAME']}_commits"
    with django_db_blocker.unblock():
        databases.sql(
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {migrated}",
        )
    yield name
    with django_db_blocker.unblock():
        databases.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def committed(commits: str, django_db_blocker: Any) -> Iterator[None]:
    """Let a test commit, and every thread and connection of it see that."""
    from django.db import connections

    with django_db_blocker.unblock(), databases.inside(commits):
        yield
        _let_rest()
        connections.close_all()


def _let_rest() -> None:
    """Leave nothing that a sweep in a later test would find due, and nothing to look at."""
    from credits.models import Finding, Hold, Refund, StripeEvent, TopUp
    from outbox.models import Mail

    never = datetime(9999, 1, 1, tzinfo=UTC)
    # Only what moves: who wrote all rows of all tests anew would take longer with each.
    Hold.objects.exclude(expires_at=never, process_id=None).update(
        expires_at=never, process_id=None
    )
    TopUp.objects.filter(next_check_at__lt=never).update(next_check_at=never)
    StripeEvent.objects.filter(processed_at=None).delete()  # Stripe has forgotten it, too.
    Finding.objects.all().delete()
    for rows in (Refund, Mail):
        rows.objects.filter(next_try_at__lt=never).update(next_try_at=never)


@pytest.fixture(name="make_member")
def _member_maker(request: pytest.FixtureRequest) -> Callable[..., Member]:
    _database(request)
    return make_member


@pytest.fixture
def alice(request: pytest.FixtureRequest) -> Member:
    """Alice has one dollar and a key."""
    _database(request)
    return make_member("1.00")


@pytest.fixture
def bob(request: pytest.FixtureRequest) -> Member:
    """Bob has one dollar and a key, and nothing to do with Alice."""
    _database(request)
    return make_member("1.00")


def _database(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")


@pytest.fixture
def tries_forgotten(request: pytest.FixtureRequest, django_db_blocker: Any) -> None:
    """Count tries anew: they are committed, whatever becomes of a test's transaction."""
    from django.core.cache import cache

    if {"db", "committed"} & set(request.fixturenames):
        _database(request)
        with django_db_blocker.unblock():
            cache.clear()


@pytest.fixture
def place_hold() -> Callable[..., Any]:
    """Set dollars aside on a member's wallet."""
    from common.money import usd
    from credits.books import holds

    def place(member: Member, dollars: str, *, ttl: int = 60, intent: uuid.UUID | None = None):
        return holds.place(member.workspace_id, amount=usd(dollars), ttl_seconds=ttl, intent=intent)

    return place


@pytest.fixture
def at_once(committed: None) -> Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]:
    """Run a function over arguments in as many threads, each with its own connection."""

    def run(work: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
        with ThreadPoolExecutor(len(arguments)) as pool:
            return list(pool.map(lambda argument: _closing(work, argument), arguments))

    return run


@pytest.fixture
def role(db: None) -> str:
    """A role of the database with the programs' rights, gone with the test."""
    from config import grants
    from django.db import connection

    name = f"programs_{uuid.uuid4().hex[:8]}"
    connection.ensure_connection()
    raw: Any = connection.connection
    raw.execute(f"CREATE ROLE {name} NOLOGIN")
    for statement in list(grants.statements(raw, name)):
        raw.execute(statement)
    return name


@pytest.fixture
def as_program(role: str) -> Iterator[str]:
    """Be a program: whoever asks the database by Django asks as that role."""
    from django.db import connection

    raw: Any = connection.connection
    raw.execute(f"SET ROLE {role}")
    yield role
    if not connection.needs_rollback:
        raw.execute("RESET ROLE")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Drive browsers, for the tests of one file.

    As long as Playwright is up, an event loop counts as running in this thread: no coroutine could
    be tested, and Django would refuse to be asked. So it is not up for longer than it is used.
    """
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright, browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    """Be one Chromium for the tests of one file; each has a context, and with it cookies, anew."""
    browser = playwright.chromium.launch(**browser_type_launch_args)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Take the browser that the plugin has found, and let it go nowhere but to this machine."""
    program = os.environ.get("BROWSER_EXE")
    assert program, "A test that drives a browser must be marked `browser`."
    alone = [
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ]
    return {**browser_type_launch_args, "executable_path": program, "args": alone}


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, Any]:
    """Leave each context as it comes; pytest-playwright's own asks for Playwright, too early."""
    return {}


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console complained about; a test that provokes it clears the list."""
    return []


@pytest.fixture
def page(page: Page, complaints: list[str]) -> Iterator[Page]:
    """Be a page that must not complain: neither errors nor what the content policy blocked."""
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
