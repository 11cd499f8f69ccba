"""`python3 dev.py bench`: measure, check the books, print the table.

    python3 dev.py bench                    the table, in about three minutes
    python3 dev.py bench --quick            the same in one short round: does it still work?
    python3 dev.py bench limits             only what limits cost a call (limits.py)
    python3 dev.py bench profile            where the web process spends its time under load

Every row is measured `--rounds` times, the rows taking turns, so that a busy neighbour hits all
alike; the best of a row counts. Fails if any answer was not 200, or the books are not exact.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pstats
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import cpu, limits, memory
from bench.report import Result, limited, report
from bench.world import DATABASE, ECHO, HERE, TPCB, BenchFailed, World

ACCOUNTS = 20_000
PGBENCH_CLIENTS = (16, 64)
"""As the reference driver has them: in its headline, and in its matrix."""
CALM_RATE = 100
PINNED = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
"""As our own lanes (common/db.py): else PostgreSQL reads the almost empty holds as a whole."""


@dataclass
class Bench:
    """One run."""

    world: World
    seconds: float
    rounds: int
    connections: int
    results: list[Result] = field(default_factory=list)

    def run(self, waiting_seconds: float) -> dict[str, float]:
        """Measure every row; return the figures of memory."""
        self.world.start_web()
        self.world.run(self.load("web", accounts=ACCOUNTS, seconds=min(1.5, self.seconds)))
        self.meet_limits()
        for _ in range(self.rounds):
            self.row("nginx", self.load("relay"), "relay")
            self.row("many", self.load("web", accounts=ACCOUNTS), "web", "postgres")
            self.row(
                "unnamed",
                self.load("web", accounts=ACCOUNTS, idempotent=False),
                "web",
                "postgres",
            )
            self.row("hot", self.load("web"), "web", "postgres")
            self.under_limits()
            for clients in PGBENCH_CLIENTS:
                self.row(f"hold+settle {clients}", self.pgbench(DATABASE, clients), "postgres")
                self.row(f"tpcb {clients}", self.pgbench(TPCB, clients), "postgres")
            self.row("calm", self.load("web", accounts=ACCOUNTS, rate=CALM_RATE), "web", "postgres")
            self.row("calm nginx", self.load("relay", rate=CALM_RATE), "relay")
        self.world.stop("web")
        self.world.start_slow_vendor(waiting_seconds)
        self.world.start_web("slow")
        waiting, reading = asyncio.run(memory.measure(self.world))
        self.world.stop("web")
        self.world.reconcile()
        return {"waiting": waiting, "reading": reading}

    def run_limits(self) -> None:
        """Measure what limits cost."""
        self.world.start_web()
        self.meet_limits()
        for _ in range(self.rounds):
            self.under_limits()
        self.world.stop("web")
        self.world.reconcile()

    def meet_limits(self) -> None:
        """Have each key call: its first call looks its budgets up."""
        numbers = ACCOUNTS + 1, ACCOUNTS + limits.MEMBERS
        self.world.run(self.load("web", numbers=numbers, seconds=4))

    def under_limits(self) -> None:
        """Measure the rows of limits.py once, and one where half of each hold is given back."""
        numbers = limits.groups(ACCOUNTS)
        for name, group, most in (
            ("free", "free", 1),
            ("limited", "limited", 1),
            ("free halved", "free", 2),
            ("limited halved", "limited", 2),
            ("team", "team", 1),
        ):
            command = self.load("web", numbers=numbers[group], most=most)
            self.row(name, command, "web", "postgres")

    def row(self, name: str, command: list[str], *measured: str) -> None:
        """Run a load once; note what it did, and the CPU that the services took for it."""
        before = {each: cpu.seconds(self.world.pid(each)) for each in measured}
        machine, ours, began = cpu.machine_seconds(), cpu.seconds(os.getpid()), time.monotonic()
        said = self.world.run(command, PGOPTIONS=PINNED if name.startswith("hold") else "")
        wall = time.monotonic() - began
        ours = cpu.seconds(os.getpid()) - ours
        machine = cpu.machine_seconds() - machine
        done = pgbench_said(said) if command[0] == self.world.pgbench else json.loads(said)
        if done["lost"] or set(done["statuses"]) != {"200"}:
            raise BenchFailed(f"{name}: answers {done['statuses']}, {done['lost']} lost")
        result = Result(
            name=name,
            calls=done["calls"],
            per_second=done["per_second"],
            micros={
                each: 1e6 * (cpu.seconds(self.world.pid(each)) - before[each]) / done["calls"]
                for each in measured
            },
            p50_ms=done["p50_ms"],
            p99_ms=done["p99_ms"],
            others=max(0.0, (machine - ours) / wall),
        )
        self.results.append(result)
        print(
            f"{name:<15}{result.per_second:>9,.0f}/s"
            + "".join(f"{micros:>8,.0f} µs {each}" for each, micros in result.micros.items()),
            file=sys.stderr,
            flush=True,
        )

    def load(
        self,
        service: str,
        *,
        accounts: int = 1,
        numbers: tuple[int, int] | None = None,
        most: int = 1,
        rate: int = 0,
        seconds: float = 0,
        idempotent: bool = True,
    ) -> list[str]:
        """Return the command that makes calls on a service."""
        url = self.world.url(service, "/proxy" + ECHO if service == "web" else ECHO)
        command = [sys.executable, "-m", "bench.load", url]
        command += ["--connections", str(self.connections), "--rate", str(rate)]
        first, last = numbers or (1, accounts)
        command += ["--seconds", str(seconds or self.seconds), "--most", str(most)]
        command += ["--accounts", str(first), str(last)]
        return [*command, "--idempotent"] if idempotent else command

    def pgbench(self, database: str, clients: int) -> list[str]:
        """Return the command that works on a database, as TPC-B or by our own script."""
        command = [self.world.pgbench, "-n", "-M", "prepared", "-j", "1"]
        command += ["-c", str(clients), "-T", str(max(1, round(self.seconds)))]
        if database == DATABASE:
            command += ["-D", f"accounts={ACCOUNTS}"]
            command += ["-f", str(HERE / "pgbench" / "hold_settle.sql")]
        return [*command, self.world.cluster.dsn(database)]


def pgbench_said(text: str) -> dict[str, Any]:
    """Read pgbench's own report."""

    def number(pattern: str) -> float:
        found = re.search(pattern, text)
        if found is None:
            raise BenchFailed(f"pgbench did not say {pattern!r}: {text[-200:]}")
        return float(found[1])

    calls = int(number(r"actually processed: (\d+)"))
    return {
        "calls": calls,
        "per_second": number(r"tps = ([\d.]+)"),
        "p50_ms": 0.0,
        "p99_ms": 0.0,
        "statuses": {"200": calls},
        "lost": int(number(r"failed transactions: (\d+)")),
    }


