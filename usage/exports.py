"""All calls that are wanted, as a file: CSV, lines of JSON, or FOCUS (focus.py).

A file is made a range of numbers at a time, each with its own short query: memory stays the same
however many calls there are, and no connection is held while a client takes its time. What is
settled meanwhile is above the numbers that were counted at the beginning, and not in the file.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import orjson

from common.money import MICROS_PER_USD, Micros
from common.tables import harmless
from usage import focus, history
from usage.wire import call_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from usage.history import Receipt, Wanted

COLUMNS: Final = (
    "call", "settled_at", "started_at", "vendor", "operation", "run", "project", "key", "member",
    "outcome", "reason", "held_usd", "charged_usd", "price_version", "price_inputs", "attempts",
    "vendor_request",
)  # fmt: skip
TYPES: Final = {
    "csv": ("text/csv; charset=utf-8", "csv"),
    "jsonl": ("application/jsonl; charset=utf-8", "jsonl"),
    "focus": ("text/csv; charset=utf-8", "focus.csv"),
}
"""What each form is sent as, and how its file's name ends."""


def as_csv(workspace_id: UUID, wanted: Wanted) -> Iterator[str]:
    """Yield the calls as rows of a table, newest first."""
    yield _lines([COLUMNS])
    for some in history.all_of(workspace_id, wanted):
        yield _lines(map(_cells, some))


def as_jsonl(workspace_id: UUID, wanted: Wanted) -> Iterator[str]:
    """Yield the calls as lines of JSON, each as `GET /v1/calls` tells it."""
    for some in history.all_of(workspace_id, wanted):
        yield "".join(f"{orjson.dumps(call_told(each)).decode()}\n" for each in some)


def as_focus(workspace_id: UUID, wanted: Wanted) -> Iterator[str]:
    """Yield the calls that were charged as charges of FOCUS, and what was bought beside them."""
    yield _table([focus.COLUMNS])
    if wanted.is_all:  # What was bought is of nobody's call.
        for some in focus.purchases(workspace_id, wanted.since, wanted.until):
            yield _table(some)
    account = focus.Account.of(workspace_id)
    for found in history.all_of(workspace_id, wanted):
        charged = [focus.usage(account, each) for each in found if each.charged]
        if charged:
            yield _table(charged)


FORMS: Final[dict[str, Callable[[UUID, Wanted], Iterator[str]]]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
    "focus": as_focus,
}


def _cells(receipt: Receipt) -> list[str]:
    inputs = ", ".join(f"{name}: {value}" for name, value in receipt.inputs.items())
    return [
        str(receipt.id),
        receipt.settled_at.isoformat(timespec="milliseconds"),
        receipt.started_at.isoformat(timespec="milliseconds"),
        receipt.vendor,
        receipt.title or receipt.operation,
        receipt.run,
        receipt.project,
        str(receipt.key_id or ""),
        str(receipt.user_id or ""),
        receipt.outcome,
        receipt.reason,
        dollars(receipt.held),
        dollars(receipt.charged),
        receipt.price_version,
        inputs,
        str(receipt.attempts),
        receipt.vendor_request,
    ]


def dollars(amount: Micros) -> str:
    """Return an amount that is not negative as programs read it: 1.250000."""
    whole, micros = divmod(amount, MICROS_PER_USD)
    return f"{whole}.{micros:06d}"


def _lines(rows: Iterable[Iterable[str]]) -> str:
    return _table([harmless(cell) for cell in row] for row in rows)


def _table(rows: Iterable[Iterable[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
