"""How long a long history takes to read: `python -m bench.history [--calls N] [--large M]`.

Fills a database of its own with N calls, M of them of one workspace, over two years and in monthly
partitions; has them summed up; and measures pages at depth, members' pages, and files. Everything
is printed as a table, times in milliseconds: median and worst of the tries.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import cpu
from bench.postgres import TcpCluster

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "history"
MONTHS = 24
TRIES = 30
SECRETS = {
    "SECRET_KEY": "bench-only-" + "0123456789" * 5,
    "KEY_PEPPERS": '{"1":"' + "b5" * 32 + '"}',
}

PARTITIONS = """
DO $$
DECLARE month timestamptz;
BEGIN
    FOR month IN SELECT generate_series(date_trunc('month', now() - interval '%s months'),
                                        date_trunc('month', now()), interval '1 month')
    LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS %%I PARTITION OF usage_call'
                       ' FOR VALUES FROM (%%L) TO (%%L)',
                       'usage_call_' || to_char(month, 'YYYY_MM'), month,
                       month + interval '1 month');
    END LOOP;
END $$
"""
# A workspace's numbers follow time; twenty vendors, five people, ten keys, runs of eight calls.
FILL = """
    INSERT INTO usage_call (
        id, workspace_id, number, user_id, key_id, vendor, operation, run_id, project, outcome,
        reason, status, quoted_micros, held_micros, charged_micros, price_version, attempts,
        vendor_job_id, vendor_request_id, facts, started_at, settled_at)
    SELECT gen_random_uuid(), wallet.id, number,
           ('00000000-0000-0000-0000-' || lpad((number %% 5 + 1)::text, 12, '0'))::uuid,
           ('00000000-0000-0000-0001-' || lpad((number %% 10 + 1)::text, 12, '0'))::uuid,
           'vendor-' || (hash %% 20), 'vendor-' || (hash %% 20) || '/operation-' || (hash %% 3),
           'run-' || number / 8, (ARRAY['', 'film', 'spot'])[number %% 3 + 1],
           CASE WHEN hash %% 25 = 0 THEN 'failed' ELSE 'delivered' END, '', 200, 60000, 60000,
           CASE WHEN hash %% 25 = 0 THEN 0 ELSE 40000 END, '2026-08', 1, '', 'request-' || number,
           '{"title": "A node of some vendor", "inputs": {"seconds": 5, "size": "1024x1024"}}',
           at - interval '20 seconds', at
      FROM credits_account wallet
      CROSS JOIN LATERAL generate_series(wallet.events + 1, wallet.events + %(calls)s) AS number
      CROSS JOIN LATERAL (SELECT abs(hashint8(number)) AS hash,
                          now() - interval '%(months)s months'
                          + (number::float8 / (wallet.events + %(calls)s))
                            * interval '%(months)s months' AS at) AS made
     WHERE wallet.id = ANY (%(wallets)s::uuid[])
