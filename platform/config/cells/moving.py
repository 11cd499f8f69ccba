"""Move a wallet to another cell: freeze, close, bring, flip; each once, whoever dies between.

    begin   the wallet is paused: no hold and no posting, its members are told to wait a minute
    close   nothing is open: its balance goes to the account `moved`, with what stands for it in
            the house's accounts; from now on it can be spent in no cell
    bring   all rows arrive in the other cell in one transaction: there it is spent from then on
    flip    this cell says to where it moved; what is left here is an archive

`Move.state` is where it stands, in this cell; that the row with the same id is in the other cell is
the word that it arrived. Who dies is gone on with by the same command. Before it arrived it can be
called back (`abort`): a row `refused` over there first, so that whoever brings it finds that.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Workspace
from audit import log
from common import failpoints
from common.errors import NotFound
from common.money import Micros
from common.rows import values
from config.cells import copying, obstacles
from config.cells.copying import Load, NotMoved
from config.cells.tables import ENTRIES, POSITIONS
from credits.books import elsewhere, freezes, ledger
from credits.models import Account, Billing, Cell, Entry, Freeze, Lot, Move

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from config.cells.copying import Db

State = Move.State
LIVING: Final = (State.FREEZING, State.CLOSED)
LOOK_SECONDS: Final = 0.2
FREED_SECONDS: Final = 3
"""Until then a server has noticed that who held a lock was killed."""
STANDS: Final = f"""
    SELECT coalesce(sum(CASE WHEN credit_id = %(house)s THEN amount_micros
                             ELSE -amount_micros END), 0)::bigint
      FROM credits_entry WHERE %(house)s IN (debit_id, credit_id) AND {ENTRIES}
"""  # noqa: S608 - constants of our own
"""What of the wallet's stands in a house account."""
ENDED_SINCE: Final = """
    SELECT id, disabled_at, revoked_at, status_changed_at, status_changed_by, status_reason
      FROM apikeys_apikey
     WHERE workspace_id = %s AND (disabled_at IS NOT NULL OR revoked_at IS NOT NULL)
       FOR UPDATE
"""
END: Final = """
    UPDATE apikeys_apikey
       SET disabled_at = coalesce(disabled_at, %(disabled)s),
           revoked_at = coalesce(revoked_at, %(revoked)s),
           status_changed_at = %(at)s, status_changed_by = %(by)s, status_reason = %(why)s
     WHERE id = %(id)s AND (disabled_at IS NULL AND %(disabled)s::timestamptz IS NOT NULL
                            OR revoked_at IS NULL AND %(revoked)s::timestamptz IS NOT NULL)
"""

PEOPLE: Final = """
    SELECT array_agg(seat.user_id), array_agg(seat.user_id) FILTER (WHERE NOT person.is_active)
      FROM accounts_membership seat JOIN accounts_user person ON person.id = seat.user_id
     WHERE seat.workspace_id = %s
"""
LEAVE: Final = """
    DELETE FROM accounts_membership
     WHERE workspace_id = %(wallet)s AND created_at <= %(closed)s
       AND user_id <> ALL (%(here)s::uuid[])
"""
DEACTIVATE: Final = """
    UPDATE accounts_user SET is_active = false
     WHERE id = ANY (%(inactive)s::uuid[]) AND is_active
       AND (status_changed_at IS NULL OR status_changed_at <= %(closed)s)
"""
"""Who was removed or deactivated here since the wallet was closed is so there, too."""
HEARD: Final = timedelta(hours=1)
WAITING: Final = "SELECT id FROM credits_stripeevent WHERE processed_at IS NULL"
HEAR_AGAIN: Final = """
    UPDATE credits_stripeevent
       SET processed_at = NULL, next_try_at = now(), attempts = attempts + 1
     WHERE received_at >= %(since)s OR id = ANY (%(waiting)s)
"""
"""What the new cell heard of Stripe before the wallet came, it took for somebody else's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would move, and what stands in the way."""

    rows: dict[str, int]
    balance: int
    in_the_way: list[str]
    open: list[str]
    """What a move would wait for."""


def plan(wallet: UUID, url: str) -> Plan:
    """Return what a move would do, and change nothing."""
    with copying.there(url) as to:
        load = _load(Move(wallet_id=wallet, balance_micros=0))
        return Plan(
            copying.count(load, to),
            Account.objects.get(pk=wallet).balance_micros,
            [*obstacles.of_cells(wallet, load.person, to), *obstacles.standing(wallet)],
            obstacles.still_open(wallet),
        )


