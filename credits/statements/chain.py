"""A wallet's lines as a chain of hashes, and the proof of a downloaded statement.

    python -m credits.statements.chain FILE

Each line's hash is over its content and the hash of the line before, so whoever holds the last
hash holds all lines before it. This module is what a member's accountant runs: with
forms.py it needs Python's standard library and nothing else. docs/statements.md says what
it proves, and what it does not.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from credits.statements.forms import CLOSING, HEAD, Event, Line, Total, Unreadable, is_time, read

FORMAT: Final = "statement/1"
GENESIS: Final = "0" * 64
"""What stands before the first line of a wallet."""
SHOWN: Final = 20
_encode = json.JSONEncoder(separators=(",", ":")).encode


def digest(content: list[Any]) -> str:
    """Return the SHA-256 (64 hex digits) of the content as JSON: ASCII only, without spaces."""
    return hashlib.sha256(_encode(content).encode()).hexdigest()


def link(previous: str, workspace: str, line: Line) -> str:
    """Return the hash of a line (of its fields without `hash`) that follows the hash `previous`."""
    return digest([FORMAT, workspace, *line[:-1], previous])


def seal_of(head: dict[str, Any], totals: list[Total], closing: dict[str, Any]) -> str:
    """Return the hash of a statement: of all that is not a line, and of the last line's hash."""
    return digest(
        [
            *(head[name] for name in HEAD),
            [list(total) for total in totals],
            *(closing[name] for name in CLOSING[:-1]),
        ]
    )


class Sums:
    """Lines counted and amounts added up, by kind."""

    def __init__(self) -> None:
        self._totals: dict[str, Total] = {}

    def add(self, line: Line) -> None:
        """Count a line in."""
        before = self.of(line.kind)
        amount = before.amount_micros + line.amount_micros
        self._totals[line.kind] = Total(line.kind, before.lines + 1, amount)

    def of(self, kind: str) -> Total:
        """Return the total of one kind."""
        return self._totals.get(kind) or Total(kind, 0, 0)

    def totals(self) -> list[Total]:
        """Return those of all kinds that there were, in order of their names."""
        return [self._totals[kind] for kind in sorted(self._totals)]


@dataclass
class Verdict:
    """What was found in a file; it is genuine as far as a file alone can say, if `is_good`."""

    head: dict[str, Any] = field(default_factory=dict)
    closing: dict[str, Any] = field(default_factory=dict)
    lines: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    """The first ones: line of the file, and a sentence."""
    count: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.count

    def add(self, where: int, sentence: str) -> None:
        """Note a problem."""
        self.count += 1
        if len(self.problems) < SHOWN:
            self.problems.append((where, sentence))

    def text(self) -> str:
        """Return the verdict for people."""
        if self.count:
            shown = [
                f"line {where}: {sentence}" if where else sentence
                for where, sentence in self.problems
            ]
            more = self.count - len(shown)
            return "\n".join(
                ["ALTERED or damaged:", *shown, *([f"and {more:,} more"] if more else [])]
            )
        unsealed = self.closing["closing_position"] - self.closing["sealed_position"]
        unsealed = min(unsealed, self.lines)
        return (
            f"INTACT: workspace {self.head['workspace']}, {self.head['from']} to "
            f"{self.head['to']}\n"
            f"opening {dollars(self.head['opening_balance_micros'])} + {self.lines:,} lines"
            f" = closing {dollars(self.closing['closing_balance_micros'])}\n"
            f"hash before the first line {self.head['opening_hash']}\n"
            f"hash of the last line      {self.closing['closing_hash']}"
            + (f"\nThe last {unsealed:,} lines were not sealed yet." if unsealed > 0 else "")
        )


def dollars(micros: int) -> str:
    """Return micros for people."""
    sign = "-" if micros < 0 else ""
    return f"{sign}${abs(micros) // 1_000_000:,}.{abs(micros) % 1_000_000:06d}"


Seen = Callable[[int, Line], None]


def verify(source: TextIO, *, seen: Seen | None = None) -> Verdict:
    """Recompute everything that a statement (CSV or JSON) says, and name what differs.

    `source` is opened with `encoding="utf-8-sig", newline=""`. `seen` is told each line and where
    it stands.
    """
    verdict = Verdict()
    try:
        _follow(read(source), verdict, seen)
    except Unreadable as exc:
        verdict.add(exc.where, str(exc))
    except (UnicodeDecodeError, csv.Error, RecursionError) as exc:
        verdict.add(0, f"this is not a statement: {exc}")
    return verdict


