"""The two forms of a statement, CSV and JSON: how each is written, and read again.

Both say the same: a head, lines, a total for each kind, a closing. Standard library only, because
a statement is verified where nothing else of this repository is (chain.py). A reader refuses what
it does not know, so that nothing can stand in a file and not be looked at.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol, TextIO

HEAD: Final = (
    "format",
    "workspace",
    "currency",
    "from",
    "to",
    "opening_position",
    "opening_balance_micros",
    "opening_hash",
)
CLOSING: Final = (
    "closing_position",
    "closing_balance_micros",
    "closing_hash",
    "sealed_position",
    "statement_hash",
)
TOTAL: Final = ("kind", "lines", "amount_micros")
NUMBERS: Final = frozenset(
    {
        "position", "amount_micros", "balance_micros", "lines", "opening_position",
        "opening_balance_micros", "closing_position", "closing_balance_micros", "sealed_position",
    }
)  # fmt: skip
SPACES = " \t\r\n"  # RFC 8259, section 2
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Line(NamedTuple):
    """One movement of a wallet, as statements show it; amounts are signed micros."""

    position: int
    time: str
    kind: str
    key: str
    about: str
    amount_micros: int
    balance_micros: int
    hash: str


LINE: Final = Line._fields


class Total(NamedTuple):
    """All lines of one kind."""

    kind: str
    lines: int
    amount_micros: int


class Unreadable(Exception):
    """From here on it is no statement; `where` is the line of the file."""

    def __init__(self, where: int, sentence: str) -> None:
        super().__init__(sentence)
        self.where = where


Event = tuple[int, dict[str, Any]]
"""A line of the file, and what stands there."""


def read(source: TextIO) -> Iterator[tuple[str, Event]]:
    """Yield what a file says: `head` once, each `line`, each `total`, and `closing` once.

    `source` is opened with `encoding="utf-8-sig", newline=""`. Raises Unreadable.
    """
    blank = ""
    while (mark := source.read(1)) and mark in SPACES:
        blank += mark
    if mark == "{":
        return _json_events(blank + mark + source.read())
    return _csv_events(blank[max(blank.rfind("\n"), blank.rfind("\r")) + 1 :] + mark, source)


def is_time(text: str) -> bool:
    """Whether it is a time as statements write it: UTC, to the microsecond."""
    return _TIME.fullmatch(text) is not None


class Form(Protocol):
    """How a statement is written, part by part."""

    def head(self, values: dict[str, Any]) -> str:
        """Return the beginning of the file."""

    def lines(self, lines: list[Line]) -> str:
        """Return some lines, at least one; called again and again."""

    def closing(self, totals: list[Total], values: dict[str, Any]) -> str:
        """Return the end of the file."""


class Csv:
    """Rows of name and value, the table of lines, the totals, rows of name and value."""

    def head(self, values: dict[str, Any]) -> str:
        """Return the beginning of the file."""
        return _rows([*((name, values[name]) for name in HEAD), LINE])

    def lines(self, lines: list[Line]) -> str:
        """Return some lines."""
        return _rows(lines)

    def closing(self, totals: list[Total], values: dict[str, Any]) -> str:
        """Return the end of the file."""
        named = ((name, values[name]) for name in CLOSING)
        return _rows([*(("total", *total) for total in totals), *named])


class Json:
    """One object; each line of it is a line of the file."""

    def __init__(self) -> None:
        self._mark = ""

    def head(self, values: dict[str, Any]) -> str:
        """Return the beginning of the file."""
        return f'{{"statement": {_encode(values)},\n"lines": ['

    def lines(self, lines: list[Line]) -> str:
        """Return some lines."""
        begun, self._mark = self._mark, ","
        return begun + ",".join([f"\n{_encode(line._asdict())}" for line in lines])

    def closing(self, totals: list[Total], values: dict[str, Any]) -> str:
        """Return the end of the file."""
        listed = ",".join(f"\n{_encode(total._asdict())}" for total in totals)
        return f'\n],\n"totals": [{listed}\n],\n"closing": {_encode(values)}}}\n'


def _rows(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _typed(where: int, names: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with numbers as such; refuse what is missing, unknown or ill-formed."""
    if set(values) != set(names):
        raise Unreadable(where, f"these fields are expected here: {', '.join(names)}.")
    typed: dict[str, Any] = {}
    for name in names:
        value = values[name]
        if name in NUMBERS:
            if isinstance(value, str) and _INTEGER.fullmatch(value):
                value = int(value)
            if type(value) is not int:
                raise Unreadable(where, f"{name} is not a whole number: {value!r}.")
        elif not isinstance(value, str):
            raise Unreadable(where, f"{name} is not a text: {value!r}.")
        typed[name] = value
    return typed


