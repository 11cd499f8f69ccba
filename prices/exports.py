"""Reading a vendor's usage export: a CSV file of any length, a line at a time.

What is odd about a file is told with the number of its line, and nothing of it is brought in.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from common.errors import InvalidRequest
from common.money import MICROS_PER_USD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MOST_LINES: Final = 5_000_000
MOST_LINE: Final = 100_000
"""Characters of one line, beyond which it is no list of requests."""
MOST_REQUEST: Final = 200
MOST_COST: Final = 1_000_000
"""Dollars of one line: beyond, it is in another unit."""
LONGEST_NUMBER: Final = 40
MOST_DIGITS: Final = 12
NAMES: Final = {
    "request": (
        "request_id",
        "request id",
        "requestid",
        "job_id",
        "task_id",
        "generation_id",
        "id",
    ),
    "cost": ("cost", "cost_usd", "amount", "amount_usd", "price", "total", "usd"),
    "time": ("created_at", "timestamp", "time", "date"),
}
"""What the columns are often called, the surest first."""
EPOCH: Final = re.compile(r"\d{9,13}(\.\d+)?")
MILLISECONDS: Final = 10**11


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is to be read: its columns by their names, and what one unit of the cost is."""

    request: str = ""
    cost: str = ""
    time: str = ""
    dollars: Decimal = Decimal(1)
    """For one unit of the column of costs: 0.01 where it is in cents."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an export. An empty request: it is about no call, like a monthly fee."""

    number: int
    request: str
    micros: int
    at: datetime | None


def read(file: BinaryIO, form: Form) -> Iterator[Line]:
    """Yield the lines of a file; raise InvalidRequest, naming the line, for what is odd."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline="")
    number = 1
    try:
        pieces = _pieces(text)
        head = next(pieces, "")
        rows = csv.reader(pieces, delimiter=_delimiter(head), strict=True)
        header = next(csv.reader([head], delimiter=_delimiter(head), strict=True), [])
        columns = _columns(header, form)
        for row in rows:
            number = rows.line_num + 1
            if number > MOST_LINES:
                raise InvalidRequest(f"The file has more than {MOST_LINES} lines: bring in parts.")
            if any(cell.strip() for cell in row):
                yield _line(number, row, len(header), columns, form.dollars)
    except UnicodeDecodeError as exc:
        raise InvalidRequest("The file is not text in UTF-8: save it as CSV in UTF-8.") from exc
    except csv.Error as exc:
        raise InvalidRequest(f"Line {number + 1} is no line of a CSV file: {exc}.") from exc
    finally:
        text.detach()  # The file is its owner's to close.


def _pieces(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield its lines; one without an end is not read whole into memory."""
    number = 0
    while piece := text.readline(MOST_LINE):
        number += 1
        if "\0" in piece:
            raise InvalidRequest(f"Line {number} is not text: save the file as CSV in UTF-8.")
        if len(piece) == MOST_LINE and not piece.endswith(("\n", "\r")):
            raise InvalidRequest(f"Line {number} is longer than {MOST_LINE} characters.")
        yield piece


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def _columns(header: list[str], form: Form) -> dict[str, int | None]:
    """Return where the columns stand; raise InvalidRequest where the needed ones do not."""
    there = [each.strip().lower() for each in header]
    shown = ", ".join(each[:40] for each in header[:30]) or "nothing"
    found: dict[str, int | None] = {}
    for what, usual in NAMES.items():
        wanted: str = getattr(form, what).strip().lower()
        name = wanted or next((each for each in usual if each in there), "")
        if (wanted and wanted not in there) or (not name and what != "time"):
            raise InvalidRequest(
                f"There is no column {wanted or ' or '.join(usual[:3])} for the {what}. "
                f"The first line names: {shown}."
            )
        if name and there.count(name) > 1:
            raise InvalidRequest(f"There are several columns {name}: rename the others.")
        found[what] = there.index(name) if name else None
    return found


def _line(
    number: int, row: list[str], width: int, columns: dict[str, int | None], dollars: Decimal
) -> Line:
    if len(row) != width:
        raise InvalidRequest(
            f"Line {number} has {len(row)} columns, and the first line has {width}."
        )
    request, cost, time = (
        row[place].strip() if (place := columns[what]) is not None else "" for what in NAMES
    )
    if len(request) > MOST_REQUEST or not request.isprintable():
        raise InvalidRequest(f"Line {number}: the request id is not one of a vendor's.")
    return Line(number, request, _micros(number, cost, dollars), _time(number, time))


def _micros(number: int, text: str, dollars: Decimal) -> int:
    plain = text.removeprefix("$")
    try:
        amount = Decimal(plain) if len(plain) <= LONGEST_NUMBER else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or (amount and amount.adjusted() > MOST_DIGITS):
        raise InvalidRequest(f"Line {number}: the cost {text[:40]!r} is no number like 0.04.")
    if abs(amount * dollars) > MOST_COST:
        raise InvalidRequest(
            f"Line {number}: {text[:40]} is more than ${MOST_COST:,}. Is it in cents, or in units?"
        )
    return int((amount * dollars * MICROS_PER_USD).to_integral_value(ROUND_HALF_UP))


def _time(number: int, text: str) -> datetime | None:
    if not text:
        return None
    try:
        if EPOCH.fullmatch(text):
            seconds = float(text)
            return datetime.fromtimestamp(seconds / (1000 if seconds > MILLISECONDS else 1), UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(
            f"Line {number}: {text[:40]!r} is no time like 2026-11-28T12:00:00Z."
        ) from None
