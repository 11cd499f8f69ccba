"""The runner, or a machine, is killed in the middle: each run ends once, and is paid once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runs_at_work import RunStack, slow
from system_stack import CENT

ROOT = Path(__file__).resolve().parents[2]
PLACES = sorted(
    {
        place
        for file in (ROOT / "runs").rglob("*.py")
        for place in re.findall(r'failpoints\.reached\("([^"]+)"\)', file.read_text())
    }
)


AFTER_ITS_END = "run.wiped"
assert AFTER_ITS_END in PLACES


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = RunStack(tmp_path_factory.mktemp("crash"))
    try:
        made.start()
        made.start_web()
        made.start_machines(("one", "one", "0.01"))
        made.start_runner()
        made.await_machines()
        made.kill_runner()
        yield made
    finally:
        made.stop()


def paid_once(house, member, run, *, inside=0):
    """It succeeded; what was taken is its charge and what was called inside, in one entry each."""
    assert (run["state"], run["error_message"]) == ("succeeded", "")
    assert run["charged_micros"] == -(-run["gpu_ms"] * 10_000 // 1000) > 0
    taken = house.charged(member)
    assert taken.pop(str(run["hold_id"])) == run["charged_micros"]
    assert list(taken.values()) == [CENT] * inside
    assert house.wallet(member)[1] == 0
    assert not house.rows("SELECT 1 FROM apikeys_apikey WHERE run_id = %s", run["id"])
    assert "DIFFERS" not in house.reconcile()


@pytest.mark.parametrize("place", PLACES)
def test_a_runner_that_dies_there_leaves_a_run_that_ends_once(house, place):
    member = house.member("1.00")
    house.start_runner(dies_at=place)
    run = house.submit(member, slow(0.3, color=PLACES.index(place)))
    house.await_death()
    assert (house.run(run)["ended_at"] is not None) == (place == AFTER_ITS_END)

    house.start_runner()
    try:
        paid_once(house, member, house.ended(run))
        assert house.run(run)["attempts"] <= 2
        house.until(lambda: not house.rows("SELECT 1 FROM runs_trace WHERE run_id = %s", run))
    finally:
        house.kill_runner()


def test_a_runner_that_is_killed_while_it_works_is_followed_and_nothing_is_made_again(house):
    member = house.member("1.00")
    house.start_runner()
    run = house.submit(member, slow(6, color=50, calls=1))
    house.until(lambda: house.run(run)["state"] == "running" and house.calls(member))
    house.kill_runner()
    house.start_runner()
    try:
        found = house.ended(run)
        assert found["attempts"] == 1
        paid_once(house, member, found, inside=1)
    finally:
        house.kill_runner()


def test_a_machine_that_is_killed_while_it_works_has_its_run_begun_again(house):
    member = house.member("1.00")
    house.start_runner()
    run = house.submit(member, slow(5, color=51))
    house.until(lambda: house.run(run)["progress"])
    house.kill_machine("one")
    house.begin_machine("one")
    try:
        found = house.ended(run)
        assert found["attempts"] == 2
        paid_once(house, member, found)
        assert 5000 <= found["gpu_ms"] < 20_000, "of the second try alone"
    finally:
        house.kill_runner()
