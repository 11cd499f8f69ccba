"""Statements: what moved in a wallet during a period, from its opening to its closing balance.

A statement is cut first, at one moment (`cut`), and written after it, page by page (`pages`). What
it says cannot change between the two, because entries do not: so no transaction stays open for a
reader who is slow, and a million lines need the memory of a page. Its lines are sealed; those of
the last minute are not yet, and carry the hash that they will be sealed with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, TextIO
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext

from common.errors import InvalidRequest, NotFound
from credits.statements import chain, sealing
from credits.statements.forms import Csv, Json, Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credits.statements.forms import Form

PAGE: Final = 2000
FORMS: Final[dict[str, tuple[type[Csv | Json], str]]] = {
    "csv": (Csv, "text/csv; charset=utf-8"),
    "json": (Json, "application/json"),
}
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement will say; `pages` writes it."""

    wallet_id: UUID
    start: datetime
    end: datetime
    opening: sealing.Tip
    sealed: int
    """The last position that is sealed and in the period (or before it)."""
    last: int
    """The wallet's last entry when it was cut."""
    balance: int | None
    """If it goes until now: the wallet's balance at that moment, which the lines must reach."""

    @property
    def name(self) -> str:
        """What a file of it is called, without an ending."""
        return f"statement-{self.start.date()}-{self.end.date()}"


def midnight(day: date) -> datetime:
    """Return when a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)


def cut(wallet_id: UUID, *, first: date, until: date | None = None) -> Statement:
    """Seal a wallet, and fix what is in the period from `first` to before `until` (or until now).

    Days are UTC's. Raises InvalidRequest for a period that is none or lies ahead, NotFound.
    """
    start, now = midnight(first), timezone.now()
    end = midnight(until) if until else None
    if end is not None and end > now:
        raise InvalidRequest(
            gettext("to: the period ends in the future. Leave it out for a statement until now.")
        )
    if start >= (end or now):
        raise InvalidRequest(gettext("from: the period must begin before it ends."))
    sealing.seal(wallet_id, until=end)
    horizon, tip = sealing.horizon(wallet_id), sealing.tip(wallet_id)
    before = sealing.first_at(wallet_id, start) - 1
    balance = None
    if end is None:
        # The clock may have been set back since the last line.
        end, balance = max(horizon.at, tip.at + MICROSECOND), horizon.balance
    opening = sealing.tip(wallet_id, before)
    if before == tip.position:
        opening = _skip(wallet_id, opening, last=horizon.entry, start=start)
    sealed = min(tip.position, sealing.first_at(wallet_id, end) - 1)
    return Statement(wallet_id, start, end, opening, sealed, horizon.entry, balance)


def _skip(wallet_id: UUID, tip: sealing.Tip, *, last: int, start: datetime) -> sealing.Tip:
    """Return the tip before `start`, where it lies within what is not sealed yet."""
    while some := sealing.unsealed(wallet_id, tip, last=last, limit=PAGE):
        for each in some:
            if each.tip.at >= start:
                return tip
            tip = each.tip
    return tip


def pages(statement: Statement, form: Form) -> Iterator[str]:
    """Write a statement, part by part."""
    opening = statement.opening
    head = {
        "format": chain.FORMAT,
        "workspace": str(statement.wallet_id),
        "currency": "USD",
        "from": sealing.written(statement.start),
        "to": sealing.written(statement.end),
        "opening_position": opening.position,
        "opening_balance_micros": opening.balance,
        "opening_hash": opening.hash,
    }
    yield form.head(head)
    sums = chain.Sums()
    position, balance, end = opening.position, opening.balance, opening.hash
    for page in lines(statement):
        for line in page:
            sums.add(line)
        position, balance, end = page[-1].position, page[-1].balance_micros, page[-1].hash
        yield form.lines(page)
    assert statement.balance in (None, balance), "a wallet's balance is the sum of its entries"
    totals = sums.totals()
    closing: dict[str, Any] = {
        "closing_position": position,
        "closing_balance_micros": balance,
        "closing_hash": end,
        "sealed_position": statement.sealed,
    }
    closing["statement_hash"] = chain.seal_of(head, totals, closing)
    yield form.closing(totals, closing)


def lines(statement: Statement) -> Iterator[list[Line]]:
    """Yield the lines of a statement, page by page: first the sealed ones, then the last few."""
    end, wallet_id = statement.opening, statement.wallet_id
    position = end.position
    while page := sealing.sealed(wallet_id, after=position, until=statement.sealed, limit=PAGE):
        position = page[-1].position
        yield page
    if position > end.position:
        end = sealing.tip(wallet_id, position)
    while some := sealing.unsealed(wallet_id, end, last=statement.last, limit=PAGE):
        end = some[-1].tip
        if page := [each.line for each in some if each.tip.at < statement.end]:
            yield page
        if len(page) < len(some):
            return


def compare(source: TextIO) -> chain.Verdict:
    """Verify a file by itself (chain.verify), then see that the books say the same.

    The hash of the last line stands for all lines before it: only where it differs are they looked
    at one by one, to name the first.
    """
    verdict = chain.verify(source)
    if not verdict.is_good:
        return verdict
    head, closing = verdict.head, verdict.closing
    try:
        wallet_id = UUID(head["workspace"])
        last = sealing.horizon(wallet_id).entry
    except (ValueError, NotFound):
        verdict.add(0, f"the books know no workspace {head['workspace']}.")
        return verdict
    opening = _tip_at(wallet_id, head["opening_position"], last)
    ending = _tip_at(wallet_id, closing["closing_position"], last)
    if opening is None or opening.hash != head["opening_hash"]:
        verdict.add(0, "opening_hash is not what the books have at this position.")
    elif ending is None or ending.hash != closing["closing_hash"]:
        book = _book(wallet_id, opening, last)
        source.seek(0)
        chain.verify(source, seen=lambda where, line: _name(where, line, book, verdict))
    elif opening.position and sealing.written(opening.at) >= head["from"]:
        verdict.add(0, "the books have more lines at the beginning of this period.")
    else:
        some = sealing.unsealed(wallet_id, ending, last=last, limit=1)
        if some and some[0].line.time < head["to"]:
            verdict.add(0, "the books have more lines at the end of this period.")
    return verdict


def _tip_at(wallet_id: UUID, position: int, last: int) -> sealing.Tip | None:
    """Return where the chain stands after a position, sealed or not yet; None if it is shorter."""
    tip = sealing.tip(wallet_id, position)
    while tip.position < position:
        some = sealing.unsealed(wallet_id, tip, last=last, limit=min(PAGE, position - tip.position))
        if not some:
            return None
        tip = some[-1].tip
    return tip


def _book(wallet_id: UUID, tip: sealing.Tip, last: int) -> Iterator[Line]:
    while some := sealing.unsealed(wallet_id, tip, last=last, limit=PAGE):
        yield from (each.line for each in some)
        tip = some[-1].tip


def _name(where: int, line: Line, book: Iterator[Line], verdict: chain.Verdict) -> None:
    """Note the first line that differs from the books."""
    if verdict.is_good and next(book, None) != line:
        verdict.add(where, f"position {line.position} is not what the books say.")
