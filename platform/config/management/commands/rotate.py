"""`manage.py rotate`: another secret in the place of one, without anybody being thrown out.

    rotate status [--json]
    rotate begin pepper|secret-key --file FILE --by STAFF --reason R
    rotate use   pepper|secret-key --file FILE --by STAFF --reason R
    rotate drop  pepper|secret-key --file FILE --by STAFF --reason R [--abandon]
    rotate reseal [--json]
    rotate signing-key [--at-once] --by STAFF --reason R

FILE is what units and shells read the settings from, and what this command itself was started with.
After each step it goes to every machine, and every program is started again. `pepper` is what keys
are digested by, and what vendors' credentials, second factors and webhooks' secrets are sealed by.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts import signingkeys
from audit import log
from common import rotating
from config import rotation
from config.envfile import EnvironmentFile
from config.management import staff
from config.management.staff import Row, StaffCommand, Told
from desk.roles import Right

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

SECRETS = ("pepper", "secret-key")
NEXT = {
    "begin": "Have the file on every machine and start every program again; then: rotate use.",
    "use": "Have the file on every machine and start every program again; then: rotate reseal.",
    "drop": "Have the file on every machine, and start every program again.",
}


class Command(StaffCommand):
    """Begin with another secret, use it, drop the old one."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the actions."""
        actions = staff.formatted(parser).add_subparsers(dest="action", required=True)
        staff.action(actions, "status")
        staff.action(actions, "reseal")
        for name in ("begin", "use", "drop"):
            step = staff.action(actions, name, by=True, reason=True)
            step.add_argument("secret", choices=SECRETS)
            step.add_argument("--file", type=Path, required=True, help="of the environment")
        step.add_argument("--abandon", action="store_true", help="also what needs the old one")
        signing = staff.action(actions, "signing-key", by=True, reason=True)
        signing.add_argument("--at-once", action="store_true", help="and end all tokens of others")

    def _status(self, options: dict[str, Any]) -> Told:
        row = {
            "pepper": rotating.pepper(),
            "pepper_next": settings.KEY_PEPPER_NEXT,
            "peppers_older": [each for each in rotating.peppers() if each < rotating.pepper()],
            "keys_of_older_peppers": rotation.keys_of_older_peppers(),
            "pepper_used_at": rotation.used_at("pepper"),
            "secret_keys": len(rotating.secret_keys()),
            "secret_key_used_at": rotation.used_at("secret-key"),
        }
        return row, lambda row: "\n".join(f"{name:<24}{value}" for name, value in row.items())

    def _begin(self, options: dict[str, Any]) -> Told:
        given = {
            "by": staff.member_of_staff(options["by"], Right.OPERATE),
            "reason": options["reason"],
        }
        file = EnvironmentFile(options["file"])
        lost = 0
        if options["action"] == "begin":
            rotation.begin(options["secret"], file, **given)
        elif options["action"] == "use":
            rotation.use(options["secret"], file, **given)
        else:
            lost = rotation.drop(options["secret"], file, abandon=options["abandon"], **given)
        row: Row = {"written": str(file.path), "do": NEXT[options["action"]], "keys_lost": lost}
        return row, lambda row: f"{row['written']} is written. {row['do']}"

    _use = _drop = _begin

    def _reseal(self, options: dict[str, Any]) -> Told:
        rows: list[Row] = [
            {"what": name, "resealed": count} for name, count in rotation.reseal().items()
        ]
        return rows, lambda row: f"{row['what']}: {row['resealed']}"

    def _signing_key(self, options: dict[str, Any]) -> Told:
        by = staff.member_of_staff(options["by"], Right.OPERATE)
        signs_at = signingkeys.begin(at_once=options["at_once"])
        what = "at once" if options["at_once"] else "in a day"
        after = {"signs_at": signs_at.isoformat()}
        log.note("signing_key.begun", actor=by, target=what, after=after, reason=options["reason"])
        return {
            "signs_at": signs_at
        }, lambda row: f"It signs from {row['signs_at']:%Y-%m-%d %H:%M}."
