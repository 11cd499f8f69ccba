"""A batch of holds to place, with the outcome of one after the other.

The statement of `batches.place_many` serves what fits in running sums, and counts in them also what
itself did not fit. So who comes after such a neighbour is judged again here, by what each row says
there was, and asks once more if that is enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from credits.books import limits


class Ask(Protocol):
    """What is looked at in an ask."""

    @property
    def amount(self) -> int:
        """Micros to set aside."""

    @property
    def intent(self) -> str | None:
        """The caller's name for its intention."""

    @property
    def keyed(self) -> bool:
        """Whether the hold takes the intent for itself."""


class Answer(NamedTuple):
    """A row of the statement: what came of an ask."""

    n: int
    wallet: str
    verdict: str
    available: int | None
    """Micros that the wallet had free before this batch."""
    frozen: str | None
    """The sentence of a freeze."""
    facts: str | None
    """The payer's."""
    earlier: str | None
    """The open hold of which it is a repeat."""
    open: int | None = None
    """Of a statement with limits: how many of its size were open, before this batch."""
    most: int | None = None
    """How many may be; None: any number."""
    budgets: list[dict[str, Any]] | None = None
    """Those that it is under, where somebody of the batch did not fit."""
    told: dict[str, Any] | None = None
    """In the end: the limit that refused it; or, if it was placed, how many may be open at once
    (`most`) and are (`open`), where that is limited.
    """

    @property
    def room(self) -> limits.Room:
        """What there was for it."""
        return limits.Room(
            self.available or 0, self.open or 0, self.most, tuple(self.budgets or ())
        )


Asks = TypeVar("Asks", bound=Ask)
Row: TypeAlias = tuple[Any, ...]
Run: TypeAlias = Callable[[Sequence[Asks]], Awaitable[list[Row]]]
Outcome: TypeAlias = Answer | Exception


def one_by_one(asks: Sequence[Ask], answers: Sequence[Answer]) -> list[Answer]:
    """Return what each would come to, did each begin when the one before has ended, at its most.

    The answers are those of the statement of `judge_many`.
    """
    left = limits.Left()
    judged = []
    for ask, answer in zip(asks, answers, strict=True):
        verdict, told = answer.verdict, None
        if verdict in ("placed", limits.WAITS, *limits.VERDICTS):
            verdict, told = left.judge(answer.wallet, answer.room, ask.amount)
        if verdict == "placed":
            left.spend(answer.wallet, answer.room, ask.amount)
        judged.append(answer._replace(verdict=verdict, told=told or None))
    return judged


FITS = "fits"
"""The verdict, in between, on an ask for which there was enough after all."""


async def in_turn(asks: Sequence[Asks], run: Run[Asks]) -> list[Outcome]:
    """Place a batch with the outcome of one after the other; return what came of each.

    What the first statement raises is raised: then nothing was placed. What a later one raises is
    the answer of those who were in it: the others keep theirs.

    `run` sends the statement of `place_many`. Mostly that is once: again for who still fits after
    a larger neighbour did not, and for who has a key and does not fit; and a batch is parted before
    an ask whose intent it holds already.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(asks):
        part: list[Asks] = []
        intents: set[str | None] = set()
        for ask in asks[len(outcomes) :]:
            if ask.keyed and ask.intent in intents:
                break
            intents.add(ask.intent if ask.keyed else None)
            part.append(ask)
        try:
            outcomes += await _part(part, run)
        except Exception as exc:
            if not outcomes:
                raise
            outcomes += [exc] * len(part)
    return outcomes


async def _part(asks: Sequence[Asks], run: Run[Asks]) -> list[Outcome]:
    outcomes = await _serve(asks, run)
    # What is missing may be held by its own first try, placed by another process while this
    # statement waited for the wallet: then its intent is seen only now, and it is a repeat.
    repeats = [
        place
        for place, (ask, outcome) in enumerate(zip(asks, outcomes, strict=True))
        if ask.keyed and isinstance(outcome, Answer) and outcome.verdict in limits.VERDICTS
    ]
    refused = [outcomes[place] for place in repeats]
    await _again(repeats, asks, outcomes, run)
    for place, before in zip(repeats, refused, strict=True):
        now = outcomes[place]
        if isinstance(now, Answer) and now.verdict in limits.VERDICTS:
            outcomes[place] = before  # As it was in its turn: who came after may hold more by now.
    return outcomes


async def _serve(asks: Sequence[Asks], run: Run[Asks]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    outcomes += _one_after_the_other(asks, [Answer(*row) for row in await run(asks)])
    fit = [
        place
        for place, outcome in enumerate(outcomes)
        if isinstance(outcome, Answer) and outcome.verdict == FITS
    ]
    await _again(fit, asks, outcomes, run)
    return outcomes


async def _again(
    places: list[int], asks: Sequence[Asks], outcomes: list[Outcome], run: Run[Asks]
) -> None:
    if not places:
        return
    try:
        answers = await _serve([asks[place] for place in places], run)
    except Exception as exc:
        answers = [exc] * len(places)
    for place, answer in zip(places, answers, strict=True):
        outcomes[place] = answer


def _one_after_the_other(asks: Sequence[Ask], answers: list[Answer]) -> list[Answer]:
    """Return the answers with the verdicts that limits come to, had no neighbour been in the way.

    The first that is refused is judged alike, so there are less to ask again than there were.
    """
    left = limits.Left()
    judged = []
    for ask, answer in zip(asks, answers, strict=True):
        verdict, told = answer.verdict, None
        if verdict in limits.VERDICTS or verdict == limits.WAITS:
            verdict, told = left.judge(answer.wallet, answer.room, ask.amount)
            if verdict == "placed":
                verdict = FITS
        if verdict in ("placed", FITS):
            room = answer.room
            is_open = left.take(answer.wallet, room, ask.amount)
            told = None if room.concurrency is None else {"most": room.concurrency, "open": is_open}
        judged.append(answer._replace(verdict=verdict, told=told))
    # Or they would be asked for ever.
    assert not judged or any(each.verdict != FITS for each in judged), "the statement judges alike"
    return judged
