"""What years of calls cost: `python -m bench.growth [--calls N] [--wallets W] [--large M]`.

Makes two databases of its own: a young one, and one with N calls in W wallets, M of them in one,
over a year of monthly partitions. The old one is filled by SQL as the books would have written
it, so `reconcile` finds nothing; the workers' own code sums and tallies it. Then it measures
what a metered call costs the database in each, by turns, and what is done over all rows: proofs,
pages at depth, exports, sweeps. Times are of the wall, CPU is PostgreSQL's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bench import cpu
from bench.history import SECRETS
from bench.postgres import TcpCluster

ROOT = Path(__file__).resolve().parent.parent
YOUNG, OLD = "young", "old"
YOUNG_MEMBERS = 2000
FILLED = "filled"
ROUNDS, CALLS, CROWD = 3, 6000, 64
ANSWERS = 200_000
TRIES = 30
ANSWER = '{"id": "' + "x" * 600 + '"}'

KEPT = """
    INSERT INTO {table} (intent, day, call_id, fingerprint, status, headers, body, spool, once,
                         kept_until)
    SELECT gen_random_uuid(), %(day)s, gen_random_uuid(), 'f', 200, '{{}}', %(body)s, '', false,
           now() - interval '1 day' FROM generate_series(1, %(n)s)
"""


def main() -> int:
    """Run it in processes of their own, whose settings lead to the databases that are made here."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--wallets", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="of one workspace")
    parser.add_argument(
        "--folder", type=Path, help="where the databases lie, and stay: filled once, measured often"
    )
    parser.add_argument("--only", choices=("call", "read", "sweep", "deep"), help="of these steps")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        import django

        django.setup()
        STEPS[options.step](options)
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="comfy-bench-"))
    cluster = TcpCluster(folder / "pg")
    given = [f"--{name}={getattr(options, name)}" for name in ("calls", "wallets", "large")]
    try:
        cluster.start()
        if not (folder / FILLED).exists():
            _fill(cluster, folder, options.wallets, given)
        for database, step in (
            *((each, "call") for _ in range(ROUNDS) for each in (YOUNG, OLD)),
            (OLD, "read"), (OLD, "sweep"), (OLD, "deep"),
        ):  # fmt: skip
            if options.only in (None, step):
                _run(cluster, folder, database, "-m", "bench.growth", *given, "--step", step)
    finally:
        cluster.stop()
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _fill(cluster: TcpCluster, folder: Path, wallets: int, given: list[str]) -> None:
    for name, members in ((YOUNG, YOUNG_MEMBERS), (OLD, wallets)):
        cluster.create_database(name)
        _run(cluster, folder, name, "manage.py", "migrate", "-v", "0")
        _run(cluster, folder, name, "-m", "bench.accounts", str(members))
    _run(cluster, folder, OLD, "-m", "bench.growth", *given, "--step", "fill")
    (folder / FILLED).touch()


def _run(cluster: TcpCluster, folder: Path, database: str, *words: str) -> None:
    pid = (cluster.data / "postmaster.pid").read_text().split("\n", 1)[0]
    environment = {
        **os.environ,
        **SECRETS,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "DATABASE_URL": cluster.url(database),
        "CONCURRENCY_TIERS": "0:100000",
        "DEBUG": "0",
        "ALLOWED_HOSTS": "*",
        "DATA_DIR": str(folder),
        "BENCH_POSTMASTER": pid,
    }
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, check=True)


def _tell(what: str, work: Callable[[], Any]) -> Any:
    """Do it, and print how long it took and what CPU it cost the database."""
    pid = int(os.environ["BENCH_POSTMASTER"])
    began, busy = time.monotonic(), cpu.seconds(pid)
    found = work()
    took, busy = time.monotonic() - began, cpu.seconds(pid) - busy
    print(f"{what:<52}{took:>9.1f} s{busy:>9.1f} s CPU", flush=True)
    return found


