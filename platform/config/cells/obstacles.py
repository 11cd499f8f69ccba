"""What stands in the way of a wallet's move, each by name: what cannot be moved safely is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from common.rows import rows
from config.cells import naming
from credits.models import Cell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from config.cells.copying import Db


class _Open(NamedTuple):
    """Something that has not ended yet, and how many."""

    what: str
    n: int


OPEN: Final = """
    SELECT what, n FROM (
        SELECT 'open holds' AS what,
               (SELECT open_holds FROM credits_account WHERE id = %(wallet)s) AS n
         UNION ALL
        SELECT 'jobs at vendors', (SELECT count(*) FROM proxy_job
                                    WHERE workspace_id = %(wallet)s AND ended_at IS NULL)
         UNION ALL
        SELECT 'runs', (SELECT count(*) FROM runs_run
                         WHERE workspace_id = %(wallet)s AND ended_at IS NULL)
    ) AS open WHERE n > 0
"""
"""What ends by itself, soon: a move waits for it."""
STANDING: Final = """
    SELECT what, n FROM (
        SELECT 'purchases that are not over' AS what, (
            SELECT count(*) FROM credits_topup WHERE wallet_id = %(wallet)s
               AND (state IN ('open', 'processing', 'paid') OR next_check_at IS NOT NULL)) AS n
         UNION ALL
        SELECT 'refunds under way', (
            SELECT count(*) FROM credits_refund JOIN credits_topup top_up ON top_up.id = top_up_id
             WHERE wallet_id = %(wallet)s
               AND (credits_refund.state IN ('requested', 'pending') OR next_try_at IS NOT NULL))
         UNION ALL
        SELECT 'refunds that wait for a second person', (
            SELECT count(*) FROM credits_refundask ask JOIN credits_topup top_up
                ON top_up.id = top_up_id
             WHERE wallet_id = %(wallet)s AND ask.state = 'waiting')
         UNION ALL
        SELECT 'disputes that are not decided', (
            SELECT count(*) FROM credits_dispute JOIN credits_topup top_up ON top_up.id = top_up_id
             WHERE wallet_id = %(wallet)s AND (closed_at IS NULL OR phase = 'open'))
         UNION ALL
        SELECT 'amounts that are due', (
            SELECT count(*) FROM credits_receivable WHERE wallet_id = %(wallet)s
               AND amount_micros > paid_micros + waived_micros)
         UNION ALL
        SELECT 'adjustments that wait for a second person', (
            SELECT count(*) FROM credits_adjustment
             WHERE wallet_id = %(wallet)s AND state = 'waiting')
         UNION ALL
        SELECT 'other pauses', (
            SELECT count(*) FROM credits_freeze
             WHERE wallet_id = %(wallet)s AND lifted_at IS NULL AND cause <> 'moved')
         UNION ALL
        SELECT 'deletions that were asked for', (
            SELECT count(*) FROM privacy_deletion deletion
              JOIN accounts_membership seat ON seat.user_id = deletion.user_id
             WHERE seat.workspace_id = %(wallet)s AND deletion.ended_at IS NULL)
         UNION ALL
        SELECT 'files that vendors may still fetch', (
            SELECT count(*) FROM uploads_upload
             WHERE workspace_id = %(wallet)s AND digest <> '')
         UNION ALL
        SELECT 'files that runs made', (
            SELECT count(*) FROM runs_output WHERE workspace_id = %(wallet)s AND kind <> 'text')
         UNION ALL
        SELECT 'files for runs', (
            SELECT count(*) FROM runs_asset WHERE workspace_id = %(wallet)s)
         UNION ALL
        SELECT 'large answers that are kept for a repeat', (
            SELECT count(*) FROM proxy_kept WHERE spool <> '' AND kept_until > now()
               AND call_id IN (SELECT id FROM usage_call WHERE workspace_id = %(wallet)s
                                  AND settled_at > now() - interval '9 days'))
         UNION ALL
        SELECT 'machines that are reserved for it', (
            SELECT count(*) FROM runs_worker
             WHERE %(wallet)s = ANY (reserved_for) AND state <> 'removed')
    ) AS standing WHERE n > 0
"""
"""What a person must end first."""
MEMBERS: Final = """
    SELECT id, email FROM accounts_user
     WHERE id IN (SELECT user_id FROM accounts_membership WHERE workspace_id = %(wallet)s)
"""


class _Member(NamedTuple):
    """Somebody of the workspace."""

    id: UUID
    email: str


def still_open(wallet: UUID) -> list[str]:
    """Return what of a wallet has not ended, and will by itself."""
    return [f"{each.n} {each.what}" for each in rows(_Open, OPEN, {"wallet": wallet})]


def standing(wallet: UUID) -> list[str]:
    """Return what of a wallet somebody must end before it can move."""
    return [f"{each.n} {each.what}" for each in rows(_Open, STANDING, {"wallet": wallet})]


def of_cells(wallet: UUID, person: UUID | None, to: Db) -> Iterator[str]:
    """Yield why the two cells do not fit each other, or the wallet not the other one."""
    ours = Cell.objects.first()
    theirs = to.execute("SELECT number, address, secrets FROM credits_cell").fetchone()
    if ours is None or theirs is None:
        which = "This" if ours is None else "The other"
        yield f"{which} cell has no name: `manage.py cell name` there first"
        return
    if ours.number == theirs[0]:
        yield f"both cells are number {ours.number}"
    if not ours.secrets == theirs[2] == naming.fingerprint():
        yield "the cells have other peppers, or another SECRET_KEY: keys would be good no more"
    if to.execute("SELECT 1 FROM credits_account WHERE id = %s", [wallet]).fetchone():
        yield "the other cell has the wallet, or an archive of it: none comes back to where it was"
    yield from _of_people(wallet, person, to)


def _of_people(wallet: UUID, person: UUID | None, to: Db) -> Iterator[str]:
    for member in rows(_Member, MEMBERS, {"wallet": wallet}):
        there = to.execute(
            "SELECT id FROM accounts_user WHERE id = %s OR email = %s", [member.id, member.email]
        ).fetchone()
        if there is None and member.id != person:
            yield f"{member.email} has no account there: move their own workspace first"
        elif there is not None and there[0] != member.id:
            yield f"{member.email} is somebody else's address there"
        elif there is not None and member.id == person:
            yield from _of_personal(member, to)


def _of_personal(member: _Member, to: Db) -> Iterator[str]:
    query = "SELECT 1 FROM accounts_workspace WHERE personal_of_id = %s"
    if to.execute(query, [member.id]).fetchone():
        yield f"{member.email} has a workspace of their own there already"
