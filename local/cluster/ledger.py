"""What callers were told, held against the books: was an answer lost, or paid for twice.

A caller's intention is an `Ask`: it has a name, which is its Idempotency-Key and, as
`Comfy-Job-Id`, stands beside each call in the books. It is tried until it has a final answer. Then

    told 200      one call in the books, of that id, with what the caller was told as its price
                  and one entry of that amount; no other charged call has the ask's name
    told 422      the platform said that it cannot know what the vendor did: nothing is charged
    told nothing  nothing is charged
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from common.money import credits_text, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

UNKNOWN = "outcome_unknown"


@dataclass(frozen=True, slots=True)
class Try:
    """One request of an ask, and what came of it; status 0: no answer, or not the whole of one."""

    at: float
    """When the answer was there, by this machine's steady clock."""
    status: int
    code: str = ""
    """Of a refusal."""
    call: str = ""
    credits: str = ""
    """What the answer said that it cost."""


@dataclass(slots=True)
class Ask:
    """One thing that a caller wants, once."""

    name: str
    wallet: str
    scene: str
    """What was going on when it began."""
    began: float
    tries: list[Try] = field(default_factory=list)

    @property
    def answers(self) -> list[Try]:
        """Its answers with 200."""
        return [each for each in self.tries if each.status == 200]

    @property
    def is_final(self) -> bool:
        """Whether its caller knows what became of it."""
        return bool(self.answers) or any(each.code == UNKNOWN for each in self.tries)


@dataclass(frozen=True, slots=True)
class Row:
    """A call in the books."""

    call: str
    name: str
    wallet: str
    charged: int
    entries: tuple[int, ...]
    """The amounts of what was posted for it."""


@dataclass(slots=True)
class Found:
    """What is wrong, one line each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is."""
        return not (self.lost or self.doubled or self.unexplained or self.unanswered)

    def lines(self) -> list[str]:
        """Return each with its kind."""
        kinds = ("lost", "doubled", "unexplained", "unanswered")
        return [f"{kind}: {line}" for kind in kinds for line in getattr(self, kind)]


def judge(asks: Sequence[Ask], rows: Iterable[Row]) -> dict[str, Found]:
    """Hold what callers were told against the books; return what is wrong by scene.

    A charged call that no ask explains is of the scene "".
    """
    found: dict[str, Found] = defaultdict(Found)
    by_name: dict[str, list[Row]] = defaultdict(list)
    by_id: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_name[row.name].append(row)
        by_id[row.call].append(row)
    given = Counter(call for ask in asks for call in {each.call for each in ask.answers})
    for ask in asks:
        _judge(ask, by_name.pop(ask.name, []), by_id, given, found[ask.scene])
    for name, left in by_name.items():
        for row in left:
            if row.charged:
                said = f"call {row.call} cost {show(row.charged)}, and nobody asked for {name!r}"
                found[""].unexplained.append(said)
    return dict(found)


def _judge(
    ask: Ask,
    rows: list[Row],
    by_id: Mapping[str, list[Row]],
    given: Mapping[str, int],
    found: Found,
) -> None:
    ids = {each.call for each in ask.answers}
    charged = [row for row in rows if row.charged]
    if len(charged) > 1 or len(ids) > 1:
        calls = ", ".join(sorted({row.call for row in charged} | ids))
        found.doubled.append(f"{ask.name} is {len(charged)} charged calls: {calls}")
    for each in ids:
        if given[each] > 1:
            found.doubled.append(f"{ask.name} had the answer of another ask: call {each}")
        if (why := _missing(ask, each, by_id.get(each, []))) is not None:
            found.lost.append(f"{ask.name}: {why}")
    for row in charged:
        if not ids:
            said = f"call {row.call} cost {show(row.charged)}, and {ask.name} had no answer"
            found.unexplained.append(said)
        if len(row.entries) > 1:
            found.doubled.append(f"{ask.name}: call {row.call} has {len(row.entries)} entries")
    if not ask.is_final:
        found.unanswered.append(f"{ask.name} was tried {len(ask.tries)} times")


def _missing(ask: Ask, call: str, rows: list[Row]) -> str | None:
    """Return what the books lack of an answer that was given; None if it is all there."""
    if not rows:
        return f"call {call} was answered, and is not in the books"
    row = rows[0]
    told = next((each.credits for each in ask.answers if each.call == call and each.credits), "")
    if (row.name, row.wallet) != (ask.name, ask.wallet):
        return f"call {call} is somebody else's in the books"
    if credits_text(row.charged) != (told or "0"):
        return f"call {call} said {told or '0'} credits, and cost {credits_text(row.charged)}"
    if sum(row.entries) != row.charged:
        return f"call {call} cost {show(row.charged)}, and {show(sum(row.entries))} was posted"
    return None


def longest_gap(moments: Iterable[float], began: float, ended: float) -> float:
    """Return the longest time between two neighbouring moments of a span, its ends among them."""
    within = sorted(each for each in moments if began < each < ended)
    edges = [began, *within, ended]
    return max(after - before for before, after in pairwise(edges))
