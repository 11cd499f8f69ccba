"""Known vulnerabilities of what the locks pin: `python3 dev.py advisories` renews the file of them.

`dev.py check` asks nobody: it holds the locks against `local/advisories.json`, which has every
advisory of the packages that they name, in the format of OSV, and the day on which it was taken. It
is renewed from the service that `pip-audit -s osv` asks, or from a folder (`--from`): a clone of
PyPA's advisory-database, or an unpacked export of OSV (docs/decisions/0093).
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from local import osv
from local.licences import PINNED
from local.osv import Advisory, Taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "local" / "advisories.json"
LOCKS = ("requirements.lock", "requirements-otel.lock")
SERVICE = "https://api.osv.dev"
OLD_DAYS = 60
ACCEPTED: dict[str, str] = {}
"""Why an advisory that concerns a locked version may stay: its id, and the reason in a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Renew the file; return 1, and leave it as it is, where nothing can be had."""
    parser = argparse.ArgumentParser(prog="dev.py advisories", description=__doc__)
    parser.add_argument("--service", default=SERVICE, help=f"another service of OSV's ({SERVICE})")
    parser.add_argument("--from", dest="folder", type=Path, help="a folder instead of a service")
    parser.add_argument("--file", type=Path, default=FILE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = sorted(pinned())
    try:
        taken = (
            osv.from_folder(options.folder, names)
            if options.folder
            else osv.from_service(options.service.rstrip("/"), names)
        )
    except osv.Unobtainable as why:
        print(f"advisories: {why} {options.file.name} is left as it is.", file=sys.stderr)
        return 1
    write(taken, options.file)
    print(f"{len(taken.advisories)} advisories of {len(names)} packages, as of {taken.on}.")
    return 0


def check(today: date | None = None) -> tuple[bool, str]:
    """Return whether no locked version has a vulnerability that nobody thought about, and a say.

    What is said of a good outcome is a warning: the file is old, or knows not all packages.
    """
    taken, locked = read(FILE), pinned()
    found = {each["id"]: line for each, line in concerned(taken.advisories, locked)}
    wrong = [line for name, line in found.items() if name not in ACCEPTED]
    wrong += [
        f"local/advisories.py: {name} is accepted, and concerns nothing any more."
        for name in sorted(ACCEPTED.keys() - found.keys())
    ]
    return not wrong, "\n".join(wrong + doubts(taken, locked, today or datetime.now(UTC).date()))


def doubts(taken: Taken, locked: Iterable[str], today: date) -> list[str]:
    """Return why what was found may not be all, a line each."""
    how = "run `python3 dev.py advisories` where there is a network."
    if taken.on is None:
        return [f"warning: no advisories were ever taken, so nothing is known of any: {how}"]
    found = []
    if (days := (today - taken.on).days) > OLD_DAYS:
        found.append(f"warning: the advisories are {days} days old: {how}")
    if unknown := sorted(set(locked) - set(taken.packages)):
        found.append(f"warning: none were taken of {', '.join(unknown)}: {how}")
    return found


def concerned(advisories: Iterable[Advisory], locked: dict[str, str]) -> Iterator[tuple[Any, str]]:
    """Give each advisory that concerns a locked version, and a line that says so."""
    for each in advisories:
        for affected in each["affected"]:
            name = canonicalize_name(affected["package"]["name"])
            if name in locked and osv.affects(affected, locked[name]):
                also = f" ({', '.join(each['aliases'])})" if each.get("aliases") else ""
                fixed = f"; fixed in {', '.join(ends)}" if (ends := osv.fixed_in(affected)) else ""
                yield each, f"{name} {locked[name]}: {each['id']}{also} {each['summary']}{fixed}"
                break


def pinned() -> dict[str, str]:
    """Return each package of the locks, with its version."""
    found: dict[str, str] = {}
    for lock in LOCKS:
        for name, version in PINNED.findall((ROOT / lock).read_text()):
            found[canonicalize_name(name)] = version
    return found


# --- the file ------------------------------------------------------------------------------------


def read(path: Path) -> Taken:
    """Return what the file says."""
    said = json.loads(path.read_text())
    on = date.fromisoformat(said["taken_on"]) if said["taken_on"] else None
    return Taken(on, said["source"], said["packages"], said["advisories"])


def write(taken: Taken, path: Path) -> None:
    """Put the file in its place."""
    said = {
        "taken_on": taken.on.isoformat() if taken.on else None,
        "source": taken.source,
        "packages": taken.packages,
        "advisories": taken.advisories,
    }
    path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