def _memory() -> float:
    """Return the most that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill(options: argparse.Namespace) -> None:
    """Write a year of calls."""
    from bench import years

    years.fill(options, _tell)


def call(_: argparse.Namespace) -> None:
    """Make calls as a web process does, and print what each cost the database."""
    from django.db import connection

    from apikeys.callers import Caller
    from common.rows import values
    from proxy.books import Books
    from proxy.phases import Place, Settle

    pid = int(os.environ["BENCH_POSTMASTER"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT n, digest FROM bench_key")
        callers = [
            Caller(address="127.0.0.1", digests=(bytes(digest),), key_name=b"%d" % n)
            for n, digest in cursor.fetchall()
        ]
        cursor.execute("CHECKPOINT")

    async def one(books: Books, caller: Caller) -> None:
        hold, intent = str(uuid.uuid4()), uuid.uuid4().hex
        memo = {"vendor": "bfl", "operation": "bfl/flux", "fingerprint": "f", "facts": {}}
        placed = await books.place(
            Place(hold, "bfl", 60_000, 600, intent, keyed=True, memo=memo), caller
        )
        kept = {"intent": intent, "fingerprint": "f", "status": 200, "headers": {},
                "text": ANSWER, "spool": "", "once": False, "seconds": 86400}  # fmt: skip
        done = await books.settle(
            Settle(hold, placed.wallet, "delivered", charged=40_000, status=200, answer=kept)
        )
        assert done is not None, "a hold that was placed just now is there"

    async def run() -> float:
        books, left = Books(), CALLS
        assert await books.connected()
        for caller in random.sample(callers, CROWD):
            await one(books, caller)
        busy = cpu.seconds(pid)

        async def some() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await one(books, random.choice(callers))

        await asyncio.gather(*(some() for _ in range(CROWD)))
        busy = cpu.seconds(pid) - busy
        await books.close()
        return busy

    busy = asyncio.run(run())
    (name,) = values("SELECT current_database()::text")
    print(
        f"{name}: {CALLS:,} calls, {1e6 * busy / CALLS:.0f} µs of PostgreSQL each;"
        f" {_memory():.0f} MiB here",
        flush=True,
    )


def read(options: argparse.Namespace) -> None:
    """Prove, page and export."""
    from django.db import connection
    from django.utils import timezone

    from bench import years
    from bench.history import _reads
    from credits.proofs import accounting
    from credits.statements import sealing
    from staff import proving
    from usage import exports, sums
    from usage.history import Wanted

    def proved(**how: bool) -> None:
        found = [line for proof in proving.run(**how) for line in proof.differences]
        assert found == [], found[:5]

    sums.catch_up_all()
    accounting.tally()
    _tell("reconcile, the first", proved)
    for _ in range(2):
        call(options)
    _tell("summed up since (usage/sums.py)", sums.catch_up_all)
    _tell("summed by day since (proofs/accounting.py)", accounting.tally)
    seal_all = partial(sealing.seal_all, now=timezone.now() + timedelta(hours=1))
    lines = _tell("sealed since (statements/sealing.py)", seal_all)
    print(f"{'':<52}{lines:,} lines")
    _tell("reconcile, of what came since", proved)
    _tell("reconcile, of nothing", proved)
    print(f"{'memory of the worker that did all this':<52}{_memory():>9.0f} MiB")
    large = years.large()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for name, page in _reads(large):
        page()
        walls = []
        for _ in range(TRIES):
            began = time.perf_counter()
            page()
            walls.append(1e3 * (time.perf_counter() - began))
        print(f"{name:<52}{statistics.median(walls):>9.1f} ms, worst {max(walls):.1f}", flush=True)

    def _size(make: Callable[..., Iterator[str]], workspace: uuid.UUID) -> int:
        return sum(map(len, make(workspace, Wanted())))

    for form, make in exports.FORMS.items():
        before = _memory()
        size = _tell(f"export, {form}", partial(_size, make, large))
        grown = _memory() - before
        print(f"{'':<52}{size / 1e6:.0f} MB, memory grew by {grown:.0f} MiB", flush=True)


def deep(_: argparse.Namespace) -> None:
    """Prove everything, and believe no mark."""
    from staff import proving

    found = _tell("reconcile --deep", partial(proving.run, deep=True))
    assert not [line for proof in found for line in proof.differences]


def sweep(_: argparse.Namespace) -> None:
    """Forget kept answers: row by row as before, and a day at once."""
    from django.db import connection

    from privacy import retention
    from proxy import days
    from proxy import tasks as proxy_tasks

    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(isodow FROM now() AT TIME ZONE 'UTC')::int")
        old = (cursor.fetchone()[0] + 3) % 7 + 1
        for table, day in (("proxy_answer", 0), ("proxy_kept", old)):
            given = {"day": day, "body": ANSWER.encode(), "n": ANSWERS}
            cursor.execute(KEPT.format(table=table), given)
    for what, work in (
        (f"{ANSWERS:,} kept answers deleted row by row", _all_rows),
        (f"{ANSWERS:,} kept answers emptied with their day", days.forget),
        ("one round of proxy.tasks.forget", proxy_tasks.forget),
        ("one round of privacy's retention", retention.sweep),
    ):
        _tell(what, work)
    print(f"{'left of days that are over':<52}{days.overdue_bytes():>9} bytes")


def _all_rows() -> None:
    from django.db import connection

    from proxy import days

    with connection.cursor() as cursor:
        cursor.execute(days.FORGET_BEFORE, {"batch": ANSWERS})


STEPS: dict[str, Callable[[argparse.Namespace], None]] = {
    "fill": fill, "call": call, "read": read, "sweep": sweep, "deep": deep,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