def _follow(events: Iterator[tuple[str, Event]], verdict: Verdict, seen: Seen | None) -> None:
    """Walk along the chain from the opening to the closing."""
    _, (where, head) = next(events)
    verdict.head = head
    _check_head(where, head, verdict)
    before = Line(
        position=head["opening_position"],
        time=head["from"],
        kind="",
        key="",
        about="",
        amount_micros=0,
        balance_micros=head["opening_balance_micros"],
        hash=head["opening_hash"],
    )
    sums = Sums()
    totals: list[Total] = []
    for what, (where, values) in events:
        if what == "line":
            line = Line(**values)
            _check_line(where, line, before, head, verdict)
            if seen is not None:
                seen(where, line)
            sums.add(line)
            verdict.lines += 1
            before = line
        elif what == "total":
            _check_total(where, Total(**values), sums, verdict)
            totals.append(Total(**values))
        else:
            verdict.closing = values
    if not verdict.closing:
        raise Unreadable(where, "the file ends before its closing: lines may be missing.")
    if [total.kind for total in totals] != [total.kind for total in sums.totals()]:
        verdict.add(where, "the totals are not those of the kinds that stand above, in order.")
    _check_closing(where, before, totals, verdict)


def _check_head(where: int, head: dict[str, Any], verdict: Verdict) -> None:
    if head["format"] != FORMAT:
        raise Unreadable(where, f"the format is {head['format']!r}; this program reads {FORMAT}.")
    for name in ("from", "to"):
        if not is_time(head[name]):
            raise Unreadable(where, f"{name} is not a time: {head[name]!r}.")
    if head["from"] > head["to"]:
        verdict.add(where, "the period ends before it begins.")
    opening = (head["opening_balance_micros"], head["opening_hash"])
    if head["opening_position"] == 0 and opening != (0, GENESIS):
        verdict.add(where, "a wallet begins empty, with the hash of zeros.")


def _check_line(
    where: int, line: Line, before: Line, head: dict[str, Any], verdict: Verdict
) -> None:
    if line.position != before.position + 1:
        verdict.add(
            where,
            f"position {line.position} follows {before.position}: "
            "a line was removed, added or moved here.",
        )
    if link(before.hash, head["workspace"], line) != line.hash:
        verdict.add(
            where, f"position {line.position}: the content, or the line before, was changed."
        )
    if line.balance_micros != before.balance_micros + line.amount_micros:
        verdict.add(
            where,
            f"position {line.position}: {before.balance_micros} + {line.amount_micros} "
            f"is not {line.balance_micros}.",
        )
    if not (is_time(line.time) and before.time <= line.time < head["to"]):
        verdict.add(where, f"position {line.position}: {line.time} is out of order.")


def _check_total(where: int, total: Total, sums: Sums, verdict: Verdict) -> None:
    made = sums.of(total.kind)
    if total != made:
        verdict.add(
            where,
            f"total of {total.kind}: {total.lines} lines and {total.amount_micros}, "
            f"but the lines above are {made.lines} and {made.amount_micros}.",
        )


def _check_closing(where: int, last: Line, totals: list[Total], verdict: Verdict) -> None:
    closing = verdict.closing
    stated = (
        closing["closing_position"],
        closing["closing_balance_micros"],
        closing["closing_hash"],
    )
    for name, said, is_ in zip(
        CLOSING[:3], stated, (last.position, last.balance_micros, last.hash), strict=True
    ):
        if said != is_:
            verdict.add(where, f"{name} is {said}, but the last line says {is_}.")
    if seal_of(verdict.head, totals, closing) != closing["statement_hash"]:
        verdict.add(
            where, "statement_hash does not match: the head, a total or the closing was changed."
        )


def main(arguments: list[str]) -> int:
    """Verify one file: 0 if it is intact, 1 if not, 2 if it cannot be opened."""
    if len(arguments) != 1:
        sys.stderr.write("python -m credits.statements.chain FILE\n")
        return 2
    try:
        with open(arguments[0], encoding="utf-8-sig", newline="") as source:
            verdict = verify(source)
    except OSError as exc:
        sys.stderr.write(f"{arguments[0]}: {exc.strerror}\n")
        return 2
    sys.stdout.write(verdict.text() + "\n")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
