"""Seal a wallet's entries: chain them by hashes, in their order, once and for good.

Whoever writes an entry of a wallet holds the lock on the wallet's row, and the entry's id is drawn
under that lock. So the ids of a wallet are in the order in which its entries became
visible; and who has the lock, and sees the id 17 as the wallet's last, has all of its entries up
to 17: none can come below it later. That moment is all that sealing needs the lock for (`horizon`).
The work itself is done in batches, each a transaction of its own, under a lock that only another
sealing of the same wallet waits for. Calls never do.

An entry's time may be a moment earlier than that of the entry before it, if its writer waited for
the lock. A line's time never is: it is the later of the two. So lines are in order of time,
and a period is a range of positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext

from common.errors import NotFound
from common.rows import rows, values
from credits.books.complete import settled_entry
from credits.models import LAST_HOUSE, Account
from credits.statements import chain
from credits.statements.forms import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH: Final = 2000
AT_ONCE, TOGETHER = 10_000, 200
"""So many lines the database seals in one transaction, of so many wallets."""
AGE: Final = timedelta(minutes=1)
"""Younger entries are not sealed yet: until then a transaction may still run that wants in."""

LAST_ENTRY = """
    SELECT greatest(
               (SELECT max(id) FROM credits_entry
                 WHERE debit_id = %(wallet)s AND debit_id > %(house)s),
               (SELECT max(id) FROM credits_entry
                 WHERE credit_id = %(wallet)s AND credit_id > %(house)s),
               0) AS entry,
           balance_micros AS balance, clock_timestamp() AS at
      FROM credits_account WHERE id = %(wallet)s
"""
ENTRIES = """
    SELECT id AS entry, created_at, kind, key,
           coalesce(facts->>'purchase', facts->>'of', '') AS about, amount
      FROM ((SELECT id, created_at, kind, key, facts, -amount_micros AS amount
               FROM credits_entry
              WHERE debit_id = %(wallet)s AND debit_id > %(house)s AND id > %(after)s
              ORDER BY id LIMIT %(limit)s)
             UNION ALL
            (SELECT id, created_at, kind, key, facts, amount_micros
               FROM credits_entry
              WHERE credit_id = %(wallet)s AND credit_id > %(house)s AND id > %(after)s
              ORDER BY id LIMIT %(limit)s)
           ) AS entry
     ORDER BY id LIMIT %(limit)s
"""
TIP = """
    SELECT position, entry_id AS entry, at, balance_micros AS balance, encode(hash, 'hex') AS hash
      FROM credits_seal
     WHERE wallet_id = %(wallet)s AND position <= coalesce(%(position)s, position)
     ORDER BY position DESC LIMIT 1
"""
LINES = """
    SELECT position, at, kind, key, coalesce(facts->>'purchase', facts->>'of', '') AS about,
           CASE debit_id WHEN wallet_id THEN -amount_micros ELSE amount_micros END AS amount_micros,
           balance_micros, encode(hash, 'hex') AS hash
      FROM credits_seal JOIN credits_entry ON id = entry_id
     WHERE wallet_id = %(wallet)s AND position > %(after)s AND position <= %(until)s
     ORDER BY position LIMIT %(limit)s
"""
UNSEALED_WALLETS = """
    SELECT id FROM credits_account wallet
     WHERE kind = 'wallet' AND greatest(
           (SELECT max(entry.id) FROM credits_entry entry
             WHERE entry.debit_id = wallet.id AND entry.debit_id > %(house)s),
           (SELECT max(entry.id) FROM credits_entry entry
             WHERE entry.credit_id = wallet.id AND entry.credit_id > %(house)s))
         > coalesce((SELECT entry_id FROM credits_seal WHERE wallet_id = wallet.id
                      ORDER BY position DESC LIMIT 1), 0)
"""
ABOUT: Final = "coalesce(facts->>'purchase', facts->>'of', '')"
CONTENT: Final = f"""
    '["{chain.FORMAT}","' || wallet_id || '",' || position || ',"'
        || to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '",' || to_json(kind) || ',' || to_json(key) || ',' || to_json(about) || ',' || amount
        || ',' || micros || ',"'
"""
LINK: Final = f"""sha256(convert_to({CONTENT} || previous || '"]', 'UTF8'))"""
"""What `chain.link` says, as SQL over a line's own columns; other where texts are not ASCII,
or hold a DEL."""
_SIDE: Final = f"""
    (SELECT id, created_at, kind, key, {ABOUT} AS about, {{sign}}amount_micros AS amount
       FROM credits_entry
      WHERE {{side}}_id = tip.wallet_id AND {{side}}_id > %(house)s
        AND id > tip.entry_id AND id <= %(last)s
      ORDER BY id LIMIT %(limit)s)
