"""Bring a wallet's rows into another cell: all of them in one transaction there, or none.

They are read in one snapshot, of a wallet that is closed (moving.py): what is read does not change
any more. Each table is laid beside its own there as it comes, and then put into it, with the
numbers that it has in the new cell. Before the commit what arrived is held against what left.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.apps import apps
from django.db import connection
from psycopg import sql

from common import failpoints
from common.errors import InvalidRequest
from config.cells.tables import TABLES, Goes, Person
from credits.statements import sealing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

Db = psycopg.Connection[Any]


class NotMoved(InvalidRequest):
    """What stands in the way, by name; what was done is undone, or can be gone on with."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is brought: the wallet, whose personal workspace it is, and what it was closed with."""

    move: UUID
    wallet: UUID
    person: UUID | None
    balance: int
    lots: str
    """As the move has them, as JSON."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what the expressions of `TABLES` are over."""
        return {
            "move": self.move, "wallet": self.wallet, "person": self.person,
            "balance": self.balance, "lots": self.lots,
        }  # fmt: skip


COLUMNS: Final = """
    SELECT quote_ident(attname) FROM pg_attribute
     WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
     ORDER BY attnum
"""
SEALED: Final = f"""
    SELECT count(*), coalesce(sum(hashtextextended(concat_ws('|', position, at, seal.balance_micros,
               encode(hash, 'hex'), kind, key, {sealing.ABOUT}, amount_micros, created_at,
               debit_id = wallet_id), 0)::numeric), 0)
      FROM credits_seal seal JOIN credits_entry entry ON entry.id = entry_id
     WHERE wallet_id = %(wallet)s AND NOT starts_with(key, 'moved:' || %(move)s::text || ':')
"""  # noqa: S608 - constants of our own
"""What the seals are, and what they are of, whatever numbers the rows have."""
HISTORY: Final = """
    SELECT count(*), coalesce(sum(hashtextextended(call::text, 0)::numeric), 0)
      FROM usage_call call WHERE workspace_id = %(wallet)s
"""
ARRIVED: Final = """
    SELECT balance_micros,
           (SELECT coalesce(sum(CASE WHEN credit_id = %(wallet)s THEN amount_micros
                                     ELSE -amount_micros END), 0)::bigint
              FROM credits_entry WHERE debit_id = %(wallet)s OR credit_id = %(wallet)s),
           (SELECT coalesce(sum(left_micros), 0)::bigint FROM credits_lot
             WHERE wallet_id = %(wallet)s)
      FROM credits_account WHERE id = %(wallet)s
"""
LIVING_LEFT_OUT: Final = """
    SELECT name FROM was_apikeys_apikey was
     WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
       AND NOT EXISTS (SELECT FROM apikeys_apikey there WHERE there.id = was.id)
"""


@contextmanager
def here() -> Iterator[Db]:
    """Have a snapshot of this cell, beside the connection of the commands."""
    given = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        given.pop(name, None)
    with psycopg.connect(**given, cursor_factory=psycopg.ClientCursor) as db:
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        db.execute("SET LOCAL timezone = 'UTC'")
        yield db


@contextmanager
def there(url: str) -> Iterator[Db]:
    """Have a connection to another cell; raise NotMoved if it cannot be reached."""
    try:
        db = psycopg.connect(
            url, cursor_factory=psycopg.ClientCursor, connect_timeout=10, autocommit=True,
            options="-c timezone=UTC",
        )  # fmt: skip
    except psycopg.OperationalError as exc:
        raise NotMoved(f"The other cell's database cannot be reached: {exc}") from exc
    with db:
        yield db


def goes(load: Load, to: Db) -> Iterator[tuple[str, Goes]]:
    """Yield the tables that are copied, in their order; a person who is there is not copied."""
    known = load.person is None or to.execute(
        "SELECT EXISTS (SELECT FROM accounts_user WHERE id = %s)", [load.person]
    ).fetchone() == (True,)
    for label, what in TABLES.items():
        if isinstance(what, Goes) and not (known and isinstance(what, Person)):
            yield apps.get_model(label)._meta.db_table, what  # noqa: SLF001 - Django's own way


def count(load: Load, to: Db) -> dict[str, int]:
    """Return how many rows of each table would be copied."""
    found = {}
    with here() as db:
        for table, what in goes(load, to):
            query = f"SELECT count(*) FROM {table} WHERE {what.where}"  # noqa: S608 - of our own
            row = db.execute(query, load.parameters).fetchone()
            found[table] = row[0] if row else 0
    return {table: rows for table, rows in found.items() if rows}


def bring(load: Load, to: Db) -> dict[str, int]:
    """Copy the rows, within the caller's transaction there; return how many of each table.

    Raises NotMoved if they are not there as they were here; then the caller gives all of it up.
    """
    # Who sums or proves entries waits for whoever is inside (books/complete.py).
    to.execute("LOCK TABLE credits_entry IN ROW EXCLUSIVE MODE")
    with here() as db:
        chosen = list(goes(load, to))
        for table, what in chosen:
            _lay_beside(db, to, table, what, load)
        copied = {table: _put(to, table, what, load) for table, what in chosen}
        failpoints.reached("cell.copied")
        _finish(to, load, copied)
        _verify(db, to, load)
    return copied


