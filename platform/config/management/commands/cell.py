"""`manage.py cell`: what this cell is called, and wallets that move to another (docs/scaling.md).

    cell name NUMBER ADDRESS --by STAFF --reason R      once in each cell, before anything moves
    cell list [--json]                                  which workspaces left, came, or are between
    cell plan WORKSPACE --to URL                        what would move, and what stands in the way
    cell move WORKSPACE --to URL [--wait SECONDS] --by STAFF --reason R
    cell abort WORKSPACE --to URL --by STAFF --reason R

A workspace is named by its id, or a personal one by its owner's e-mail. URL is of the other cell's
database, with the role that owns its tables; `--to -` reads it from standard input, where no
history of commands keeps it. Whoever dies in a move is gone on with by the same command; a move
that has not arrived can be called back. Run it with the role that owns the tables here, too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from common.money import show
from config.cells import moving, naming
from config.management import staff
from config.management.staff import Row, StaffCommand, Told
from credits.models import Move
from desk.roles import Right

if TYPE_CHECKING:
    from uuid import UUID

    from django.core.management.base import CommandParser

WAIT_SECONDS = 120


class Command(StaffCommand):
    """Look after which wallet is of which cell."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        name = staff.action(actions, "name", by=True, reason=True)
        name.add_argument("number", type=int)
        name.add_argument("address")
        staff.action(actions, "list")
        for action in ("plan", "move", "abort"):
            changes = action != "plan"
            made = staff.action(actions, action, by=changes, reason=changes)
            made.add_argument("workspace")
            made.add_argument("--to", required=True, metavar="URL", help="-: from standard input")
            if action == "move":
                made.add_argument(
                    "--wait", type=int, default=WAIT_SECONDS, metavar="SECONDS",
                    help="how long what is open may take to end",
                )  # fmt: skip

    def _name(self, options: dict[str, Any]) -> Told:
        cell = naming.name(options["number"], options["address"], **_who(options))
        row = {"number": cell.number, "address": cell.address, "secrets": cell.secrets}
        return row, lambda row: f"This is cell {row['number']}, at {row['address']}."

    def _list(self, options: dict[str, Any]) -> Told:
        rows: list[Row] = [
            {
                "workspace": each.wallet_id,
                "direction": each.direction,
                "state": each.state,
                "cell": each.other_cell,
                "address": each.other_address,
                "micros": each.balance_micros,
                "at": each.created_at,
            }
            for each in Move.objects.order_by("created_at")
        ]
        return rows, _line

    def _plan(self, options: dict[str, Any]) -> Told:
        found = moving.plan(_workspace(options["workspace"]), _url(options["to"]))
        row = {
            "rows": found.rows,
            "micros": found.balance,
            "in_the_way": found.in_the_way,
            "open": found.open,
        }
        return row, _planned

    def _move(self, options: dict[str, Any]) -> Told:
        row = moving.move(
            _workspace(options["workspace"]),
            _url(options["to"]),
            wait_seconds=options["wait"],
            **_who(options),
        )
        return _told(row), _line

    def _abort(self, options: dict[str, Any]) -> Told:
        row = moving.abort(_workspace(options["workspace"]), _url(options["to"]), **_who(options))
        return _told(row), _line


def _who(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "by": staff.member_of_staff(options["by"], Right.DECIDE),
        "reason": options["reason"],
    }


def _workspace(text: str) -> UUID:
    return staff.workspace(text) if "@" in text else staff.workspace_by_id(text)


def _url(text: str) -> str:
    return sys.stdin.readline().strip() if text == "-" else text


def _told(row: Move) -> Row:
    return {
        "workspace": row.wallet_id, "direction": row.direction, "state": row.state,
        "cell": row.other_cell, "address": row.other_address, "micros": row.balance_micros,
    }  # fmt: skip


def _line(row: Row) -> str:
    amount = "" if row["micros"] is None else f" with {show(row['micros'])}"
    way = "to" if row["direction"] == Move.Direction.OUT else "from"
    return f"{row['workspace']} {row['state']}{amount} {way} cell {row['cell']}, {row['address']}"


def _planned(row: Row) -> str:
    lines = [f"{show(row['micros'])}, and {sum(row['rows'].values()):,} rows:"]
    lines += [f"    {table} {rows:,}" for table, rows in row["rows"].items()]
    lines += [f"In the way: {each}" for each in row["in_the_way"]]
    lines += [f"To be waited for: {each}" for each in row["open"]]
    return "\n".join(lines)
