"""`--prove`: load, one thing after the other that breaks, and answers held against the books."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from local.cluster.ledger import Found, Row, judge, longest_gap
from local.cluster.load import Load, Payer
from local.cluster.scenes import SCENES
from local.supervisor import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from local.cluster.ledger import Ask
    from local.cluster.load import File
    from local.cluster.running import Running

PAYERS = 6
CREDITS_USD = 100
WHOLE_SECONDS = 300
"""So long it may take until all is as before."""
SETTLED_SECONDS = 180
"""So long until no hold is left: a job that nobody polls, and the hold of who died, need that."""
MEMBERS = """
import json
from django.core.management import call_command
from accounts.models import User
if not User.objects.filter(is_staff=True).exists():
    call_command("member", "add", "staff@example.org", staff=True)
for number in range(%d):
    call_command(
        "member", "add", f"payer{number}@example.org", "--credits", "%d", "--key", "proof",
        "--by", "staff@example.org", "--reason", "proof", "--json",
    )
"""
"""One program makes them all: each takes seconds to begin."""
BOOKED = """
    SELECT call.id::text, call.run_id, call.workspace_id::text, call.charged_micros,
           array_remove(array_agg(entry.amount_micros), NULL)
      FROM usage_call call
      LEFT JOIN credits_entry entry ON entry.key = 'call:' || call.id
     WHERE call.workspace_id = ANY(%s) AND call.started_at >= %s
     GROUP BY 1, 2, 3, 4, call.number
"""
HELD = "SELECT count(*) FROM credits_hold"
NOW = "SELECT now()"


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of one scene."""

    title: str
    gap: float
    """The longest time in which nobody got a 200."""
    waited: float
    """The longest that one caller waited for the answer to one ask."""
    answers: int
    again: int
    """Tries that had to be made once more."""
    found: Found


def prove(
    cluster: Running, only: Sequence[str] | None, *, rate: float, say: Callable[[str], None]
) -> int:
    """Play the scenes under load; return 0 if nothing was lost or doubled and the books agree."""
    payers = members(cluster)
    assert cluster.certificate is not None, "it was made at the start"
    load = Load(cluster.url, cluster.certificate.authority, payers, rate)
    wait_whole(cluster, load)
    since = asked_books(cluster, NOW)[0][0]
    load.start()
    cluster.supervisor.tend(3)
    spans: dict[str, tuple[float, float]] = {}
    for name in only or SCENES:
        began = time.monotonic()
        try:
            play(cluster, load, name)
        except Failed as why:  # What was lost until then is told all the same.
            stuck = str(why)
            break
        finally:
            spans[name] = began, time.monotonic()
        say(f"played: {SCENES[name].title}")
    else:
        stuck = ""
    load.scene = "end"
    load.finish()
    settle(cluster, load)
    status = conclude(cluster, load, spans, booked(cluster, payers, since), say=say)
    if stuck:
        say(stuck)
    return status or int(bool(stuck))


def members(cluster: Running) -> list[Payer]:
    """Make members with credits and a key each; those of an earlier proof get a key more."""
    told = cluster.manage("shell", "-v", "0", given=MEMBERS % (PAYERS, CREDITS_USD))
    made = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return [Payer(each["workspace_id"], each["api_key"]) for each in made]


def play(cluster: Running, load: Load, name: str) -> None:
    """Break it, let it be, mend it, and wait until all is whole; Failed if it never is."""
    scene = SCENES[name]
    load.scene = name
    undo = scene.strike(cluster)
    cluster.supervisor.tend(scene.lasts_seconds)
    undo()
    wait_whole(cluster, load)
    cluster.supervisor.tend(3)


def wait_whole(cluster: Running, load: Load) -> None:
    """Return when there is a primary, its standbys, and all web machines; Failed if not soon."""

    def ready() -> bool:
        load.check()
        return cluster.is_whole()

    otherwise = f"after {load.scene or 'the start'} it did not become whole again: see the logs"
    cluster.wait_for(ready, otherwise, limit=WHOLE_SECONDS)


