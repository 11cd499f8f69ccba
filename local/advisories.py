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
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from local.licences import PINNED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "local" / "advisories.json"
LOCKS = ("requirements.lock", "requirements-otel.lock")
SERVICE = "https://api.osv.dev"
OLD_DAYS = 60
ACCEPTED: dict[str, str] = {}
"""Why an advisory that concerns a locked version may stay: its id, and the reason in a sentence."""
EVENTS = ("introduced", "fixed", "last_affected")
FIRST = "0"
"""As what OSV says that it was there from the beginning: before 0.0.0b1, too."""
KEPT = ("id", "aliases", "summary", "modified")
ANSWER_SECONDS = 20

Advisory = dict[str, Any]


class Unobtainable(Exception):
    """No advisories came; the message is the one line that says why."""


@dataclass
class Taken:
    """What the file says."""

    on: date | None = None
    """None: never yet."""
    source: str = ""
    packages: list[str] = field(default_factory=list)
    """Of which it was asked, whether or not there was any."""
    advisories: list[Advisory] = field(default_factory=list)


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
            from_folder(options.folder, names)
            if options.folder
            else from_service(options.service.rstrip("/"), names)
        )
    except Unobtainable as why:
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
            if name in locked and affects(affected, locked[name]):
                also = f" ({', '.join(each['aliases'])})" if each.get("aliases") else ""
                fixed = f"; fixed in {', '.join(ends)}" if (ends := _fixed(affected)) else ""
                yield each, f"{name} {locked[name]}: {each['id']}{also} {each['summary']}{fixed}"
                break


def affects(affected: Advisory, version: str) -> bool:
    """Whether a version is among those of an advisory; what cannot be compared affects all."""
    try:
        ours = Version(version)
        return _in_a_range(affected, ours) or ours in [
            Version(each) for each in affected.get("versions", [])
        ]
    except InvalidVersion:
        return True


def _in_a_range(affected: Advisory, ours: Version) -> bool:
    return any(_within(each["events"], ours) for each in affected.get("ranges", []))


def _within(events: list[dict[str, str]], ours: Version) -> bool:
    """Whether the last event at or before a version is that it was introduced."""
    said = [(Version(value), kind) for each in events for kind, value in each.items()]
    is_in = {"introduced": FIRST} in events
    for at, kind in sorted(said, key=lambda each: (each[0], EVENTS.index(each[1]))):
        if kind == "introduced" and at <= ours:
            is_in = True
        elif (kind == "fixed" and at <= ours) or (kind == "last_affected" and at < ours):
            is_in = False
    return is_in


def _fixed(affected: Advisory) -> list[str]:
    events = [event for each in affected.get("ranges", []) for event in each["events"]]
    return [event["fixed"] for event in events if "fixed" in event]


def pinned() -> dict[str, str]:
    """Return each package of the locks, with its version."""
    found: dict[str, str] = {}
    for lock in LOCKS:
        for name, version in PINNED.findall((ROOT / lock).read_text()):
            found[canonicalize_name(name)] = version
    return found


# --- from where ----------------------------------------------------------------------------------


def from_service(service: str, names: list[str]) -> Taken:
    """Ask of every package; raise Unobtainable where one answer does not come."""
    found: list[Advisory] = []
    for name in names:
        asked: dict[str, Any] = {"package": {"name": name, "ecosystem": "PyPI"}}
        while True:
            said = _asked(service, asked)
            found += said.get("vulns", [])
            if not (token := said.get("next_page_token")):
                break
            asked["page_token"] = token
    return _of(found, names, on=datetime.now(UTC).date(), source=service)


def _asked(service: str, asked: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(f"{service}/v1/query", json.dumps(asked).encode())  # noqa: S310
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            said = json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            raise Unobtainable(f"{service} answers {refused.code} {refused.reason}.") from None
    except urllib.error.URLError as away:
        raise Unobtainable(f"{service} cannot be reached ({away.reason}).") from None
    except (OSError, ValueError) as odd:
        raise Unobtainable(f"{service} gives no answer that can be read ({odd}).") from None
    if not isinstance(said, dict):
        raise Unobtainable(f"{service} gives no answer that can be read.")
    return said


def from_folder(folder: Path, names: list[str]) -> Taken:
    """Read a folder of advisories; it is as old as the newest change of any in it."""
    wanted, found, newest = set(names), [], ""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".yaml", ".json"):
            continue
        each = _read(path)
        newest = max(newest, str(each.get("modified", "")))
        if not wanted.isdisjoint(_names(each)):
            found.append(each)
    if not newest:
        raise Unobtainable(f"{folder} holds no advisories.")
    return _of(found, names, on=date.fromisoformat(newest[:10]), source=folder.name)


class _Plain(yaml.SafeLoader):
    """YAML without its dates: they are text, as in JSON."""

    yaml_implicit_resolvers = {
        first: [each for each in each_of if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, each_of in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _read(path: Path) -> Advisory:
    try:
        said = (
            json.loads(path.read_text())
            if path.suffix == ".json"
            else yaml.load(path.read_text(), Loader=_Plain)  # noqa: S506  A safe one.
        )
    except (OSError, ValueError, yaml.YAMLError) as odd:
        raise Unobtainable(f"{path} cannot be read ({odd}).") from None
    return said if isinstance(said, dict) else {}


def _names(advisory: Advisory) -> list[str]:
    return [
        canonicalize_name(each["package"]["name"])
        for each in advisory.get("affected", [])
        if each.get("package", {}).get("ecosystem") == "PyPI"
    ]


def _of(found: list[Advisory], names: list[str], *, on: date, source: str) -> Taken:
    """Return what is kept of them: who is concerned, and up to which version."""
    standing = [each for each in found if not each.get("withdrawn")]
    kept = {each["id"]: _kept(each, set(names)) for each in standing}
    return Taken(on, source, names, [kept[name] for name in sorted(kept)])


def _kept(advisory: Advisory, names: set[str]) -> Advisory:
    first = (advisory.get("summary") or advisory.get("details") or "").strip().splitlines()
    kept = {name: advisory[name] for name in KEPT if name in advisory}
    kept["summary"] = first[0][:200] if first else ""
    kept["affected"] = [
        _affected(each)
        for each, name in zip(_of_pypi(advisory), _names(advisory), strict=True)
        if name in names
    ]
    return kept


def _of_pypi(advisory: Advisory) -> list[Advisory]:
    affected = advisory.get("affected", [])
    return [each for each in affected if each.get("package", {}).get("ecosystem") == "PyPI"]


def _affected(each: Advisory) -> Advisory:
    """Return its ranges, and one by one only the versions that are in none of them."""
    ranges = [{"events": r["events"]} for r in each.get("ranges", []) if r["type"] == "ECOSYSTEM"]
    kept: Advisory = {"package": {"name": each["package"]["name"], "ecosystem": "PyPI"}}
    kept["ranges"] = ranges
    if beside := [one for one in each.get("versions", []) if not _told(kept, one)]:
        kept["versions"] = beside
    return kept


def _told(kept: Advisory, version: str) -> bool:
    try:
        return _in_a_range(kept, Version(version))
    except InvalidVersion:
        return False


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
