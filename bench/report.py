"""The table: the best of each row, and the goals as ratios inside the run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ROWS = {
    "nginx": "nginx, plain relay (the floor)",
    "many": "metered call, many accounts",
    "unnamed": "the same without Idempotency-Key",
    "hot": "metered call, one hot account",
    "free": "metered call, 500 accounts without limits",
    "limited": "the same under three budgets and slots",
    "free halved": "without limits, half of each hold given back",
    "limited halved": "the same under three budgets and slots",
    "team": "200 keys of one workspace, under four budgets and slots",
    "hold+settle 16": "pgbench hold + settle, single statements, 16 clients",
    "hold+settle 64": "the same with 64 clients",
    "tpcb 16": "pgbench TPC-B, 16 clients",
    "tpcb 64": "pgbench TPC-B, 64 clients",
    "calm": "metered call, 100/s",
    "calm nginx": "nginx, 100/s",
}


@dataclass(frozen=True)
class Result:
    """One measurement; `others` is how many cores somebody else kept busy meanwhile."""

    name: str
    calls: int
    per_second: float
    micros: dict[str, float]
    p50_ms: float
    p99_ms: float
    others: float


def best(results: list[Result], name: str) -> Result:
    """Return the best figure of each kind that a row reached."""
    same = [result for result in results if result.name == name]
    calmest = min(same, key=lambda result: result.p50_ms)
    return Result(
        name=name,
        calls=sum(result.calls for result in same),
        per_second=max(result.per_second for result in same),
        micros={each: min(result.micros[each] for result in same) for each in same[0].micros},
        p50_ms=calmest.p50_ms,
        p99_ms=calmest.p99_ms,
        others=max(result.others for result in same),
    )


def report(results: list[Result], kib: dict[str, float]) -> str:
    """Return both tables as markdown."""
    rows = {name: best(results, name) for name in ROWS}
    goals = [*_goals(rows, kib), *_of_limits(results)]
    return "\n".join([*_measured(rows), "", *goals, "", _noise(results)])


def limited(results: list[Result]) -> str:
    """Return what limits cost, as markdown."""
    names = dict.fromkeys(result.name for result in results)
    rows = {name: best(results, name) for name in names}
    head = "| goal | must | measured | |", "|---|--:|--:|---|"
    return "\n".join([*_measured(rows), "", *head, *_of_limits(results), "", _noise(results)])


def _of_limits(results: list[Result]) -> Iterator[str]:
    def cpu(result: Result) -> float:
        return sum(result.micros.values())

    for name, others, than in (
        ("limited", "free", "limits"),
        ("limited halved", "free halved", "limits, half of each hold given back"),
    ):
        cost = _quotient(results, name, others, cpu)
        yield _goal(f"CPU under {than}, against none", "<= 1.15x", f"{cost:.2f}x", cost <= 1.15)
    rate = _quotient(results, "team", "limited", lambda result: result.per_second)
    yield _goal("200 keys of one workspace, against many", ">= 0.8x", f"{rate:.2f}x", rate >= 0.8)


def _quotient(results: list[Result], name: str, other: str, of: Callable[[Result], float]) -> float:
    """Return the median of the rounds' quotients: each is of two moments near to each other."""
    one, another = ([of(each) for each in results if each.name == row] for row in (name, other))
    return statistics.median(a / b for a, b in zip(one, another, strict=True))


def _measured(rows: dict[str, Result]) -> Iterator[str]:
    yield "| | calls/s | web µs | PostgreSQL µs | p50 ms | p99 ms | others, cores |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, row in rows.items():
        web = row.micros.get("web", row.micros.get("relay"))
        cells = [
            f"{row.per_second:,.0f}",
            "" if web is None else f"{web:,.0f}",
            f"{row.micros['postgres']:,.0f}" if "postgres" in row.micros else "",
            f"{row.p50_ms:.2f}" if row.p50_ms else "",
            f"{row.p99_ms:.2f}" if row.p99_ms else "",
            f"{row.others:.2f}",
        ]
        yield f"| {ROWS[name]} | {' | '.join(cells)} |"


def _goals(rows: dict[str, Result], kib: dict[str, float]) -> Iterator[str]:
    ours, floor = rows["many"], rows["nginx"].micros["relay"]
    spent = sum(ours.micros.values())
    added = rows["calm"].p50_ms - rows["calm nginx"].p50_ms
    hot = rows["hot"].per_second / ours.per_second
    yield "| goal | must | measured | |"
    yield "|---|--:|--:|---|"
    yield _goal("web + PostgreSQL CPU of a call", "<= 300 µs", f"{spent:,.0f} µs", spent <= 300)
    yield _goal("the same against nginx", "<= 25x", f"{spent / floor:.1f}x", spent <= 25 * floor)
    for each, what, least in (
        ("hold+settle", "pgbench hold + settle", 0.8),
        ("tpcb", "pgbench TPC-B", 1.0),
    ):
        for clients in (16, 64):
            got = ours.per_second / rows[f"{each} {clients}"].per_second
            name = f"calls/s against {what}, {clients} clients"
            yield _goal(name, f">= {least}x", f"{got:.2f}x", got >= least)
    yield _goal("one hot account against many", ">= 0.8x", f"{hot:.2f}x", hot >= 0.8)
    yield _goal("a waiting relay", "<= 32 KiB", f"{kib['waiting']:.1f} KiB", kib["waiting"] <= 32)
    yield _goal(
        "a slow reader of 10 MiB",
        "<= 2,048 KiB",
        f"{kib['reading']:,.0f} KiB",
        kib["reading"] <= 2048,
    )
    yield _goal("p50 added over nginx at 100/s", "<= 3 ms", f"{added:.2f} ms", added <= 3)


def _goal(what: str, must: str, measured: str, reached: bool) -> str:
    return f"| {what} | {must} | {measured} | {'ok' if reached else 'MISSED'} |"


def _noise(results: list[Result]) -> str:
    cores = sorted(result.others for result in results)
    return (
        f"Every answer was 200 and the books are exact. Others kept {cores[len(cores) // 2]:.2f}"
        f" cores busy (median; at most {cores[-1]:.2f})."
    )
