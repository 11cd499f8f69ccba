"""What is done, and when: drawn ahead from a seed, so that the same seed draws the same again.

A draw is a name, the second of the run at which it begins, and its values. Two lanes go side by
side: what breaks (`acts.py`), one after the other, and what people do meanwhile (`moves.py`).
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TROUBLE, PEOPLE = "trouble", "people"
PROGRAMS = (
    "web1", "web2", "worker", "jobs", "beat", "runner", "machine", "vendors", "stripe", "redis",
    "postgres",
)  # fmt: skip
STEPPED = "web2"
"""The program whose clock is moved."""
LIES = (
    "nonjson", "cut", "drop_before", "drop_after", "status=500", "status=429", "status=503", "echo",
)  # fmt: skip
FAULTS = ("status=503", "status_after=500", "drop_before", "drop_after", "slow=2", "status=429")
MEMBERS = 5


@dataclass
class Draw:
    """One thing that is done; `at` is a second of the run."""

    number: int
    lane: str
    act: str
    at: float
    values: dict[str, Any] = field(default_factory=dict)

    def told(self) -> str:
        values = " ".join(f"{name}={value}" for name, value in self.values.items())
        return f"{self.act} {values}".rstrip()


def draw(seed: int, *, seconds: float) -> list[Draw]:
    """Draw what is done in so many seconds, in the order of its beginning."""
    dice = random.Random(seed)
    drawn: list[Draw] = []
    for lane, table, pause in ((TROUBLE, TROUBLES, (2, 9)), (PEOPLE, MOVES, (1, 5))):
        at = 3.0
        while at < seconds:
            (act,) = dice.choices(list(table), [weight for weight, _ in table.values()])
            values = table[act][1](dice)
            drawn.append(Draw(0, lane, act, round(at, 1), values))
            at += dice.uniform(*pause) + values.get("seconds", 0) + values.get("down", 0)
    drawn.sort(key=lambda each: each.at)
    for number, each in enumerate(drawn, 1):
        each.number = number
    return drawn


def read(journal: Path) -> tuple[int, list[Draw]]:
    """Return the seed of a run before, and its draws, each at the second at which it did begin."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    names = Draw.__dataclass_fields__
    found = [
        Draw(**{**{name: line[name] for name in names}, "at": line["begun"]})
        for line in lines
        if "begun" in line
    ]
    return int(lines[0]["seed"]), sorted(found, key=lambda each: (each.at, each.number))


def head(seed: int) -> str:
    """Return the first line of a journal."""
    return json.dumps({"seed": seed}) + "\n"


def noted(each: Draw, **more: Any) -> str:
    """Return a draw as a line of the journal."""
    return json.dumps({**asdict(each), **more}) + "\n"


def _seconds(least: float, most: float) -> Any:
    return lambda dice: {"seconds": round(dice.uniform(least, most), 1)}


def _kill(dice: random.Random) -> dict[str, Any]:
    return {"program": dice.choice(PROGRAMS), "down": round(dice.uniform(0, 6), 1)}


def _freeze(dice: random.Random) -> dict[str, Any]:
    program = dice.choice(PROGRAMS)
    # Some longer than the silence after which a program's holds are orphaned.
    most = 40.0 if program in ("web1", "web2") and dice.random() < 0.4 else 8.0
    return {"program": program, "seconds": round(dice.uniform(1, most), 1)}


def _lie(dice: random.Random) -> dict[str, Any]:
    return {"lie": dice.choice(LIES), "times": dice.randint(3, 30)}


def _slow(dice: random.Random) -> dict[str, Any]:
    return {"lie": f"slow={dice.choice((2, 5, 15))}", "times": dice.randint(3, 15)}


def _stripe_faults(dice: random.Random) -> dict[str, Any]:
    method = dice.choice(("POST", "GET"))
    return {"failure": dice.choice(FAULTS), "times": dice.randint(1, 4), "method": method}


def _scramble(dice: random.Random) -> dict[str, Any]:
    return {
        "duplicate": dice.randint(0, 3), "reorder": dice.random() < 0.7,
        "drop_next": dice.randint(0, 3), "seconds": round(dice.uniform(3, 8), 1),
    }  # fmt: skip


def _member(dice: random.Random, **more: Any) -> dict[str, Any]:
    return {"member": dice.randrange(MEMBERS), **more}


TROUBLES: dict[str, tuple[float, Any]] = {
    "kill": (6, _kill),
    "freeze": (3, _freeze),
    "redeploy": (1, lambda dice: {"program": dice.choice(("web1", "web2", "worker", "runner"))}),
    "fill_disk_of_books": (1, _seconds(2, 6)),
    "fill_disk_of_files": (1, _seconds(3, 8)),
    "exhaust_connections": (1, _seconds(2, 7)),
    "cut_connections": (1, lambda _: {}),
    "lock_wallet": (1, lambda dice: _member(dice, seconds=round(dice.uniform(1, 5), 1))),
    "step_clock": (1, lambda dice: {"step": dice.choice((-86_400, -300, -20, 20, 300, 86_400)),
                                    "seconds": round(dice.uniform(3, 8), 1)}),
    "vendor_lies": (2, _lie),
    "vendor_is_slow": (1, _slow),
    "stripe_fails": (1, _stripe_faults),
    "scramble_events": (1, _scramble),
}  # fmt: skip
"""How often each comes, beside the others, and what gives it its values."""

MOVES: dict[str, tuple[float, Any]] = {
    "buy": (5, lambda dice: _member(dice, dollars=dice.randint(5, 30))),
    "refund": (2, lambda dice: _member(dice, share=round(dice.random(), 2))),
    "give": (2, lambda dice: _member(dice, cents=dice.randint(1, 900))),
    "take": (2, lambda dice: _member(dice, cents=dice.randint(1, 200))),
    "freeze_wallet": (1, lambda dice: _member(dice, seconds=round(dice.uniform(1, 4), 1))),
    "voucher": (2, lambda dice: _member(dice, cents=dice.randint(1, 500),
                                        stopped=dice.random() < 0.4)),
    "publish_prices": (1, lambda dice: {"percent": dice.randint(-20, 60)}),
    "vendor_off": (1, _seconds(0.5, 3)),
    "maintenance": (0.5, _seconds(0.5, 3)),
    "rotate_key": (2, _member),
    "revoke_key": (1, _member),
    "limit_key": (1, lambda dice: _member(dice, seconds=round(dice.uniform(1, 4), 1))),
    "budget": (2, lambda dice: _member(dice, cents=dice.randint(1, 50),
                                       seconds=round(dice.uniform(1, 6), 1))),
    "limit_at_once": (1, lambda dice: _member(dice, most=dice.randint(0, 3),
                                              seconds=round(dice.uniform(1, 4), 1))),
    "run": (4, lambda dice: _member(dice, works=round(dice.uniform(0.2, 4), 1),
                                    calls=dice.randint(0, 2), canceled=dice.random() < 0.2)),
    "ask_deletion": (1, lambda dice: _member(dice, seconds=round(dice.uniform(1, 5), 1),
                                             confirmed=dice.random() < 0.5)),
}  # fmt: skip