def settle(cluster: Running, load: Load) -> None:
    """Return when every caller has its answer, and nothing is held any more."""
    end = time.monotonic() + SETTLED_SECONDS
    while (not load.is_over or held(cluster)) and time.monotonic() < end:
        load.check()
        cluster.supervisor.tend(1)


def held(cluster: Running) -> int:
    """Return how many holds are open."""
    return int(asked_books(cluster, HELD)[0][0])


def booked(cluster: Running, payers: Sequence[Payer], since: datetime) -> list[Row]:
    """Return every call of these payers in the books since then, with what was posted for it."""
    found = asked_books(cluster, BOOKED, [payer.wallet for payer in payers], since)
    return [Row(call, name, wallet, cost, tuple(each)) for call, name, wallet, cost, each in found]


def asked_books(cluster: Running, question: LiteralString, *given: object) -> list[tuple[Any, ...]]:
    """Return what the primary says."""
    with psycopg.connect(cluster.dsn("owner")) as db:
        return db.execute(question, given).fetchall()


def conclude(
    cluster: Running,
    load: Load,
    spans: dict[str, tuple[float, float]],
    rows: Sequence[Row],
    *,
    say: Callable[[str], None],
) -> int:
    """Say what came of each scene and of the books; return 0 if nothing is wrong."""
    found = judge(load.asks, rows)
    moments = load.successes()
    lines = [
        line_of(SCENES[name].title, load.asks, name, longest_gap(moments, *span), found)
        for name, span in spans.items()
    ]
    left = [line for name in found.keys() - spans.keys() for line in found[name].lines()]
    left += [f"nobody was answered: {line.title}" for line in lines if not line.answers]
    if holds := held(cluster):
        left.append(f"{holds} holds are open still")
    left += [f"not as it was put: {file.address}" for file in load.files if not kept(file)]
    proofs, status = reconciled(cluster)
    for text in (*table(lines), *left, *proofs):
        say(text)
    return status or int(bool(left) or any(not line.found.is_clean for line in lines))


def line_of(
    title: str, asks: Sequence[Ask], scene: str, gap: float, found: dict[str, Found]
) -> Line:
    """Return what is told of a scene."""
    own = [ask for ask in asks if ask.scene == scene]
    waits = [ask.answers[0].at - ask.began for ask in own if ask.answers]
    return Line(
        title,
        gap,
        max(waits, default=0.0),
        len(waits),
        sum(1 for ask in own for each in ask.tries if each.status != 200),
        found.get(scene, Found()),
    )


def kept(file: File) -> bool:
    """Whether a file is in the bucket as it was put."""
    try:
        with urllib.request.urlopen(file.address, timeout=10) as answer:  # noqa: S310 - our own
            return bool(answer.read() == file.content)
    except OSError:
        return False


def table(lines: Sequence[Line]) -> list[str]:
    """Return the table that is printed, in Markdown, and each thing that is wrong below it."""
    head = ("event", "no 200 for", "one waited", "answers", "tried again", "lost", "doubled")
    rows = [
        (
            line.title,
            f"{line.gap:.1f} s",
            f"{line.waited:.1f} s",
            f"{line.answers:,}",
            f"{line.again:,}",
            str(len(line.found.lost) + len(line.found.unanswered)),
            str(len(line.found.doubled) + len(line.found.unexplained)),
        )
        for line in lines
    ]
    told = ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    told += ["| " + " | ".join(row) + " |" for row in rows]
    return [*told, "", *(each for line in lines for each in line.found.lines())]


def reconciled(cluster: Running) -> tuple[list[str], int]:
    """Return what `manage.py reconcile` says, and 1 if something differs."""
    try:
        told = cluster.manage("reconcile")
    except Failed as why:
        return [str(why)], 1
    proofs = Counter(line.split()[0] for line in told.splitlines() if not line.startswith(" "))
    return [f"reconcile: {proofs['ok']} proofs, all clean"], 0