def _lay_beside(db: Db, to: Db, table: str, what: Goes, load: Load) -> None:
    """Have the rows in a table of this session, as they are, and their new numbers in another."""
    columns, known = _columns(db, table), _columns(to, table)
    if set(columns) != set(known):
        raise NotMoved(f"{table} has other columns there: bring both cells to one version.")
    names = ", ".join(columns)
    to.execute(f"CREATE TEMP TABLE was_{table} (LIKE {table}) ON COMMIT DROP")
    out = f"COPY (SELECT {names} FROM {table} WHERE {what.where}) TO STDOUT"  # noqa: S608 - ours
    with (
        db.cursor().copy(out, load.parameters) as given,
        to.cursor().copy(f"COPY was_{table} ({names}) FROM STDIN") as taken,
    ):
        for piece in given:
            taken.write(piece)
    if "id" not in columns:
        return
    sequence = to.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table]).fetchone()
    if sequence and sequence[0]:
        to.execute(f"""
            CREATE TEMP TABLE new_{table} ON COMMIT DROP AS
            SELECT id AS old, nextval('{sequence[0]}') AS id
              FROM (SELECT id FROM was_{table} ORDER BY id) AS was
        """)  # noqa: S608 - names of our own tables  # nosec B608
        to.execute(f"CREATE UNIQUE INDEX ON new_{table} (old)")
        to.execute(f"ANALYZE new_{table}")


def _put(to: Db, table: str, what: Goes, load: Load) -> int:
    """Put the rows into their table; return how many."""
    columns = _columns(to, table)
    is_new = to.execute("SELECT to_regclass(%s) IS NOT NULL", [f"pg_temp.new_{table}"]).fetchone()
    as_ = {"id": "renumbered.id", **what.as_} if is_new == (True,) else what.as_
    join = f"JOIN new_{table} renumbered ON renumbered.old = t.id" if is_new == (True,) else ""
    put = to.execute(
        f"""
        INSERT INTO {table} ({", ".join(columns)})
        SELECT {", ".join(as_.get(each, f"t.{each}") for each in columns)}
          FROM was_{table} t {join} WHERE {what.only or "true"}
        """,  # noqa: S608 - of our own  # nosec B608
        load.parameters,
    )
    row = to.execute(f"SELECT count(*) FROM was_{table}").fetchone()  # noqa: S608  # nosec B608
    if not what.only and row != (put.rowcount,):
        raise NotMoved(f"Of {table} {row} rows left, and {put.rowcount} arrived.")
    return put.rowcount


def _finish(to: Db, load: Load, copied: dict[str, int]) -> None:
    """Do what belongs to rows that came: proofs begin behind them, accounts are read again."""
    to.execute(
        """
        INSERT INTO credits_carried (account_id, balance_micros, paid_micros, events, sealed)
        SELECT id, 0, 0, events, 0 FROM credits_account WHERE id = %s
        """,
        [load.wallet],
    )
    if copied.get("proxy_vendoraccount"):
        to.execute("UPDATE proxy_vendorrevision SET number = number + 1")
    if left_out := [row[0] for row in to.execute(LIVING_LEFT_OUT)]:
        raise NotMoved(f"Keys of people who are not there would be lost: {', '.join(left_out)}.")


def _verify(db: Db, to: Db, load: Load) -> None:
    """Raise NotMoved unless history and chain are there as they were here, and sums are right."""
    for name, query in (("chain of seals", SEALED), ("history of calls", HISTORY)):
        was, is_ = (side.execute(query, load.parameters).fetchone() for side in (db, to))
        if was != is_:
            raise NotMoved(f"The {name} is not there as it was here: {was}, {is_}.")
    found = to.execute(ARRIVED, load.parameters).fetchone()
    if found != (load.balance,) * 3:
        raise NotMoved(f"Balance, entries and lots there are {found}; {load.balance} left.")


def _columns(db: Db, table: str) -> list[str]:
    return [row[0] for row in db.execute(COLUMNS, [table])]


def make_months(load: Load, to: Db) -> None:
    """Have a partition there for each month of the wallet's calls.

    Raises NotMoved if some are missing, and the role of that connection may not make them.
    """
    with here() as db:
        months = [row[0] for row in db.execute(
            "SELECT DISTINCT date_trunc('month', settled_at AT TIME ZONE 'UTC')::date"
            "  FROM usage_call WHERE workspace_id = %s ORDER BY 1", [load.wallet],
        )]  # fmt: skip
    missing = [
        month
        for month in months
        if to.execute("SELECT to_regclass(%s)", [f"usage_call_{month:%Y_%m}"]).fetchone() == (None,)
    ]
    try:
        for month in missing:
            with to.transaction():
                to.execute("SET LOCAL lock_timeout = '2s'")
                to.execute(
                    sql.SQL(
                        "CREATE TABLE IF NOT EXISTS {} PARTITION OF usage_call"
                        " FOR VALUES FROM ({}) TO ({})"
                    ).format(
                        sql.Identifier(f"usage_call_{month:%Y_%m}"),
                        sql.Literal(f"{month} 00:00:00+00"),
                        sql.Literal(f"{_next(month)} 00:00:00+00"),
                    )
                )
    except psycopg.errors.InsufficientPrivilege as exc:
        named = ", ".join(f"{month:%Y-%m}" for month in missing)
        raise NotMoved(
            f"The other cell has no partitions of {named}: name it by its owner's role once."
        ) from exc
    except psycopg.errors.LockNotAvailable as exc:
        raise NotMoved("The other cell's calls are locked just now: try again.") from exc


def _next(month: Any) -> Any:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
