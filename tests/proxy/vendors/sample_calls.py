"""How a node would make the calls of `sandbox/samples.py`: sent, and polled to the end."""

from __future__ import annotations

from typing import Any

from proxy_stage import Answer, Member, Stage
from vendor_calls import until

from sandbox.samples import (
    FOLDER,
    SAMPLES,
    Entry,
    Sample,
    address,
    entries,
    file_of,
    form_of,
    found,
    put,
    sample_of,
    state_of,
    unnamed,
    words_of,
)

__all__ = [
    "FOLDER", "SAMPLES", "Sample", "ask", "call", "entries", "file_of", "found", "job_of", "polled",
    "prepared", "put", "sample_of", "send", "state", "unnamed", "words_of",
]  # fmt: skip


async def send(stage: Stage, member: Member | None, entry: Entry, **changed: Any) -> Answer:
    """Send a sample's request; `changed` replaces entries of it."""
    entry = {**entry, **changed}
    body, headers = entry["body"], entry.get("headers")
    if entry.get("form"):
        given: Entry = {"data": form_of(entry, body)}
    else:
        given = {"json": body}
    return await stage.ask(entry["method"], address(entry), by=member, headers=headers, **given)


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
        name = step["as"].removeprefix("path_params.")
        if name == step["as"]:
            entry = {**entry, "body": put(entry["body"], name, value)}
        else:
            entry = {**entry, "path_params": {**entry.get("path_params", {}), name: value}}
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


def state(words: Entry, answer: Answer) -> str:
    """Return what a client makes of a poll's answer: pending, done or failed."""
    assert answer.status < 300, answer.body
    return state_of(words, answer.json())


async def polled(stage: Stage, member: Member, sample: Sample, job: str) -> Answer:
    """Poll as a node does, until the answer is none of those that it waits at."""
    words = words_of(sample)
    return await until(
        lambda: ask(stage, member, sample, job), lambda answer: state(words, answer) != "pending"
    )
