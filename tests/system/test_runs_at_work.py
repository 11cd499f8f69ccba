"""What a run pays, end to end: the web takes it, the runner carries it, a machine works on it."""

from __future__ import annotations

import pytest
from runs_at_work import JOBS, RunStack, Wiretap, in_micros, slow
from system_stack import CENT, IMAGE


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = RunStack(tmp_path_factory.mktemp("runs"))
    tap = Wiretap(made.url)
    try:
        made.start()
        made.start_web()
        made.start_machines(("tapped", "tapped", "0.0001"), api_base=tap.url)
        made.start_machines(*[(name, name, "0.01") for name in ("a", "b", "c")])
        made.start_runner()
        made.await_machines()
        made.tap = tap
        yield made
    finally:
        made.stop()
        tap.close()


def test_a_node_inside_spends_by_a_key_that_dies_with_its_run_and_one_receipt_says_all(house):
    member = house.member("1.00")
    house.tap.keys.clear()

    run = house.ended(house.submit(member, slow(0.3, calls=1), accelerator="tapped"))

    assert (run["state"], run["error_message"]) == ("succeeded", "")
    (key,) = house.tap.keys
    assert key != member["api_key"]
    body = {"prompt": "later", "width": 8, "height": 8}
    assert house.ask(key, "POST", IMAGE, body)[0] == 401, "it died with its run"
    inside, own = house.calls(member)
    assert (inside["charged_micros"], own["charged_micros"]) == (CENT, run["charged_micros"])
    assert house.rows("SELECT DISTINCT run_id FROM usage_call WHERE id = ANY (%s::uuid[])",
                      [inside["id"], own["id"]]) == [{"run_id": str(run["id"])}]  # fmt: skip
    _, job = house.ask(member["api_key"], "GET", f"{JOBS}/{run['id']}")
    assert job["metrics"]["charged_micros"] + job["metrics"]["inner_micros"] == house.entries(
        member
    )
    assert job["metrics"]["inner_micros"] == CENT
    assert house.wallet(member) == (1_000_000 - house.entries(member), 0)
    assert "DIFFERS" not in house.reconcile()


def test_calls_inside_stop_where_the_runs_maximum_does(house):
    member = house.member("1.00")

    # Its first minute holds 6,000 micros of the 28,434; two calls of a cent fit beside them.
    graph = slow(0.1, color=2, calls=3)
    run = house.ended(house.submit(member, graph, accelerator="tapped", max_credits=6))

    assert (run["state"], run["error_code"]) == ("failed", "node_execution_error")
    assert run["error_node"] == "call-2"
    assert "403" in run["error_message"]
    assert "of this run" in run["error_message"]
    assert house.entries(member) == 2 * CENT + run["charged_micros"] <= in_micros(6)
    assert house.wallet(member)[1] == 0
    assert "DIFFERS" not in house.reconcile()


def test_a_hold_grows_while_it_can_and_the_run_ends_where_it_cannot(house):
    rich, poor, capped = (house.member(usd) for usd in ("5.00", "0.65", "5.00"))
    # Each second costs a cent; a minute of it is held at first.
    grows = house.submit(rich, slow(36, color=3), accelerator="a")
    starves = house.submit(poor, slow(100, color=4, steps=400), accelerator="b")
    # Seventeen credits are eight seconds.
    ends = house.submit(capped, slow(100, color=5, steps=400), accelerator="c", max_credits=17)

    run = house.ended(ends)
    assert (run["state"], run["error_code"]) == ("canceled", "max_credits_reached")
    assert house.charged(capped) == {str(run["hold_id"]): run["charged_micros"]}
    assert 0 < run["charged_micros"] <= run["max_micros"] == in_micros(17)

    run = house.ended(grows)
    assert (run["state"], run["error_message"]) == ("succeeded", "")
    assert run["held_micros"] > 600_000
    assert 360_000 <= run["charged_micros"] == -(-run["gpu_ms"] * 10_000 // 1000) < 600_000

    run = house.ended(starves)
    assert (run["state"], run["error_code"]) == ("canceled", "insufficient_credits")
    assert run["held_micros"] == 600_000
    assert 0 < run["charged_micros"] <= 600_000
    assert [house.wallet(each)[1] for each in (rich, poor, capped)] == [0, 0, 0]
    assert house.holds() == 0
    assert "DIFFERS" not in house.reconcile()
