"""Advisories in the format of OSV: had from a service or a folder, and compared with a version.

Kept is what a comparison needs, of the packages that were asked for, and one line of words.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from pathlib import Path

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


def fixed_in(affected: Advisory) -> list[str]:
    """Return the versions in which it is mended."""
    events = [event for each in affected.get("ranges", []) for event in each["events"]]
    return [event["fixed"] for event in events if "fixed" in event]


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
    return taken(found, names, on=datetime.now(UTC).date(), source=service)


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
    return taken(found, names, on=date.fromisoformat(newest[:10]), source=folder.name)


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


def taken(found: list[Advisory], names: list[str], *, on: date, source: str) -> Taken:
    """Return what is kept of them: who is concerned, and up to which version."""
    standing = [each for each in found if not each.get("withdrawn")]
    try:
        kept = {each["id"]: _kept(each, set(names)) for each in standing}
    except (KeyError, TypeError, AttributeError) as odd:
        raise Unobtainable(f"{source} has one that is not of OSV's format ({odd!r}).") from None
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
