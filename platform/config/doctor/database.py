"""The database: reachable, of the right encoding and version, migrated, durable, of our time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg

from config import grants, preflight
from config.doctor.verdicts import Verdict, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_VERSION = 14
UTC = {"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Etc/Zulu"}
MAY_DIFFER_SECONDS, MUST_NOT_DIFFER_SECONDS = 2, 30
SET_CLOCK = "Let an NTP client (chrony, systemd-timesyncd) keep both clocks."


def look() -> Iterator[Verdict]:
    """Look at the database by a connection of our own, as a program does when it starts."""
    try:
        with preflight.connect() as db:
            yield from _server(db)
            yield from _settings(db)
            yield difference("clock", _ahead_seconds(db), of="the database's")
    except psycopg.Error as exc:
        sentence = f"It cannot be reached: {preflight.first_line(exc)}"
        yield failed("database", sentence, "Start it, or mend DATABASE_URL.")
        return
    if problem := preflight.obstacle():
        yield failed("migrations", f"Programs do not start: {problem}", "Run manage.py migrate.")
        return
    yield ok("migrations", "All are applied.")
    with preflight.connect() as db:
        yield _role(db)


def _role(db: psycopg.Connection[Any]) -> Verdict:
    """Judge whether the programs' role is theirs alone, and has just the rights that they need."""
    role = db.info.user
    do = f"As the tables' owner: manage.py grants {role}."
    try:
        grants.require_fit(db, role)
    except grants.Unfit as exc:
        sentence = f"{exc} A web process that is taken over could rewrite the books."
        return warning("role", sentence, "Make a role for programs (docs/running.md), and do so.")
    differences = list(grants.differences(db, role))
    more = f", and {len(differences) - 3} more" if len(differences) > 3 else ""
    sentence = f"{role} {', '.join(differences[:3])}{more}."
    if any(each.startswith("lacks") for each in differences):
        return failed("role", sentence, do)
    if differences:
        return warning("role", sentence, do)
    return ok("role", f"{role} may do what programs do, and nothing else.")


def _server(db: psycopg.Connection[Any]) -> Iterator[Verdict]:
    major = db.info.server_version // 10_000
    if major < OLDEST_VERSION:
        sentence = f"PostgreSQL {major} is too old: {OLDEST_VERSION} is needed at least."
        yield failed("database", sentence, "Upgrade it; pg_upgrade keeps what is in it.")
    else:
        yield ok("database", f"PostgreSQL {major} answers.")
    encoding = preflight.encoding_of(db)
    if encoding != preflight.ENCODING:
        sentence = f"It is {encoding}: texts would be bytes, and every key unknown."
        make = f"ENCODING '{preflight.ENCODING}' TEMPLATE template0"
        yield failed("encoding", sentence, f"Dump, CREATE DATABASE ... {make}, restore.")
    else:
        yield ok("encoding", f"It is {encoding}.")


def _settings(db: psycopg.Connection[Any]) -> Iterator[Verdict]:
    zone = _shown(db, "timezone")
    if zone not in UTC:
        sentence = f"It is {zone}. We ask in UTC; psql and reports by hand show other days."
        yield warning("timezone", sentence, "ALTER DATABASE ... SET timezone TO 'UTC';")
    else:
        yield ok("timezone", "It is UTC.")
    weak = [
        name
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if _shown(db, name) == "off"
    ]
    if weak:
        sentence = f"{' and '.join(weak)}: off. What was paid may be forgotten in a power cut."
        yield failed("durability", sentence, "Switch them on in postgresql.conf, and reload.")
    else:
        yield ok("durability", "What is committed outlives a power cut.")


def _shown(db: psycopg.Connection[Any], name: str) -> str:
    row = db.execute("SELECT current_setting(%s)::text", [name]).fetchone()
    assert row is not None, "current_setting answers one row"
    return row[0].decode() if isinstance(row[0], bytes) else str(row[0])


def _ahead_seconds(db: psycopg.Connection[Any]) -> float:
    """Return how far the database's clock is ahead of ours."""
    before = time.time()
    row = db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None, "a SELECT of one value answers one row"
    return float(row[0]) - (before + time.time()) / 2


def difference(check: str, ahead_seconds: float, *, of: str) -> Verdict:
    """Judge how far another clock is ahead of ours: holds, keys and signatures go by the time."""
    sentence = f"Ours and {of} differ by {abs(ahead_seconds):.0f} s."
    if abs(ahead_seconds) > MUST_NOT_DIFFER_SECONDS:
        return failed(check, sentence, SET_CLOCK)
    if abs(ahead_seconds) > MAY_DIFFER_SECONDS:
        return warning(check, sentence, SET_CLOCK)
    return ok(check, f"Ours and {of} agree.")