"""


def main() -> int:
    """Run it in a process of its own, whose settings lead to the database that is made here."""
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="of one workspace")
    parser.add_argument("--of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.of:
        measure(options.calls, options.large, int(options.of))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="comfy-bench-"))
    cluster = TcpCluster(folder / "pg")
    try:
        cluster.start()
        cluster.create_database(DATABASE)
        environment = {
            **os.environ,
            **SECRETS,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
            "DATABASE_URL": cluster.url(DATABASE),
            "DEBUG": "0",
            "ALLOWED_HOSTS": "*",
            "DATA_DIR": str(folder),
        }
        pid = (cluster.data / "postmaster.pid").read_text().split("\n", 1)[0]
        for command in (
            ["manage.py", "migrate", "-v", "0"],
            ["-m", "bench.history", "--calls", str(options.calls), "--large", str(options.large),
             "--of", pid],
        ):  # fmt: skip
            subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def measure(calls: int, large: int, postmaster: int) -> None:
    """Fill the database and print what reading it takes."""
    import django

    django.setup()
    from accounts.signup import sign_up

    began = time.monotonic()
    user = sign_up(email="large@example.org")
    workspace = user.personal_workspace.pk
    others = [
        sign_up(email=f"other-{n}@example.org").personal_workspace.pk
        for n in range(min(500, max(1, (calls - large) // 1000)))
    ]
    _fill(workspace, large, others, max(0, calls - large) // len(others))
    print(
        f"{calls:,} calls, {large:,} of one workspace; filled in {time.monotonic() - began:.0f} s"
    )
    _sums(workspace, large, others, postmaster)
    print(f"{'read':<46}{'median':>9}{'worst':>9}{'CPU':>8}  queries")
    for name, read in [*_reads(workspace), *_pages(user)]:
        _tell(name, read)
    _files(workspace)


def _fill(workspace: Any, large: int, others: list[Any], each: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS % MONTHS)
        for wallets, count in (([workspace], large), (others, each)):
            given: dict[str, Any] = {"calls": count, "months": MONTHS, "wallets": wallets}
            cursor.execute(FILL, given)
            cursor.execute(
                "UPDATE credits_account SET events = events + %s WHERE id = ANY (%s)",
                [count, wallets],
            )
        cursor.execute("VACUUM ANALYZE")


def _sums(workspace: Any, large: int, others: list[Any], postmaster: int) -> None:
    from django.db import connection

    from usage import sums
    from usage.reconciliation import CHECKS

    busy, began = cpu.seconds(postmaster), time.monotonic()
    sums.catch_up(workspace)
    took, busy = time.monotonic() - began, cpu.seconds(postmaster) - busy
    print(f"summed up {large:,}: {took:.1f} s, {1e6 * busy / large:.0f} µs of PostgreSQL each")
    for other in others:
        sums.catch_up(other)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        began = time.monotonic()
        for table in ("usage_callsum", "usage_callblock", "usage_runsum"):
            cursor.execute(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}")
            count, size = cursor.fetchone()
            print(f"{table}: {count:,} rows, {size / 1e6:.0f} MB")
        differing = 0
        for check in CHECKS[2:]:
            cursor.execute(check.differences)
            differing += len(cursor.fetchall())
    print(f"proved: {differing} differences, in {time.monotonic() - began:.1f} s")


def _reads(workspace: Any) -> list[tuple[str, Callable[[], Any]]]:
    import uuid

    from credits.models import Account
    from usage import depth, history, reports, runs
    from usage.history import Wanted

    total = Account.objects.values_list("events", flat=True).get(pk=workspace)
    person = uuid.UUID(int=3)
    found: list[tuple[str, Callable[[], Any]]] = []
    read: Callable[[], Any]
    of_all: list[tuple[str, int]] = [
        ("first", 1), ("page 100", 100), ("middle", total // 100), ("last", total // 50),
    ]  # fmt: skip
    for name, at in of_all:
        read = partial(reports.events, workspace, page=at, limit=50, wanted=reports.Filter())
        found.append((f"events, {name}", read))
    for label, wanted, part in (
        ("one vendor's calls", Wanted(vendor="vendor-7"), 20),
        ("one member's calls", Wanted(user_id=person), 5),
        ("one state's calls", Wanted(outcome="failed"), 25),
    ):
        pages = max(1, total // part // 50)
        for name, at in (("first", 1), ("middle", max(1, pages // 2)), ("last", pages)):
            read = partial(depth.page, workspace, wanted, page=at, limit=50)
            found.append((f"{label}, {name}", read))
    by_cursor = partial(history.page, workspace, Wanted(), limit=50, older_than=total // 2)
    found.append(("calls by cursor, in the middle", by_cursor))
    for name, than in (("first", None), ("in the middle", total // 2)):
        read = partial(runs.older, workspace, runs.Wanted(), than=than, limit=50)
        found.append((f"runs by cursor, {name}", read))
    return found


def _pages(user: Any) -> list[tuple[str, Callable[[], Any]]]:
    from django.test import Client

    browser = Client(SERVER_NAME="localhost")
    browser.force_login(user)
    paths = (
        "/my/", "/my/usage", "/my/usage?vendor=vendor-7", "/my/runs", "/my/refusals",
        "/my/credits", "/my/limits", "/my/keys", "/my/prices?q=flux",
    )  # fmt: skip

    def ask(path: str) -> None:
        answer = browser.get(path)
        assert answer.status_code in (200, 404), (path, answer.status_code)

    return [(f"page {path}", partial(ask, path)) for path in paths]


def _tell(name: str, read: Callable[[], Any]) -> None:
    from django.db import connection

    queries: list[str] = []

    def count(execute: Any, sql: str, *given: Any) -> Any:
        queries.append(sql)
        return execute(sql, *given)

    with connection.execute_wrapper(count):
        read()
    walls, busy = [], time.process_time()
    for _ in range(TRIES):
        began = time.perf_counter()
        read()
        walls.append(1e3 * (time.perf_counter() - began))
    busy = 1e3 * (time.process_time() - busy) / TRIES
    print(
        f"{name:<46}{statistics.median(walls):>9.1f}{max(walls):>9.1f}{busy:>8.1f}  {len(queries)}",
        flush=True,
    )


def _files(workspace: Any) -> None:
    from usage import exports
    from usage.history import Wanted

    for form, make in exports.FORMS.items():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, size = time.monotonic(), 0
        for page in make(workspace, Wanted()):
            size += len(page)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        took = time.monotonic() - began
        print(f"file {form}: {size / 1e6:.0f} MB in {took:.0f} s, memory grew by {grown >> 10} MiB")


if __name__ == "__main__":
    sys.exit(main())
