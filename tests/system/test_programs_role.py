"""Web process, worker and commands as the role of the programs: calls, sweeps and proofs work."""

import asyncio
import subprocess
import sys

import psycopg
import pytest
from system_stack import CENT, ROOT, Stack, prove

from local.up import embedded_broker

ROLE, PASSWORD = "programs", "between-us"


@pytest.fixture
def owner(stack: Stack) -> str:
    """Have all programs be the role of programs; return how the owner reaches the database."""
    owner_url = stack.environment["DATABASE_URL"]
    stack.environment |= embedded_broker(owner_url)
    stack.rows(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    stack.manage("grants", ROLE)
    stack.environment["DATABASE_URL"] = owner_url.replace("//postgres@", f"//{ROLE}:{PASSWORD}@")
    return owner_url


def test_calls_are_metered_swept_and_proved_by_programs_that_own_nothing(stack, owner):
    member = stack.member("1.00")
    stack.start_web()
    load = asyncio.run(stack.fire(member["api_key"], 150))
    assert load.statuses[200] == 100
    assert stack.charged(member).keys() == set(load.delivered)
    prove(stack, member, load)
    assert stack.wallet(member) == (0, 0)
    assert sum(stack.charged(member).values()) == 100 * CENT
    assert stack.stop_web() == 0

    assert f"{ROLE} may do what programs do" in stack.manage("grants", ROLE, "--check")
    said = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert f"role: {ROLE} may do what programs do, and nothing else." in said
    url = stack.environment["DATABASE_URL"]
    with psycopg.connect(url) as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("UPDATE credits_entry SET amount_micros = 1")
