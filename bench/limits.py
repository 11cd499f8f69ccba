"""What limits cost: `python -m bench.limits`, placing and settling without any HTTP, in turns.

    none    keys without any rule, each in a workspace of its own
    tree    the same with a budget of the member, of a project and of the key, and slots
    many    as `tree`, 200 keys in 200 workspaces
    hot     as `tree`, 200 keys of one workspace, which has a budget, too

Prints for each the calls in a second, and the CPU microseconds of this process and of PostgreSQL
for a call; then how they stand to each other.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from bench import accounts, cpu
from bench.postgres import TcpCluster

EACH = 2000
CROWD = 64
ROUNDS = 7
SECONDS = 2.0
CENT = 10_000
HOT = range(3 * EACH + 1, 3 * EACH + 201)
GROUPS = {
    "none": range(1, EACH + 1),
    "tree": range(EACH + 1, 2 * EACH + 1),
    "many": range(EACH + 1, EACH + 201),
    "hot": HOT,
}
RULES = """
    INSERT INTO credits_allowance (owner_kind, owner, period, limit_micros, set_by)
    SELECT rule.kind, rule.owner, 'month', 1000000000000000, key.user_id
      FROM apikeys_apikey key CROSS JOIN LATERAL (VALUES
               ('key', key.family::text),
               ('project', key.workspace_id || '/film'),
               ('member', key.workspace_id || '/' || key.user_id)) AS rule (kind, owner)
     WHERE key.name::int > %s ON CONFLICT DO NOTHING
"""


def main() -> None:
    """Start a PostgreSQL of its own, fill it, measure, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="comfy-limits-"))
    cluster = TcpCluster(folder / "pg")
    try:
        cluster.start()
        cluster.create_database("limits")
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": cluster.url("limits"),
            "SECRET_KEY": "bench-only-" + "0123456789" * 5,
            "KEY_PEPPERS": '{"1":"' + "b5" * 32 + '"}',
            "CONCURRENCY_TIERS": "",
            "DATA_DIR": str(folder),
        }
        import django

        django.setup()
        fill()
        pid = int((cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])
        report(asyncio.run(measure(pid)))
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def fill() -> None:
    """Make all keys, and the rules of those that have some."""
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    numbers = range(1, 3 * EACH + 201)
    with connection.cursor() as cursor:
        for table, rows in accounts.tables(numbers):
            names = list(rows[0])
            with cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(list(row.values()))
        cursor.execute(
            "UPDATE apikeys_apikey SET project = 'film',"
            " workspace_id = CASE WHEN name::int = ANY (%s) THEN"
            " (SELECT workspace_id FROM apikeys_apikey WHERE name = %s) ELSE workspace_id END"
            " WHERE name::int > %s",
            [list(HOT), str(HOT[0]), EACH],
        )
        cursor.execute(
            "INSERT INTO accounts_membership (workspace_id, user_id, role, created_at)"
            " SELECT workspace_id, user_id, 'member', '2020-01-01' FROM apikeys_apikey"
            " WHERE name::int = ANY (%s) ON CONFLICT DO NOTHING",
            [list(HOT)[1:]],
        )
        cursor.execute("UPDATE accounts_membership SET created_at = '2020-01-01'")
        cursor.execute(RULES, [EACH])
        cursor.execute(
            "INSERT INTO credits_allowance (owner_kind, owner, period, limit_micros, set_by)"
            " SELECT 'workspace', workspace_id, 'month', 1000000000000000, user_id"
            "   FROM apikeys_apikey WHERE name = %s",
            [str(HOT[0])],
        )
        cursor.execute(
            "UPDATE credits_account SET concurrency = 1000 WHERE id IN"
            " (SELECT workspace_id FROM apikeys_apikey WHERE name::int > %s)",
            [EACH],
        )
        cursor.execute("VACUUM ANALYZE")


async def measure(postgres: int) -> dict[str, list[tuple[float, float, float]]]:
    """Return calls in a second, and CPU microseconds here and there, of each group and round."""
    from apikeys import callers
    from proxy.books import Books

    known = {
        name: [callers.by_key(accounts.key(n), "127.0.0.1") for n in numbers]
        for name, numbers in GROUPS.items()
    }
    books = Books()
    for some in known.values():  # Each looks its budgets up, once.
        for begin in range(0, len(some), CROWD):
            await asyncio.gather(*(call(books, each) for each in some[begin : begin + CROWD]))
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in GROUPS}
    for _ in range(ROUNDS):
        for name, some in known.items():
            results[name].append(await one_round(books, some, postgres))
    await books.close()
    return results


async def one_round(books: Any, some: list[Any], postgres: int) -> tuple[float, float, float]:
    """Call without a pause, a crowd at a time."""
    end, calls = time.perf_counter() + SECONDS, 0
    begun, own, theirs = time.perf_counter(), time.process_time(), cpu.seconds(postgres)

    async def caller() -> None:
        nonlocal calls
        while time.perf_counter() < end:
            await call(books, random.choice(some))
            calls += 1

    await asyncio.gather(*(caller() for _ in range(CROWD)))
    took = time.perf_counter() - begun
    own, theirs = time.process_time() - own, cpu.seconds(postgres) - theirs
    return calls / took, own / calls * 1e6, theirs / calls * 1e6


async def call(books: Any, caller: Any) -> None:
    """Set a cent aside, and spend it."""
    from common.ids import uuid7
    from proxy.books import Place, Settle

    ask = Place(
        hold=uuid7(),
        vendor="sandbox",
        amount=CENT,
        ttl=60,
        intent=uuid.uuid4().hex,
        keyed=False,
        memo={"vendor": "sandbox", "operation": "v1/image", "quoted": CENT},
    )
    placed = await books.place(ask, caller)
    assert await books.settle(Settle(ask.hold, placed.wallet, "delivered", CENT)) is not None


def report(results: dict[str, list[tuple[float, float, float]]]) -> None:
    """Print the medians, and the medians of the quotients of each round."""
    for name, rounds in results.items():
        rate, own, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:6}{rate:8.0f} calls/s {own:7.0f} us here {theirs:7.0f} us PostgreSQL")

    def quotient(one: str, other: str, of: Any) -> float:
        pairs = zip(results[one], results[other], strict=True)
        return float(statistics.median(of(a) / of(b) for a, b in pairs))

    cost = quotient("tree", "none", lambda each: each[1] + each[2])
    print(f"CPU of tree to none: {cost:.2f}")
    print(f"calls of hot to many: {quotient('hot', 'many', lambda each: each[0]):.2f}")


if __name__ == "__main__":
    main()