def _csv_events(begun: str, source: TextIO) -> Iterator[tuple[str, Event]]:
    first = begun + source.readline()
    reader = csv.reader(_chain(first, source), strict=True)
    rows = ((reader.line_num, _trimmed(row)) for row in reader)
    rows = ((where, row) for where, row in rows if row)
    yield "head", _pairs(rows, HEAD)
    where, row = next(rows, (reader.line_num, []))
    if row != list(LINE):
        raise Unreadable(where, f"these columns are expected here: {','.join(LINE)}.")
    is_over = False  # Totals come after all lines.
    for where, row in rows:
        if row[0] == "total" and len(row) == 1 + len(TOTAL):
            is_over = True
            named = dict(zip(TOTAL, row[1:], strict=True))
            yield "total", (where, _typed(where, TOTAL, named))
        elif row[0] == CLOSING[0]:
            yield "closing", _pairs(rows, CLOSING, first=(where, row))
            break
        elif len(row) == len(LINE) and not is_over:
            yield "line", (where, _typed(where, LINE, dict(zip(LINE, row, strict=True))))
        else:
            raise Unreadable(where, f"a line of {len(LINE)} columns, or the totals, belong here.")
    for where, _ in rows:
        raise Unreadable(where, "something stands after the end of the statement.")


def _chain(first: str, source: TextIO) -> Iterator[str]:
    yield first
    yield from source


def _trimmed(row: list[str]) -> list[str]:
    """Return the row without empty cells at its end, which spreadsheets add."""
    while row and not row[-1]:
        row.pop()
    return row


def _pairs(
    rows: Iterator[tuple[int, list[str]]],
    names: tuple[str, ...],
    first: tuple[int, list[str]] | None = None,
) -> Event:
    found: dict[str, Any] = {}
    where = 0
    for name in names:
        where, row = first if first is not None else next(rows, (where, []))
        first = None
        if len(row) != 2 or row[0] != name:
            raise Unreadable(where, f"{name} and its value are expected here.")
        found[name] = row[1]
    return where, _typed(where, names, found)


class _Text:
    """JSON read value by value, so that a million lines are never a million objects at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._counted = 0
        self._lines = 1
        self._decoder = json.JSONDecoder(object_pairs_hook=_unique)

    def where(self) -> int:
        """Return the line of the file where we are."""
        self._lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._lines

    def peek(self) -> str:
        """Return the next character that is not a space."""
        while (mark := self._text[self._at : self._at + 1]) and mark in SPACES:
            self._at += 1
        return mark

    def expect(self, mark: str) -> None:
        """Step over one character."""
        if self.peek() != mark:
            raise Unreadable(self.where(), f"{mark!r} is expected here.")
        self._at += 1

    def value(self) -> tuple[int, Any]:
        """Return the next value and its line."""
        self.peek()
        where = self.where()
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except ValueError as exc:
            raise Unreadable(where, f"this is not JSON: {exc}") from None
        return where, value

    def name(self, wanted: str, mark: str) -> None:
        """Step over the next name of the outermost object."""
        self.expect(mark)
        where, found = self.value()
        if found != wanted:
            raise Unreadable(where, f"{wanted!r} is expected here.")
        self.expect(":")

    def objects(self, names: tuple[str, ...]) -> Iterator[Event]:
        """Yield the objects of a list, which have these names."""
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.object(names)
            if self.peek() == "]":
                self._at += 1
                return
            self.expect(",")

    def object(self, names: tuple[str, ...]) -> Event:
        """Return the next value, an object with these names."""
        where, value = self.value()
        if not isinstance(value, dict):
            raise Unreadable(where, "an object is expected here.")
        for name in NUMBERS & value.keys():
            if isinstance(value[name], str):
                raise Unreadable(where, f"{name} is a number in JSON.")
        return where, _typed(where, names, value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return named


def _json_events(written: str) -> Iterator[tuple[str, Event]]:
    text = _Text(written)
    text.name("statement", "{")
    yield "head", text.object(HEAD)
    text.name("lines", ",")
    for event in text.objects(LINE):
        yield "line", event
    text.name("totals", ",")
    for event in text.objects(TOTAL):
        yield "total", event
    text.name("closing", ",")
    yield "closing", text.object(CLOSING)
    text.expect("}")
    if text.peek():
        raise Unreadable(text.where(), "something stands after the end of the statement.")
