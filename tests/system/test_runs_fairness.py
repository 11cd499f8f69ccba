"""Two hundred runs of five workspaces on three machines, while the scheduler and a machine die."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from runs_at_work import RunStack, slow

MEMBERS, EACH, MACHINES = 5, 40, 3
SECONDS = 0.05

OF_EACH = """
    SELECT workspace_id::text AS workspace, count(*) AS runs,
           count(*) FILTER (WHERE attempts > 1) AS again,
           avg(extract(epoch FROM started_at - start.at)) AS wait,
           max(extract(epoch FROM started_at - start.at)) AS longest,
           max(extract(epoch FROM ended_at - start.at)) AS done,
           sum(charged_micros) AS charged
      FROM runs_run, (SELECT %s::timestamptz AS at) start GROUP BY 1
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = RunStack(tmp_path_factory.mktemp("fair"))
    try:
        made.start()
        made.start_web()
        made.start_machines(*[(f"m{n}", "cpu", "0.001") for n in range(MACHINES)])
        made.start_runner()
        made.await_machines()
        made.kill_runner()
        yield made
    finally:
        made.stop()


def test_each_workspace_waits_as_long_as_the_others_whoever_dies_meanwhile(house, capsys):
    members = house.members(MEMBERS, "5.00")
    # All of one workspace come before the first of the next: first come is not first served.
    for color, member in enumerate(members):
        with ThreadPoolExecutor(4) as pool:
            graphs = [slow(SECONDS, color=color * 1000 + n, steps=1) for n in range(EACH)]
            list(pool.map(lambda graph, who=member: house.submit(who, graph), graphs))
    (start,) = house.rows("SELECT now() AS at")

    def ended() -> int:
        (row,) = house.rows("SELECT count(*) AS n FROM runs_run WHERE ended_at IS NOT NULL")
        return int(row["n"])

    house.start_runner()
    house.until(lambda: ended() >= 40, seconds=600)
    house.kill_runner()
    house.start_runner()
    house.until(lambda: ended() >= 90, seconds=600)
    house.kill_machine("m1")
    house.begin_machine("m1")
    house.until(lambda: ended() == MEMBERS * EACH, seconds=900)

    of_each = house.rows(OF_EACH, start["at"])
    with capsys.disabled():
        print(f"\n{'workspace':10}{'runs':>5}{'again':>6}{'wait':>8}{'longest':>9}{'done':>8}")
        for row in of_each:
            print(f"{row['workspace'][:8]:10}{row['runs']:5}{row['again']:6}{row['wait']:8.1f}"
                  f"{row['longest']:9.1f}{row['done']:8.1f}")  # fmt: skip
    assert house.rows("SELECT state, count(*) AS n FROM runs_run GROUP BY 1") == [
        {"state": "succeeded", "n": MEMBERS * EACH}
    ]
    waits = [row["wait"] for row in of_each]
    assert max(waits) <= 2 * min(waits)
    longest = [row["longest"] for row in of_each]
    assert max(longest) <= 2 * min(longest)
    for member in members:
        assert house.wallet(member) == (5_000_000 - house.entries(member), 0)
    assert sum(row["charged"] for row in of_each) == sum(map(house.entries, members))
    assert house.holds() == 0
    assert "DIFFERS" not in house.reconcile()
