"""What a machine of the dialect v2 says is a stranger's word: nothing of it breaks, or grows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import uuid

import orjson
import pytest

from runs import carrying, native, proxied, reading


def told(answers):
    """Return the history of one try, as a machine answers about it."""

    async def ask():
        machine = proxied.Proxied("http://machine.invalid", "")
        queue = iter(answers)

        async def answer(*_, **__):
            return 200, next(queue)

        machine._ask = answer
        machine._know(TRY, "job")
        try:
            for _ in answers[1:]:
                await machine.queue()
                machine._jobs[str(TRY)].looked = -math.inf  # It is a while later.
            return machine, await machine.history(TRY)
        finally:
            await machine.close()

    return asyncio.run(ask())


TRY = uuid.uuid4()


def place(**said):
    return {"id": base64.urlsafe_b64encode(json.dumps(said).encode()).decode(), "node_id": "9"}


@pytest.mark.parametrize(
    "odd",
    [{"outputs": 5}, {"outputs": {"9": []}}, {"outputs": "xyz"},
     {"outputs": [None, 5, {"id": "\u00e9"}]},
     {"outputs": [{"id": "W10"}, {"id": "."}, place(t=5, s=None, f={})]},
     {"outputs": [place(t="output", s="../..", f="../x"), place(t="x", s="", f="a\0")]},
     {"error": 5}, {"error": {"message": {"a": "\0"}, "node_id": []}}, {"metrics": 5},
     {"metrics": {"execution_ms": True}}, {"started_at": 5, "completed_at": None},
     {"started_at": "2026-01-01T00:00:00", "completed_at": "2026-01-01T00:00:00Z"},
     {"outputs_reused": "yes"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
def test_an_end_of_odd_things_is_an_end_that_costs_nothing(status, odd):
    _, entry = told([{"status": status, **odd}])

    found = reading.read(entry, nodes=2, workspace="t" * 32, our_id="ours")

    assert found is not None
    assert (found.how, found.gpu_ms) == (proxied.ENDS[status], 0)
    assert [each for each in found.files if each.kind == "output"] in ([], found.files)
    assert "\\u0000" not in json.dumps([found.messages, dict(found.error)])


@pytest.mark.parametrize(
    "long",
    [{"metrics": {"execution_ms": 2**64 - 1}},
     {"started_at": "0001-01-01T00:00:00Z", "completed_at": "9999-12-31T00:00:00Z"}],
    ids=str,
)  # fmt: skip
def test_a_time_beyond_all_bounds_is_a_day_and_can_be_told(long):
    _, entry = told([{"status": "succeeded", **long}])

    found = reading.read(entry, nodes=2, workspace="t" * 32, our_id="ours")

    assert found is not None
    assert found.gpu_ms == proxied.MOST_MS
    assert orjson.dumps(found.messages)


def test_what_it_names_without_end_is_not_all_kept():
    many = [place(t="output", s="", f=f"{number}.png") for number in range(1500)]

    machine, entry = told([{"status": "succeeded", "outputs": many}])

    assert len(machine._files) == reading.MOST_FILES
    assert len(entry["outputs"]["9"]["images"]) == reading.MOST_FILES


def test_of_many_tries_those_that_ended_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(proxied, "MOST_KNOWN", 3)

    async def known():
        machine = proxied.Proxied("http://machine.invalid", "")
        try:
            long = machine._know(uuid.UUID(int=1), "long")
            for number in range(2, 9):
                machine._know(uuid.UUID(int=number), str(number)).ended = 1.0
            return long, machine._jobs
        finally:
            await machine.close()

    long, jobs = asyncio.run(known())

    assert jobs[str(uuid.UUID(int=1))] is long
    assert len(jobs) == 3


def test_places_are_not_known_for_ever(monkeypatch):
    monkeypatch.setattr(proxied, "MOST_PLACES", 2)
    made = [place(t="output", s="", f=name) for name in "abc"]

    machine, _ = told([{"status": "succeeded", "outputs": made}])

    assert [name for _, _, name in machine._files] == ["b", "c"]


def test_of_a_machines_models_so_many_are_read(monkeypatch):
    monkeypatch.setattr(native, "MOST_NAMES", 3)

    async def folders():
        machine = native.Native("http://machine.invalid", "", "us")

        async def answer(_, path, *__, **___):
            return ["loras"] if path == "/models" else [5, "x" * 301, *"abcde"]

        machine._answer = answer
        try:
            return await machine.folders()
        finally:
            await machine.close()

    assert asyncio.run(folders()) == {"loras": ["a", "b", "c"]}


@pytest.mark.parametrize("status", [["succeeded"], {"a": 1}, None, 5])
def test_a_stream_that_says_odd_things_of_its_end_is_heard_on(status):
    async def listened():
        machine = proxied.Proxied("http://machine.invalid", "")
        await machine._session.close()
        machine._session = Stream(
            b"event: status\ndata: %s\n\n" % orjson.dumps({"status": status}),
            b'event: status\ndata: {"status": "succeeded"}\n\n',
        )
        job = machine._know(TRY, "job")
        await machine._listened(str(TRY), job)
        await machine.close()
        return job

    assert asyncio.run(listened()).over is not None


class Stream:
    """A session that answers every question by the same stream."""

    status = 200

    def __init__(self, *chunks):
        self.content = self
        self._chunks = chunks

    @contextlib.asynccontextmanager
    async def get(self, *_, **__):
        yield self

    async def iter_any(self):
        for each in self._chunks:
            yield each

    async def close(self):
        return None


@pytest.mark.parametrize("node", ["9\0", "x" * 100_000, "/root/of/9"])
def test_a_refusal_that_names_an_odd_node_is_told_so_that_it_can_be_kept(node):
    said = {"node_errors": {node: {"errors": [{"message": "No.", "details": "a\0b"}]}}}

    words = carrying._first(said, "t" * 32)

    assert "\0" not in words
    assert "/root" not in words
    assert (words.startswith("Node '"), words.endswith("No.: ab")) == (True, True)


def test_of_many_runs_that_are_followed_each_is_asked_for_a_few_times_and_not_once_for_each():
    async def asked():
        machine = proxied.Proxied("http://machine.invalid", "")
        count = 0

        async def answer(*_, **__):
            nonlocal count
            count += 1
            await asyncio.sleep(0)
            return 200, {"status": "running"}

        machine._ask = answer
        machine._follow = lambda *_: None
        tries = [uuid.UUID(int=number) for number in range(64)]
        for each in tries:
            machine._know(each, str(each))
        try:
            there = await asyncio.gather(*(machine.queue() for _ in tries))
            return count, [len(each.running) + len(each.pending) for each in there]
        finally:
            await machine.close()

    count, there = asyncio.run(asked())

    assert (count, set(there)) == (64, {64})
