"""`python3 -m sandbox.tour`: call what can be called, as its nodes would, on a running `dev.py up`.

Every operation, or those of some vendors (their names), or one of each (`--few`). Each is sent with
its recorded request, polled to its end, its first file fetched; then a line says what was held and
charged for it, and what was expected. Where the price follows from what a vendor reports,
the sandbox reports something else than the record: then it is only seen that no more than the hold
was charged. The exit status is 1 unless all is well.

It pays from a workspace of its own, and reads the calls where `up` keeps them (`--data`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import aiohttp
    import django
    import psycopg
    from psycopg.rows import dict_row
except ModuleNotFoundError:  # The system's Python runs it: the project's goes on.
    from dev import interpreter

    if not interpreter().exists() or sys.prefix == str(interpreter().parent.parent):
        raise
    os.execv(interpreter(), [str(interpreter()), "-m", "sandbox.tour", *sys.argv[1:]])  # noqa: S606

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.samples import Entry, Sample

ROOT = Path(__file__).resolve().parent.parent
EMAIL, STAFF = "tour@example.org", "staff@example.org"
GIFT_USD = "5000"
AT_ONCE = 4
LONGEST_SECONDS = 120
PAUSE_SECONDS = 0.5
CALL = "SELECT outcome, held_micros, charged_micros FROM usage_call WHERE id = %s"
JOB = "SELECT vendor_job_id FROM proxy_job WHERE id = %s"


class TourFailed(Exception):
    """The call did not go as its node would have it; the message says where."""


@dataclass
class Visit:
    """One call of the tour, and what came of it."""

    sample: Sample
    held: int = 0
    charged: int = 0
    seconds: float = 0.0
    made: str = ""
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it was delivered, and charged as recorded, or not more than was held."""
        if self.problem or self.held != self.sample.most:
            return False
        reported = "answer" in self.sample.entry
        return self.charged <= self.held if reported else self.charged == self.sample.micros

    def line(self) -> list[str]:
        """Return its line of the table."""
        reported = "answer" in self.sample.entry
        return [
            self.sample.vendor.name,
            f"{self.sample.operation.method} /proxy/{self.sample.operation.path}",
            _usd(self.held),
            _usd(self.charged),
            "as reported" if reported else _usd(self.sample.micros),
            f"{self.seconds:.1f}",
            self.made,
            "ok" if self.is_ok else f"NOT OK {self.problem}",
        ]


def _usd(micros: int) -> str:
    return f"{micros / 1_000_000:.6f}".rstrip("0").rstrip(".")


@dataclass
class Tourist:
    """Who calls: at an address, with a key; and where the calls can be read."""

    base_url: str
    key: str
    database: str
    session: aiohttp.ClientSession = field(init=False)
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def row(self, query: str, call: str) -> dict[str, Any]:
        """Return one row of what is kept of a call."""
        async with await psycopg.AsyncConnection.connect(
            self.database, row_factory=dict_row
        ) as connection:
            found = await (await connection.execute(query, (call,))).fetchone()
        if found is None:
            raise TourFailed("the call is not written down.")
        return dict(found)

    async def send(self, entry: Entry) -> tuple[dict[str, str], str, bytes]:
        """Send a recorded request; return the answer's head, its type and its body."""
        from sandbox.samples import address, form_of

        if entry.get("form"):
            given: dict[str, Any] = {"data": form_of(entry, entry["body"])}
        else:
            given = {"json": entry["body"]} if entry.get("body") else {}
        async with self.session.request(
            entry["method"], self.base_url + address(entry), headers=self._headers(entry), **given
        ) as response:
            body = await response.read()
            if response.status >= 300:
                raise TourFailed(f"{response.status}: {body[:200].decode(errors='replace')}")
            head = {name.lower(): value for name, value in response.headers.items()}
            return head, response.content_type, body

    def _headers(self, entry: Entry) -> dict[str, str]:
        return {"X-API-KEY": self.key, **entry.get("headers", {})}

    async def fetch(self, url: str) -> str:
        """Return the type of a file, having fetched it whole; ours are fetched with the key."""
        own = url.startswith(("/", self.base_url))
        where = self.base_url + url if url.startswith("/") else url
        headers = {"X-API-KEY": self.key} if own else {}
        async with self.session.get(where, headers=headers) as response:
            if response.status != 200 or not await response.read():
                raise TourFailed(f"{response.status} for the file at {url}")
            return response.content_type


async def visit(tourist: Tourist, sample: Sample) -> Visit:
    """Make one call to its end."""
    made = Visit(sample)
    async with tourist.turn:
        begun = time.monotonic()
        try:
            call, made.made = await _called(tourist, sample)
            row = await tourist.row(CALL, call)
            made.held, made.charged = row["held_micros"], row["charged_micros"]
            if row["outcome"] != "delivered":
                made.problem = f"it is {row['outcome']}"
        except (TourFailed, aiohttp.ClientError, TimeoutError) as exc:
            made.problem = f"{exc}"
        made.seconds = time.monotonic() - begun
    return made


async def _called(tourist: Tourist, sample: Sample) -> tuple[str, str]:
    """Return the id of a call that went to its end, and the type of what it made."""
    head, kind, _ = await tourist.send(await _prepared(tourist, sample))
    if sample.operation.job is None:
        return head["call-id"], kind
    end = await polled(tourist, sample, head["call-id"])
    urls = [url for url in sample.operation.job.results(end) if url.startswith(("http", "/"))]
    return head["call-id"], await tourist.fetch(urls[0]) if urls else "an answer"


