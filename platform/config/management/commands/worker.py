"""`manage.py worker`: the ComfyUI machines that runs go to.

    worker list [--json]
    worker add NAME URL --accelerator LABEL --per-second DOLLARS [--minimum DOLLARS]
               [--per-output DOLLARS] [--slots N] [--for WORKSPACE ...] [--token [--user NAME]]
               [--allow CLASS ...] [--deny CLASS ...] [--shared-input FILE ...]
               [--keep-files] [--nodes FILE] --by STAFF --reason R
    worker nodes NAME FILE --by STAFF --reason R  of a proxy: what its ComfyUI has of nodes by now
    worker drain NAME --by STAFF --reason R       no new runs; those that are there end there
    worker back NAME --by STAFF --reason R        new runs again
    worker remove NAME --by STAFF --reason R      what is there is lost to it, and runs elsewhere

With --token the machine's token is read from standard input, where no history of commands keeps it;
with --user, too, it is the password of Basic. --allow and --deny say by patterns (`Load*`) which
node classes run there, --shared-input which files of its own every run may load (if not said,
example.png). With --nodes the machine is a comfy-api-proxy (Comfy API v2), which does not tell of
its nodes: the file has what the ComfyUI behind it answers at /object_info.
A machine gets runs once `python -m config.runs` has seen it up. --for reserves it for workspaces,
each named by its id. What a run left there is wiped once it is stored here, unless --keep-files is
said; `list` tells of how many it is not yet.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from django.core.management.base import CommandError

from common.money import show
from config.management import staff
from config.management.arguments import dollars_or_none
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right
from runs import scrubbing, workers
from runs.models import ENDED, Run

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(StaffCommand):
    """Look after machines for runs."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "list")
        add = staff.action(actions, "add", by=True, reason=True)
        add.add_argument("name")
        add.add_argument("url")
        add.add_argument("--accelerator", required=True, metavar="LABEL")
        add.add_argument("--per-second", type=dollars_or_none, required=True, metavar="DOLLARS")
        for name in ("--minimum", "--per-output"):
            add.add_argument(name, type=dollars_or_none, default=0, metavar="DOLLARS")
        add.add_argument("--slots", type=int, default=1)
        add.add_argument("--for", dest="reserved", action="append", default=[], metavar="WORKSPACE")
        add.add_argument("--token", action="store_true", help="read its token from standard input")
        add.add_argument("--user", default="", metavar="NAME", help="the token is its password")
        for name, dest in (("--allow", "allowed"), ("--deny", "denied")):
            add.add_argument(name, dest=dest, action="append", default=[], metavar="CLASS")
        add.add_argument(
            "--shared-input", dest="shared", action="append", default=None, metavar="FILE"
        )
        add.add_argument(
            "--nodes", metavar="FILE", help="of comfy-api-proxy: its ComfyUI's /object_info"
        )
        add.add_argument("--keep-files", action="store_true", help="wipe nothing there")
        nodes = staff.action(actions, "nodes", by=True, reason=True)
        nodes.add_argument("name")
        nodes.add_argument("file", help="what its ComfyUI answers at /object_info")
        for name in ("drain", "back", "remove"):
            staff.action(actions, name, by=True, reason=True).add_argument("name")

    def _list(self, options: dict[str, Any]) -> Told:
        rows: list[Row] = [
            {
                "name": each.name,
                "url": each.base_url,
                "accelerator": each.accelerator,
                "state": each.state,
                "health": each.health,
                "error": each.error,
                "slots": each.slots,
                "runs": Run.objects.filter(worker=each).exclude(state__in=ENDED).count(),
                "micros_per_second": each.micros_per_second,
                "minimum_micros": each.minimum_micros,
                "micros_per_output": each.micros_per_output,
                "reserved_for": each.reserved_for,
                "allowed_classes": each.allowed_classes,
                "denied_classes": each.denied_classes,
                "shared_inputs": each.shared_inputs,
                "seen_at": each.seen_at,
                "wiped": each.scrubs,
                "to_wipe": scrubbing.left(each),
            }
            for each in workers.living()
        ]
        return rows, _line

    def _add(self, options: dict[str, Any]) -> Told:
        terms = workers.Terms(
            base_url=options["url"],
            accelerator=options["accelerator"],
            micros_per_second=options["per_second"],
            minimum_micros=options["minimum"],
            micros_per_output=options["per_output"],
            slots=options["slots"],
            reserved_for=tuple(map(staff.workspace_by_id, options["reserved"])),
            scrubs=not options["keep_files"],
            user=options["user"],
            dialect="v2" if options["nodes"] else "native",
            allowed_classes=tuple(options["allowed"]),
            denied_classes=tuple(options["denied"]),
            **({} if options["shared"] is None else {"shared_inputs": tuple(options["shared"])}),
        )
        token = sys.stdin.readline().strip() if options["token"] else ""
        nodes = _nodes(options["nodes"]) if options["nodes"] else None
        made = workers.add(options["name"], terms, token=token, nodes=nodes, **_who(options))
        row = {"name": made.name, "done": "is a worker, once the runner has seen it up"}
        return row, _done

    def _nodes(self, options: dict[str, Any]) -> Told:
        changed = workers.hand_over_nodes(options["name"], _nodes(options["file"]), **_who(options))
        return _changed(options, "has these nodes from now on" if changed else "had these before")

    def _drain(self, options: dict[str, Any]) -> Told:
        changed = workers.drain(options["name"], **_who(options))
        return _changed(options, "gets no new runs" if changed else "got none before")

    def _back(self, options: dict[str, Any]) -> Told:
        changed = workers.take_back(options["name"], **_who(options))
        return _changed(options, "gets runs again" if changed else "got some before")

    def _remove(self, options: dict[str, Any]) -> Told:
        worker = workers.find(options["name"])
        runs = scrubbing.left(worker)
        workers.remove(options["name"], **_who(options))
        left = f"; files of {runs} runs are on it still, in mc and mc-models" if runs else ""
        return _changed(options, f"is removed{left}")


def _nodes(path: str) -> dict[str, Any]:
    try:
        found = orjson.loads(Path(path).read_bytes())
    except (OSError, ValueError) as exc:
        raise CommandError(f"{path}: no JSON can be read there ({type(exc).__name__}).") from None
    if not isinstance(found, dict):
        raise CommandError(f"{path}: not what a ComfyUI answers at /object_info.")
    return found


def _who(options: dict[str, Any]) -> dict[str, Any]:
    return {"by": staff.member_of_staff(options["by"], Right.OPERATE), "reason": options["reason"]}


def _changed(options: dict[str, Any], what: str) -> Told:
    return {"name": options["name"], "done": what}, _done


def _done(row: Row) -> str:
    return f"{row['name']} {row['done']}."


def _to_wipe(row: Row) -> str:
    return f"  {row['to_wipe']} to wipe" if row["to_wipe"] else ""


def _line(row: Row) -> str:
    state = row["state"] if row["state"] != "active" else row["health"]
    wrong = f": {row['error']}" if row["error"] else ""
    return (
        f"{row['name']}  {row['url']}  {row['accelerator']}  {row['runs']} of {row['slots']} slots"
        f"  {show(row['micros_per_second'])} a second  {state}{_to_wipe(row)}{wrong}"
    )
