"""`manage.py keys`: whose keys there are, and ending one at once.

    keys list [EMAIL] [--json]
    keys disable KEY --by STAFF --reason R      it does nothing until it is enabled
    keys enable KEY --by STAFF --reason R
    keys revoke KEY --by STAFF --reason R [--with-made]
                                                for good; also what was made with it, and with that
    keys addresses KEY [--json]                 what stands for it in scripts, and holds
    keys end-address ADDRESS --by STAFF --reason R
                                                for good; the key stays. ADDRESS is its id

KEY is a key's id, or its beginning as it is shown (comfyui-0a1b2c3d), or `-`: then the whole key is
read from standard input, where no history of commands keeps it. `--member EMAIL` in its place is
all keys of somebody.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.management.base import CommandError

from apikeys import states
from apikeys.keys import LENGTH
from apikeys.models import ApiKey
from config.management import staff
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right
from runs import address as run_addresses
from runs.models import Address

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

CHANGES = {"disable": states.disable, "enable": states.enable, "revoke": states.revoke}
DONE = {"disable": "disabled", "enable": "enabled", "revoke": "revoked"}


class Command(StaffCommand):
    """Look at keys, and end them."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "list").add_argument("email", nargs="?")
        for name in CHANGES:
            change = staff.action(actions, name, by=True, reason=True)
            change.add_argument("key", nargs="?", help="id, beginning, or - for standard input")
            change.add_argument("--member", metavar="EMAIL", help="all keys of somebody")
            if name == "revoke":
                change.add_argument("--with-made", action="store_true", help="and what it made")

        staff.action(actions, "addresses").add_argument("key")
        end = staff.action(actions, "end-address", by=True, reason=True)
        end.add_argument("address", type=UUID, help="its id")

    def _list(self, options: dict[str, Any]) -> Told:
        known = ApiKey.objects.filter(run_id=None).select_related("user")
        found = known.order_by("created_at", "id")
        if options["email"]:
            found = found.filter(user=staff.user(options["email"]))
        return [_row(key) for key in found], _line

    def _disable(self, options: dict[str, Any]) -> Told:
        return _change(options)

    _enable = _revoke = _disable

    def _addresses(self, options: dict[str, Any]) -> Told:
        (key,) = _named({**options, "member": None})
        found = run_addresses.of_keys(key.workspace_id, [key.pk])
        return [_address_row(each) for each in found], _address_line

    def _end_address(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.HELP)
        found = Address.objects.filter(pk=options["address"]).first()
        if found is None:
            raise CommandError("There is no such address.")
        changed = run_addresses.end(found, by=by, reason=options["reason"])
        return (
            [{"changed": changed, **_address_row(found)}],
            lambda row: _address_line(row) + ("" if changed else "  (was over before)"),
        )


def _change(options: dict[str, Any]) -> Told:
    by = staff.member_of_staff(options["by"], Right.HELP)
    change = states.revoke_with_made if options.get("with_made") else CHANGES[options["action"]]
    made = []
    for key in _named(options):
        ended = int(change(key, by=by, reason=options["reason"]))
        made.append({"changed": ended > 0, "keys": ended, **_row(key)})
    for row in made:
        row["state"] = states.told(ApiKey.objects.get(pk=row["id"]))
    return (
        made,
        lambda row: (
            _line(row)
            + (f"  ({row['keys']} keys, with what it made)" if row["keys"] > 1 else "")
            + ("" if row["changed"] else f"  (was {DONE[options['action']]} before)")
        ),
    )


def _named(options: dict[str, Any]) -> list[ApiKey]:
    """Return the keys that are meant."""
    key, email = options["key"], options["member"]
    if (key is None) == (email is None):
        raise CommandError("Name one key, or --member EMAIL for all keys of somebody.")
    if email is not None:
        return list(ApiKey.objects.filter(user=staff.user(email)).select_related("user"))
    if len(key) >= LENGTH:
        raise CommandError("A whole key does not belong on a command line: give - and paste it.")
    return [states.find(sys.stdin.readline() if key == "-" else key)]


def _row(key: ApiKey) -> Row:
    return {
        "id": key.pk,
        "prefix": key.prefix,
        "state": states.told(key),
        "member": key.user.email,
        "workspace_id": key.workspace_id,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "expires_at": key.expires_at,
        "status_reason": key.status_reason,
    }


def _address_row(address: Address) -> Row:
    return {
        "id": address.pk,
        "key_id": address.key_id,
        "max_micros": address.max_micros,
        "created_at": address.created_at,
        "expires_at": address.expires_at,
    }


def _address_line(row: Row) -> str:
    until = f"until {row['expires_at']:%Y-%m-%d}" if row["expires_at"] else "until its key ends"
    return f"{row['id']}  made {row['created_at']:%Y-%m-%d}  {until}"


def _line(row: Row) -> str:
    used = f"used {row['last_used_at']:%Y-%m-%d}" if row["last_used_at"] else "never used"
    return (
        f"{row['prefix']}  {row['state']:<9}{used:<17} {row['member']}  {row['name']}  {row['id']}"
    )