def profile(world: World, options: argparse.Namespace) -> None:
    """Print what the web process does under the load of many accounts."""
    file = world.folder / "web.profile"
    world.start_web(profile=file)
    bench = Bench(world, options.seconds, 1, options.connections)
    world.run(bench.load("web", accounts=ACCOUNTS, seconds=1))
    bench.row("profiled", bench.load("web", accounts=ACCOUNTS), "web", "postgres")
    world.stop("web", number=signal.SIGINT)
    stats = pstats.Stats(str(file)).strip_dirs()
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(options.top)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=["table", "limits", "profile"], default="table")
    parser.add_argument(
        "--seconds", type=float, help="of each measurement (4; limits: 1; profile: 10)"
    )
    parser.add_argument("--rounds", type=int, help="of which the best counts (2; limits: 20)")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="one round of 2 s, short waits")
    parser.add_argument("--out", type=Path, help="append every measurement, as JSON lines")
    parser.add_argument("--top", type=int, default=30, help="functions that `profile` shows")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = options.seconds or 2, 1
    options.seconds = options.seconds or {"profile": 10, "limits": 1}.get(options.what, 4)
    options.rounds = options.rounds or (20 if options.what == "limits" else 2)
    try:
        with World(ACCOUNTS) as world:
            if options.what == "profile":
                profile(world, options)
                return 0
            bench = Bench(world, options.seconds, options.rounds, options.connections)
            if options.what == "limits":
                bench.run_limits()
                print(limited(bench.results))
                return 0
            kib = bench.run(waiting_seconds=5 if options.quick else 15)
    except BenchFailed as why:
        print(f"bench: {why}", file=sys.stderr)
        return 1
    if options.out:
        with options.out.open("a") as out:
            out.writelines(json.dumps(asdict(result)) + "\n" for result in bench.results)
            out.write(json.dumps({"name": "memory", **kib}) + "\n")
    print(report(bench.results, kib))
    return 0


if __name__ == "__main__":
    sys.exit(main())
