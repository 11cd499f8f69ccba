"""Samples of every route, and how a node would call them: form or JSON, polled to the end.

`samples/<vendor>.json` has an entry for each route of a vendor, in the words of the figures that
clients publish: `method`, `path`, `kind`. A priced one has a request (`path_params`, `query`,
`headers`, `body`; `form`: it is sent as a form, with `files` of [field, name, type] and, of sounds,
seconds), what it costs (`usd`) and what is held for it (`most_usd`). `answer` is laid over what
the sandbox says, where the price follows from that (`usage`); `after` names an earlier call whose
result it is made from; `model` is where the request names its model, if not in `model` or
`model_name`. A poll has the place of its `status` (or several: the first that is there) and the
words that clients know: `missing` is one; `failed_at` has the places of what is there only where
it failed.
"""

from __future__ import annotations

import copy
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from PIL import Image
from proxy_stage import Answer, Member, Stage
from vendor_calls import micros, until

from proxy.catalogue import Operation, Vendor
from proxy.vendors import VENDORS
from sandbox.media import Media, render

FOLDER = Path(__file__).parent / "samples"
Entry = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A recorded request, and the operation that it is for."""

    vendor: Vendor
    operation: Operation
    entry: Entry

    @property
    def micros(self) -> int:
        return micros(self.entry["usd"])

    @property
    def most(self) -> int:
        return micros(self.entry["most_usd"])


def entries(vendor: str) -> list[Entry]:
    """Return what is recorded of a vendor."""
    found: list[Entry] = json.loads((FOLDER / f"{vendor}.json").read_text())
    return found


def unnamed(path: str) -> str:
    """Return a path without the names of its parts."""
    return re.sub(r"\{\w+\}", "{}", path)


def priced() -> list[Sample]:
    """Return every recorded request of every operation that has a price."""
    found = []
    for vendor in VENDORS:
        by_path = {(o.method, unnamed(f"/proxy/{o.path}")): o for o in vendor.operations}
        for entry in entries(vendor.name):
            operation = by_path.get((entry["method"], unnamed(entry["path"])))
            if operation is not None and "usd" in entry:
                found.append(Sample(vendor, operation, entry))
    return found


SAMPLES = priced()


def sample_of(path: str) -> Sample:
    """Return the first sample of a path."""
    return next(sample for sample in SAMPLES if sample.entry["path"] == path)


# --- Where a value is --------------------------------------------------------------------------


def parts(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+|\[\]", path)


def found(value: Any, path: str) -> list[Any]:
    """Return the values at a path like `data[0].status` or `jobs[].status`; none: `missing`."""
    here = [value]
    for part in parts(path):
        following: list[Any] = []
        for each in here:
            if part == "[]" and isinstance(each, list):
                following += each
            elif isinstance(each, dict) and part in each:
                following.append(each[part])
            elif isinstance(each, list) and part.isdecimal() and int(part) < len(each):
                following.append(each[int(part)])
        here = following
    return here or ["missing"]


def put(body: Entry, path: str, value: Any) -> Entry:
    """Return a body with a value at a path."""
    made = copy.deepcopy(body)
    here: Any = made
    *way, last = parts(path)
    for part in way:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    here[int(last) if isinstance(here, list) else last] = value
    return made


# --- A call, as its node makes it --------------------------------------------------------------


def file_of(kind: str, seconds: float = 5) -> bytes:
    """Return a small file of a type; a sound is a WAV, whatever it says it is."""
    if kind.startswith("image/"):
        drawn = io.BytesIO()
        Image.new("RGB", (64, 64), "red").save(drawn, kind.removeprefix("image/").upper())
        return drawn.getvalue()
    kept = "mp4" if kind == "video/mp4" else "wav"
    return render(Media(kept, width=64, height=64, seconds=seconds))


def form_of(entry: Entry, body: Entry) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in body.items():
        for each in value if isinstance(value, list) else [value]:
            data.add_field(name, each if isinstance(each, str) else json.dumps(each))
    for name, filename, kind, *seconds in entry.get("files", ()):
        data.add_field(name, file_of(kind, *seconds), filename=filename, content_type=kind)
    return data


def address(entry: Entry) -> str:
    path = str(entry["path"])
    for name, value in entry.get("path_params", {}).items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    query = "&".join(f"{k}={quote(v, safe='')}" for k, v in entry.get("query", {}).items())
    return f"{path}?{query}" if query else path


async def send(stage: Stage, member: Member | None, entry: Entry, **changed: Any) -> Answer:
    """Send a sample's request; `changed` replaces entries of it."""
    entry = {**entry, **changed}
    body, headers = entry["body"], entry.get("headers")
    if entry.get("form"):
        return await stage.post(address(entry), member, data=form_of(entry, body), headers=headers)
    return await stage.post(address(entry), member, json=body, headers=headers)