"""  # noqa: S608 - constants of our own
SEAL_SOME: Final = f"""
    WITH tip AS MATERIALIZED (
        SELECT wallet_id, coalesce(seal.entry_id, 0) AS entry_id, seal.at, seal.hash,
               coalesce(seal.position, 0) AS sealed, coalesce(seal.balance_micros, 0) AS balance
          FROM unnest(%(wallets)s::uuid[]) AS asked(wallet_id)
          LEFT JOIN LATERAL (
              SELECT position, entry_id, at, balance_micros, hash FROM credits_seal
               WHERE credits_seal.wallet_id = asked.wallet_id
               ORDER BY position DESC LIMIT 1) seal ON true
    ), line AS (
        SELECT wallet_id, tip.hash AS before, entry.id AS entry_id, kind, key, about, amount,
               sealed + row_number() OVER wallet AS position,
               greatest(at, max(created_at) OVER wallet) AS made_at,
               balance + sum(amount) OVER wallet AS micros,
               bool_and(octet_length(kind || key || about) = length(kind || key || about)
                        AND strpos(key || about, chr(127)) = 0) OVER wallet AS is_plain
          FROM tip
          CROSS JOIN LATERAL (
              SELECT * FROM ({_SIDE.format(sign="-", side="debit")} UNION ALL
                             {_SIDE.format(sign="", side="credit")}) AS either
               ORDER BY id LIMIT %(limit)s) entry
        WINDOW wallet AS (PARTITION BY wallet_id ORDER BY entry.id)
    ), due AS MATERIALIZED (
        SELECT * FROM line WHERE made_at < %(until)s
    ), written AS (
        INSERT INTO credits_seal (wallet_id, position, entry_id, at, balance_micros, hash)
        SELECT wallet_id, position, entry_id, made_at, micros,
               credits_chained({CONTENT}, before) OVER (PARTITION BY wallet_id ORDER BY position)
          FROM due WHERE is_plain
    )
    SELECT wallet_id, count(*) AS due, count(*) FILTER (WHERE is_plain) AS sealed
      FROM due GROUP BY wallet_id
"""  # noqa: S608 - constants of our own
"""Seal what comes next of several wallets, up to the first line that is not plain ASCII."""
LOCK_SOME: Final = """
    SELECT pg_advisory_xact_lock(hashtextextended('seal:' || id, 0))
      FROM (SELECT id FROM unnest(%(wallets)s::uuid[]) AS id ORDER BY id) AS wallet
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('seal:' || %s, 0))"
WRITE = "COPY credits_seal (wallet_id, position, entry_id, at, balance_micros, hash) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a chain stands after one of its lines."""

    position: int
    entry: int
    at: datetime
    balance: int
    hash: str


ROOT: Final = Tip(0, 0, datetime.min.replace(tzinfo=UTC), 0, chain.GENESIS)
"""Before the first line."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """A wallet at one moment: its last entry, which has all others before it, and its balance."""

    entry: int
    balance: int
    at: datetime


class _Entry(NamedTuple):
    """A row of `ENTRIES`: what an entry did to the wallet."""

    entry: int
    created_at: datetime
    kind: str
    key: str
    about: str
    amount: int


class _Done(NamedTuple):
    """A row of `SEAL_SOME`: how many lines of a wallet were due, and how many are sealed now."""

    wallet_id: UUID
    due: int
    sealed: int


class Sealed(NamedTuple):
    """A line as the books make it, and the chain's tip after it."""

    line: Line
    tip: Tip


@transaction.atomic
def horizon(wallet_id: UUID) -> Horizon:
    """Return up to where a wallet's entries are complete. Calls wait for two index probes."""
    wallets = Account.objects.select_for_update(no_key=True)
    if not wallets.filter(pk=wallet_id, kind=Account.Kind.WALLET).exists():
        raise NotFound(gettext("There is no such workspace."))
    # A query of its own: it sees what the lock waited for.
    (found,) = rows(Horizon, LAST_ENTRY, {"wallet": wallet_id, "house": LAST_HOUSE})
    return found


def seal(wallet_id: UUID, *, until: datetime | None = None, now: datetime | None = None) -> int:
    """Seal what is not sealed yet of the lines before `until`, but for the last minute.

    Returns how many lines that were. Two at once share the work: each line is sealed once.
    """
    oldest = (now or timezone.now()) - AGE
    last = horizon(wallet_id).entry
    sealed = 0
    while done := _seal_some(wallet_id, last=last, until=min(until or oldest, oldest)):
        sealed += done
    return sealed


@transaction.atomic
def _seal_some(wallet_id: UUID, *, last: int, until: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [wallet_id])
        some = [
            each
            for each in unsealed(wallet_id, tip(wallet_id), last=last, limit=BATCH)
            if each.tip.at < until  # They are in order of time, so none is left out.
        ]
        if some:
            with cursor.copy(WRITE) as copy:
                for _, end in some:
                    copy.write_row(
                        (wallet_id, end.position, end.entry, end.at, end.balance,
                         bytes.fromhex(end.hash))
                    )  # fmt: skip
    return len(some)