def move(wallet: UUID, url: str, *, by: UUID, reason: str, wait_seconds: float) -> Move:
    """Move a wallet, or go on with its move where that stands; return it, `gone`.

    Again, when it is gone: nothing. Raises NotMoved with what stands in the way. As long as nothing
    was closed the wallet is let go on then; afterwards it stays paused, to be gone on with or
    called back.
    """
    with _alone(wallet), copying.there(url) as to:
        row = Move.objects.filter(wallet_id=wallet, state__in=[*LIVING, State.GONE]).first()
        if row is not None:
            _require_same(row, to)
        if row is None or row.state == State.FREEZING:
            row = _closed(row or _begin(wallet, to, by=by, reason=reason), to, wait_seconds)
        if row.state == State.CLOSED:
            _bring(row, to)
            failpoints.reached("cell.arrived")
            _flip(row, to)
        row.refresh_from_db()
        return row


def abort(wallet: UUID, url: str, *, by: UUID, reason: str) -> Move:
    """Call a wallet back that has not arrived: it has what it had, and takes calls again.

    Again: nothing. Raises NotMoved if it has arrived: then it can only be gone on with.
    """
    with _alone(wallet), copying.there(url) as to:
        row = Move.objects.filter(wallet_id=wallet, state__in=LIVING).first()
        if row is None:
            last = Move.objects.filter(wallet_id=wallet, direction="out").order_by("-created_at")
            if (ended := last.first()) is None or ended.state != State.ABORTED:
                raise NotMoved("No move of this wallet is under way.")
            return ended
        _require_same(row, to)
        if not _note_there(row, to, State.REFUSED):
            raise NotMoved("It has arrived: `cell move` once more ends the move.")
        failpoints.reached("cell.refused")
        _reopen(row, by=by, reason=reason)
        row.refresh_from_db()
        return row


@contextmanager
def _alone(wallet: UUID) -> Iterator[None]:
    """Have nobody else move the same wallet meanwhile; raise NotMoved if somebody does.

    What somebody held who was killed is free a moment later.
    """
    lock = f"hashtextextended('cell {wallet}', 0)"
    end = time.monotonic() + FREED_SECONDS
    while not values(f"SELECT pg_try_advisory_lock({lock})")[0]:
        if time.monotonic() > end:
            raise NotMoved("Somebody else is moving this wallet just now.")
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        values(f"SELECT pg_advisory_unlock({lock})")


def _require_same(row: Move, to: Db) -> None:
    theirs = to.execute("SELECT number FROM credits_cell").fetchone()
    if theirs != (row.other_cell,):
        raise NotMoved(f"It is on its way to cell {row.other_cell} ({row.other_address}).")


def _load(row: Move) -> Load:
    workspace = Workspace.objects.filter(pk=row.wallet_id).first()
    if workspace is None:
        raise NotFound("There is no such workspace.")
    return Load(
        row.pk, row.wallet_id, workspace.personal_of_id, row.balance_micros or 0,
        json.dumps(row.lots),
    )  # fmt: skip


def _begin(wallet: UUID, to: Db, *, by: UUID, reason: str) -> Move:
    """Pause the wallet, after a look at what stands in the way."""
    person = _load(Move(wallet_id=wallet)).person
    if found := [*obstacles.of_cells(wallet, person, to), *obstacles.standing(wallet)]:
        raise NotMoved(f"Not moved: {'; '.join(found)}.")
    theirs = to.execute("SELECT number, address FROM credits_cell").fetchone()
    assert theirs is not None, "of_cells found its name"
    with transaction.atomic():
        row = Move.objects.create(
            wallet_id=wallet, direction=Move.Direction.OUT, state=State.FREEZING,
            other_cell=theirs[0], other_address=theirs[1], by=by, reason=reason[:300],
        )  # fmt: skip
        freezes.freeze(wallet, Freeze.Cause.MOVED, elsewhere.MOVING)
        log.note(
            "wallet.leaves", actor=by, workspace=wallet, target=row.other_address, reason=reason
        )
    failpoints.reached("cell.frozen")
    return row