async def prepared(stage: Stage, member: Member, sample: Sample) -> Entry:
    """Return a sample's entry with what earlier calls must have made for it."""
    entry, steps = sample.entry, sample.entry.get("after", [])
    for step in steps if isinstance(steps, list) else [steps]:
        free = [e for e in entries(sample.vendor.name) if e["path"] == step["path"]]
        if free and "usd" not in free[0]:
            answer = await send(stage, member, free[0])
        else:
            answer = await call(stage, member, sample_of(step["path"]))
        value = found(answer.json(), step["take"])[0]
        entry = {**entry, "body": put(entry["body"], step["as"], value)}
    return entry


async def call(stage: Stage, member: Member, sample: Sample) -> Answer:
    """Make a call to its end; return the last answer."""
    answer = await send(stage, member, await prepared(stage, member, sample))
    assert answer.status < 300, answer.body
    if sample.operation.job is None:
        return answer
    return await polled(stage, member, sample, job_of(stage, member))


def job_of(stage: Stage, member: Member) -> str:
    """Return the vendor's id of a member's newest job."""
    newest = "SELECT vendor_job_id FROM proxy_job WHERE workspace_id = %s ORDER BY created_at DESC"
    return str(stage.rows(newest, member.workspace)[0]["vendor_job_id"])


async def ask(stage: Stage, member: Member | None, sample: Sample, job: str) -> Answer:
    """Ask once for a job as its node does."""
    shape = sample.operation.job
    assert shape is not None
    poll = sample.vendor.poll(shape)
    assert poll.names is not None
    where, name = poll.names.where, poll.names.name
    params = {**sample.entry.get("path_params", {}), **({name: job} if where == "path" else {})}
    entry = {"path": f"/proxy/{poll.path}", "path_params": params}
    if where == "query":
        entry["query"] = {name: job}
    body = {name: job} if where == "body" else None
    return await stage.ask(poll.method, address(entry), by=member, json=body)


def words_of(sample: Sample) -> Entry:
    """Return the words that clients know of a sample's poll."""
    shape = sample.operation.job
    assert shape is not None
    poll = sample.vendor.poll(shape)
    path = unnamed(f"/proxy/{poll.path}")
    listed = entries(sample.vendor.name)
    return next(e for e in listed if (e["method"], unnamed(e["path"])) == (poll.method, path))


def state(words: Entry, answer: Answer) -> str:
    """Return what a client makes of a poll's answer: pending, done or failed."""
    assert answer.status < 300, answer.body
    if any(found(answer.json(), path) != ["missing"] for path in words.get("failed_at", ())):
        return "failed"
    places = words["status"] if isinstance(words["status"], list) else [words["status"]]
    seen = [found(answer.json(), place) for place in places]
    first = next((each for each in seen if each != ["missing"]), ["missing"])
    read = {f"{word}".lower() for word in first}
    for name in ("failed", "pending", "done"):
        if read & {word.lower() for word in words[name]}:
            return name
    raise AssertionError(f"no client knows {read}: {answer.body[:300]!r}")


async def polled(stage: Stage, member: Member, sample: Sample, job: str) -> Answer:
    """Poll as a node does, until the answer is none of those that it waits at."""
    words = words_of(sample)
    return await until(
        lambda: ask(stage, member, sample, job), lambda answer: state(words, answer) != "pending"
    )