def seal_all(*, now: datetime | None = None) -> int:
    """Seal every wallet that has something to seal, but for the last minute; return how many lines.

    The database does it, of many wallets at once. Python does what that cannot: lines with texts
    that are not ASCII, and all of them where a writer of entries does not end.
    """
    now = now or timezone.now()
    last = settled_entry()
    wallets = values(UNSEALED_WALLETS, {"house": LAST_HOUSE})
    sealed, left = 0, list[UUID]()
    for at in range(0, len(wallets), TOGETHER):
        some = wallets[at : at + TOGETHER]
        while some and last is not None:
            done = _seal_together(some, last=last, until=now - AGE)
            sealed += sum(each.sealed for each in done)
            left += [each.wallet_id for each in done if each.sealed < each.due]
            share = AT_ONCE // len(some)
            some = [each.wallet_id for each in done if each.sealed == share]
    return sealed + sum(seal(wallet, now=now) for wallet in (wallets if last is None else left))


@transaction.atomic
def _seal_together(wallets: list[UUID], *, last: int, until: datetime) -> list[_Done]:
    """Seal the lines that come next of some wallets, up to entry `last`, an equal share of each."""
    given: dict[str, Any] = {
        "wallets": wallets,
        "house": LAST_HOUSE,
        "last": last,
        "until": until,
        "limit": AT_ONCE // len(wallets),
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_SOME, given)  # The next statement sees what that waited for.
    return list(rows(_Done, SEAL_SOME, given))


def tip(wallet_id: UUID, position: int | None = None) -> Tip:
    """Return where the sealed chain stands: after `position`, or after its last line."""
    if position == 0:
        return ROOT
    return next(rows(Tip, TIP, {"wallet": wallet_id, "position": position}), ROOT)


def unsealed(wallet_id: UUID, after: Tip, *, last: int, limit: int) -> list[Sealed]:
    """Return the lines of the entries that follow a tip, up to entry `last`: as they will be."""
    found, end = list[Sealed](), after
    asked = {"wallet": wallet_id, "house": LAST_HOUSE, "after": after.entry, "limit": limit}
    for row in rows(_Entry, ENTRIES, asked):
        if row.entry > last:
            break
        found.append(_next(str(wallet_id), end, row))
        end = found[-1].tip
    return found


def sealed(wallet_id: UUID, *, after: int, until: int, limit: int) -> list[Line]:
    """Return some lines that are sealed, from behind position `after` up to `until`."""
    asked = {"wallet": wallet_id, "after": after, "until": until, "limit": limit}
    return list(rows(_line, LINES, asked))


def first_at(wallet_id: UUID, instant: datetime) -> int:
    """Return the first sealed position whose time is `instant` or later, or the one to come.

    Positions follow time, so a search by halves finds it with some twenty index probes.
    """
    low, high = 1, tip(wallet_id).position + 1
    while low < high:
        middle = (low + high) // 2
        if tip(wallet_id, middle).at < instant:
            low = middle + 1
        else:
            high = middle
    return low


def broken(wallet_id: UUID, *, after: int = 0) -> Iterator[str]:
    """Recompute the chain from the entries, behind position `after`; yield what differs."""
    before = tip(wallet_id, after)
    last = tip(wallet_id)
    while before.position < last.position:
        stored = sealed(wallet_id, after=before.position, until=last.position, limit=BATCH)
        made = unsealed(wallet_id, before, last=last.entry, limit=len(stored) or 1)
        for there, (line, _) in zip(stored, made, strict=False):
            if there != line:
                yield f"wallet {wallet_id}: position {line.position} is not as it was sealed"
                return
        if not stored or len(made) != len(stored):
            yield f"wallet {wallet_id}: behind position {before.position} a line is missing"
            return
        before = made[-1].tip


def written(at: datetime) -> str:
    """Return an instant as statements write it: UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _line(*, at: datetime, **fields: Any) -> Line:
    """Return the line of a row of `LINES`."""
    return Line(time=written(at), **fields)


def _next(workspace: str, before: Tip, row: _Entry) -> Sealed:
    """Return the line of an entry that follows `before`."""
    at = max(row.created_at, before.at)
    line = Line(
        position=before.position + 1,
        time=written(at),
        kind=row.kind,
        key=row.key,
        about=row.about,
        amount_micros=row.amount,
        balance_micros=before.balance + row.amount,
        hash="",
    )
    line = line._replace(hash=chain.link(before.hash, workspace, line))
    return Sealed(line, Tip(line.position, row.entry, at, line.balance_micros, line.hash))