def _closed(row: Move, to: Db, wait_seconds: float) -> Move:
    """Wait until nothing is open, and close the wallet; else let it go on, and raise NotMoved."""
    patience = time.monotonic() + wait_seconds
    while (found := obstacles.still_open(row.wallet_id)) and time.monotonic() < patience:
        time.sleep(LOOK_SECONDS)
    found += obstacles.standing(row.wallet_id)
    if not found:
        try:
            copying.make_months(_load(row), to)
            _close(row)
        except NotMoved as exc:
            found = [str(exc)]
    if found:
        _reopen(row, by=row.by, reason="not moved")
        raise NotMoved(f"Not moved, and let go on: {'; '.join(found)}.")
    failpoints.reached("cell.closed")
    row.refresh_from_db()
    return row


def _close(row: Move) -> None:
    """Take the balance out of the wallet, and what stands for it out of the house's accounts.

    Nothing books on the wallet since it was paused, so what stands in the house's accounts is read
    before the wallet's row is locked: a batch of calls may wait for that.
    """
    stands = {house: _stands(row.wallet_id, house) for house in POSITIONS}
    with transaction.atomic():
        wallet = ledger.lock(row.wallet_id, leaving=True)
        if wallet.held_micros or wallet.open_holds or wallet.open_apart:
            raise NotMoved("a hold is open")
        lots = [
            {
                "entry": lot.pk, "kind": lot.kind, "left": lot.left_micros,
                "expires_at": lot.expires_at.isoformat() if lot.expires_at else None,
            }
            for lot in Lot.objects.filter(wallet=wallet, left_micros__gt=0).order_by("entry_id")
        ]  # fmt: skip
        _move_house(row, Account(pk=wallet.pk), wallet.balance_micros, "wallet")
        for house, micros in stands.items():
            _move_house(row, Account(pk=house), micros, str(house.int))
        ledger.lock(row.wallet_id, leaving=True)  # Its lots are empty, and none expires here.
        Billing.objects.filter(pk=wallet.pk).update(is_low=True)  # Nobody is written to for that.
        closed = Move.objects.filter(pk=row.pk, state=State.FREEZING).update(
            state=State.CLOSED, closed_at=timezone.now(), balance_micros=wallet.balance_micros,
            lots=lots,
        )  # fmt: skip
        if not closed:
            raise NotMoved("somebody else went on with it")
        failpoints.reached("cell.before_close")


def _stands(wallet: UUID, house: UUID) -> int:
    # The entries of one house account are most of all: its own are found by the wallet's.
    with copying.here() as db:
        row = db.execute(STANDS, {"wallet": wallet, "house": house}).fetchone()
    return int(row[0]) if row else 0


def _move_house(row: Move, account: Account, micros: int, name: str, *, back: bool = False) -> None:
    """Bring an account's part to nothing by an entry with `moved`; or `back` to what it was."""
    if not micros:
        return
    moved, key = ledger.house(Account.Kind.MOVED), f"moved:{row.pk}:{name}"
    gives, takes = (account, moved) if (micros > 0) is not back else (moved, account)
    ledger.post(
        kind=Entry.Kind.ADJUSTMENT, debit=gives, credit=takes, amount=Micros(abs(micros)),
        key=f"{key}:back" if back else key, facts={"reason": "moved between cells"},
    )  # fmt: skip


def _bring(row: Move, to: Db) -> None:
    """Have all of it in the other cell, once."""
    try:
        copying.make_months(_load(row), to)
        with to.transaction():
            if not _note_there(row, to, State.ARRIVED):
                state = _state_there(row, to)
                if state == State.REFUSED:
                    raise NotMoved("It was called back: `cell abort` once more ends that.")
                return
            copying.bring(_load(row), to)
            failpoints.reached("cell.before_arrival")
    except psycopg.errors.IntegrityError as exc:
        raise NotMoved(
            f"The other cell has what would come already: {exc.diag.message_primary}"
            f" ({exc.diag.message_detail}). Call it back, or mend that and go on."
        ) from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        raise NotMoved(f"Name the other cell by its owner's role: {exc}") from exc