async def _prepared(tourist: Tourist, sample: Sample) -> Entry:
    """Return a sample's request with what earlier calls must have made for it."""
    from sandbox.samples import entries, found, put, sample_of

    entry, steps = sample.entry, sample.entry.get("after", [])
    for step in steps if isinstance(steps, list) else [steps]:
        free = [e for e in entries(sample.vendor.name) if e["path"] == step["path"]]
        if free and "usd" not in free[0]:
            told = json.loads((await tourist.send(free[0]))[2])
        else:
            earlier = sample_of(step["path"])
            head, _, body = await tourist.send(await _prepared(tourist, earlier))
            has_job = earlier.operation.job is not None
            told = await polled(tourist, earlier, head["call-id"]) if has_job else json.loads(body)
        part, _, name = step["as"].partition(".")
        value = found(told, step["take"])[0]
        if part == "path_params":
            entry = {**entry, "path_params": {**entry["path_params"], name: value}}
        else:
            entry = {**entry, "body": put(entry["body"], step["as"], value)}
    return entry


async def polled(
    tourist: Tourist,
    sample: Sample,
    call: str,
    *,
    pause: float = PAUSE_SECONDS,
    most_seconds: float = LONGEST_SECONDS,
) -> Any:
    """Poll as a node does; return the answer that tells of the end.

    Raises TourFailed where it failed, or did not end in time.
    """
    from sandbox.samples import state_of, words_of

    job = (await tourist.row(JOB, call))["vendor_job_id"]
    assert sample.operation.job is not None, "it is a job"
    poll = sample.vendor.poll(sample.operation.job)
    assert poll.names is not None, "a poll names its job"
    where, name = poll.names.where, poll.names.name
    given = {name: job}
    entry: Entry = {"method": poll.method, "path": f"/proxy/{poll.path}"}
    params = {**sample.entry.get("path_params", {}), **(given if where == "path" else {})}
    entry |= {"path_params": params, "query": given if where == "query" else {}}
    entry["body"] = given if where == "body" else None
    until = time.monotonic() + most_seconds
    while time.monotonic() < until:
        told = json.loads((await tourist.send(entry))[2])
        state = state_of(words_of(sample), told)
        if state == "done":
            return told
        if state == "failed":
            raise TourFailed(f"the job failed: {told!r:.200}")
        await asyncio.sleep(pause)
    raise TourFailed("the job did not end in time.")


# --- The tour -----------------------------------------------------------------------------------


def chosen(names: Sequence[str], *, every: bool) -> list[Sample]:
    """Return the samples of a tour: the first of each vendor, or of each operation."""
    from sandbox.samples import SAMPLES

    seen: dict[str, Sample] = {}
    for sample in SAMPLES:
        if not names or sample.vendor.name in names:
            key = sample.operation.path if every or names else sample.vendor.name
            seen.setdefault(key, sample)
    return list(seen.values())


def payer(environment: dict[str, str], *scopes: str) -> str:
    """Return the key of a member who can pay for all of it; it may call, or what it is given."""

    def manage(*words: str) -> Any:
        command = [sys.executable, str(ROOT / "manage.py"), *words, "--json"]
        done = subprocess.run(  # noqa: S603  The words are ours.
            command,
            env={**environment, "ADJUSTMENT_LIMIT_USD": GIFT_USD},
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    staff = manage("member", "list", "--staff")
    by = max(staff, key=lambda each: len(each["roles"]))["email"] if staff else STAFF
    why = ["--by", by, "--reason", "a tour"]
    words = ["member", "add", EMAIL, "--credits", GIFT_USD, *why]
    may = [word for scope in scopes or ("proxy",) for word in ("--scope", scope)]
    key = str(manage(*words, "--key", "tour", *may)["api_key"])
    manage("member", "limit", EMAIL, "any", *why)  # Nobody paid for more than one call at once.
    return key


async def tour(tourist: Tourist, samples: list[Sample]) -> list[Visit]:
    """Make all calls, a few at once."""
    timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as tourist.session:
        return await asyncio.gather(*(visit(tourist, sample) for sample in samples))


def table(visits: list[Visit]) -> str:
    """Return what is printed."""
    head = ["vendor", "route", "held", "charged", "expected", "seconds", "made", ""]
    rows = [head, *(each.line() for each in visits)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the tour; return 1 unless all is well."""
    parser = argparse.ArgumentParser(prog="sandbox.tour", description=__doc__)
    parser.add_argument("vendors", nargs="*", help="only these, each operation of theirs")
    parser.add_argument("--few", action="store_true", help="one operation of each vendor")
    parser.add_argument("--data", type=Path, default=ROOT / ".data", help="of the `up` (.data)")
    options = parser.parse_args(arguments)
    try:
        kept = json.loads((options.data / "environment.json").read_text())
        base_url = json.loads((options.data / "demo.json").read_text())["base_url"]
    except (OSError, ValueError, KeyError):
        sys.stderr.write(f"tour: nothing runs on {options.data}: start `dev.py up` first.\n")
        return 1
    kept.pop("PROMETHEUS_MULTIPROC_DIR", None)  # The metrics are the web processes' own.
    os.environ.update({name: value for name, value in kept.items() if name not in os.environ})
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    django.setup()
    key = payer(dict(os.environ))
    tourist = Tourist(base_url, key, os.environ["DATABASE_URL"])
    visits = asyncio.run(tour(tourist, chosen(options.vendors, every=not options.few)))
    bad = [each for each in visits if not each.is_ok]
    sys.stdout.write(f"{table(visits)}\n{len(visits) - len(bad)} of {len(visits)} are well\n")
    return 1 if bad or not visits else 0


if __name__ == "__main__":
    sys.exit(main())