def _note_there(row: Move, to: Db, state: Move.State) -> bool:
    """Have the other cell's word, once: whether it is the given one of two.

    The row of who came first is waited for, until it is committed or given up.
    """
    ours, address = Cell.objects.values_list("number", "address").get()
    made = to.execute(
        """
        INSERT INTO credits_move (id, wallet_id, direction, state, other_cell, other_address, by,
                                  reason, balance_micros, ended_at)
        VALUES (%s, %s, 'in', %s, %s, %s, %s, %s, %s, now()) ON CONFLICT (id) DO NOTHING
        """,
        [row.pk, row.wallet_id, state, ours, address, row.by, row.reason, row.balance_micros],
    ).rowcount
    return bool(made) or (state == State.REFUSED and _state_there(row, to) == State.REFUSED)


def _state_there(row: Move, to: Db) -> str | None:
    found = to.execute("SELECT state FROM credits_move WHERE id = %s", [row.pk]).fetchone()
    return str(found[0]) if found else None


def _flip(row: Move, to: Db) -> None:
    """Have this cell say to where the wallet moved, and keys that ended meanwhile end there."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(ENDED_SINCE, [row.wallet_id])
            ended = cursor.fetchall()
        for key, disabled, revoked, at, by, why in ended:
            given: dict[str, Any] = {"id": key, "disabled": disabled, "revoked": revoked}
            to.execute(END, given | {"at": at, "by": by, "why": why})
        with connection.cursor() as cursor:
            cursor.execute(PEOPLE, [row.wallet_id])
            people, inactive = cursor.fetchone() or (None, None)
        since = {"wallet": row.wallet_id, "closed": row.closed_at}
        to.execute(LEAVE, since | {"here": people or []})
        to.execute(DEACTIVATE, since | {"inactive": inactive or []})
        _hear_again(row, to)
        failpoints.reached("cell.before_flip")
        Move.objects.filter(pk=row.pk, state=State.CLOSED).update(
            state=State.GONE, ended_at=timezone.now()
        )
        freezes.freeze(
            row.wallet_id, Freeze.Cause.MOVED, elsewhere.MOVED % {"address": row.other_address}
        )
        log.note(
            "wallet.left", actor=row.by, workspace=row.wallet_id, target=row.other_address,
            reason=row.reason,
        )  # fmt: skip


def _hear_again(row: Move, to: Db) -> None:
    """Have the other cell act anew on what it heard of Stripe before the wallet was there.

    Here it was put off, and is of a wallet that has moved from now on: else a refund or a dispute
    of that time would be booked in neither. What was acted upon already changes nothing again.
    """
    told = {"since": row.created_at - HEARD, "waiting": values(WAITING)}
    to.execute(HEAR_AGAIN, told)


def _reopen(row: Move, *, by: UUID, reason: str) -> None:
    """Give the wallet back what was closed, in the lots that it had, and let it take calls."""
    with transaction.atomic():
        wallet = ledger.lock(row.wallet_id, leaving=True)
        row = Move.objects.select_for_update().get(pk=row.pk)
        if row.state not in LIVING:
            return
        if row.state == State.CLOSED:
            for lot in row.lots:
                _give_back(row, wallet, lot)
            for house in POSITIONS:
                key = f"moved:{row.pk}:{house.int}"
                entry = Entry.objects.filter(key=key).first()
                if entry is not None:
                    micros = entry.amount_micros * (1 if entry.debit_id == house else -1)
                    _move_house(row, Account(pk=house), micros, str(house.int), back=True)
        Move.objects.filter(pk=row.pk).update(state=State.ABORTED, ended_at=timezone.now())
        freezes.lift(row.wallet_id, Freeze.Cause.MOVED)
        log.note("wallet.stays", actor=by, workspace=row.wallet_id, reason=reason)
        failpoints.reached("cell.before_reopen")


def _give_back(row: Move, wallet: Account, lot: dict[str, Any]) -> None:
    """Give back what was left of a lot: what was paid into the same, what was given as a new one.

    So the entries alone tell what was given of it (proofs/accounting.py).
    """
    is_paid = lot["kind"] == Lot.Kind.PAID
    expires_at = lot["expires_at"] and datetime.fromisoformat(lot["expires_at"])
    ledger.post(
        kind=Entry.Kind.ADJUSTMENT,
        debit=ledger.house(Account.Kind.MOVED),
        credit=wallet,
        amount=Micros(lot["left"]),
        key=f"moved:{row.pk}:lot:{lot['entry']}:back",
        facts={"reason": "moved between cells"},
        lot=Lot.objects.get(pk=lot["entry"]) if is_paid else None,
        expires_at=None if is_paid else expires_at,
    )
