"""Answers that are kept by day: at midnight, for a whole day, and no longer; large ones aside."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from proxy_stage import CENT, IMAGE, STREAM, in_thread

from common.rows import values
from credits.books import processes
from proxy import answers, days, tasks
from uploads import shelf

NEWEST = {"Comfy-Core-Version": "0.40.0"}
LARGE = STREAM + "?bytes=300000"


def keyed() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex, **NEWEST}


def weekday(away: int = 0) -> int:
    return (datetime.now(UTC) + timedelta(days=away)).isoweekday()


def kept(stage: Any, member: Any) -> list[dict[str, Any]]:
    calls = [str(call["id"]) for call in stage.calls(member)]
    return stage.rows(  # type: ignore[no-any-return]
        "SELECT day, status, spool, intent::text FROM proxy_kept"
        " WHERE call_id = ANY (%s::uuid[]) ORDER BY day",
        calls,
    )


def move(stage: Any, member: Any, away: int) -> None:
    """Have what was kept for a member be kept so many days from today."""
    for row in kept(stage, member):
        stage.do("UPDATE proxy_kept SET day = %s WHERE intent = %s", weekday(away), row["intent"])


def files(folder: Path) -> list[Path]:
    return [each for each in (folder / "uploads" / "answers").rglob("*") if each.is_file()]


async def test_an_answer_is_kept_under_its_day_and_a_repeat_after_midnight_finds_it(stage):
    member, headers = await stage.member(), keyed()
    first = await stage.post(IMAGE, member, json={}, headers=headers)
    assert [row["day"] for row in kept(stage, member)] == [weekday()]

    move(stage, member, -1)
    again = await stage.post(IMAGE, member, json={}, headers=headers)

    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert stage.spent(member) == CENT


async def test_repeats_that_race_over_midnight_get_the_one_answer(stage):
    member, headers = await stage.member(), keyed()
    stage.vendor.fail_next("sandbox", "slow=0.5")
    first = asyncio.create_task(stage.post(IMAGE, member, json={}, headers=headers))
    await asyncio.sleep(0.2)
    race = [
        asyncio.create_task(stage.post(IMAGE, member, json={}, headers=headers)) for _ in range(6)
    ]
    await first
    move(stage, member, -1)  # It was still yesterday when it was kept.
    late = [await stage.post(IMAGE, member, json={}, headers=headers) for _ in range(2)]

    for answer in [*await asyncio.gather(*race), *late]:
        assert answer.status == 200
        assert answer.body == (await first).body
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


async def test_an_intention_in_two_days_is_what_was_kept_last(stage):
    """As when it was used up after midnight, before it was: the newest holds."""
    member, headers = await stage.member(), keyed()
    await stage.post(IMAGE, member, json={}, headers=headers)
    (row,) = kept(stage, member)
    stage.do(
        "INSERT INTO proxy_kept (intent, day, call_id, fingerprint, status, headers, spool, once,"
        " created_at, kept_until)"
        " SELECT intent, %s, call_id, fingerprint, 0, '{}', '', once, now() + interval '1 s',"
        " kept_until FROM proxy_kept WHERE intent = %s",
        weekday(-1), row["intent"],
    )  # fmt: skip

    again = await stage.post(IMAGE, member, json={}, headers=headers)

    assert (again.status, again.type) == (409, "idempotency_consumed")
    assert stage.spent(member) == CENT


async def test_one_that_waited_for_its_twin_sees_what_that_kept_yesterday(stage):
    member, headers = await stage.member(), keyed()
    await stage.post(IMAGE, member, json={}, headers=headers)
    intents = [row["intent"] for row in kept(stage, member)]
    for away, sees in ((0, True), (-1, True), (-2, False)):
        move(stage, member, away)
        found = stage.row("SELECT proxy_kept_of(%s::uuid[]) AS found", intents)["found"]
        assert bool(found) is sees


async def test_days_that_are_over_are_emptied_whole_and_the_others_stay(stage):
    members = [await stage.member() for _ in range(3)]
    for member, away in zip(members, (0, -1, -3), strict=True):
        await stage.post(IMAGE, member, json={}, headers=keyed())
        move(stage, member, away)
    assert await in_thread(days.overdue_bytes) > 0

    await in_thread(tasks.forget)

    assert [len(kept(stage, member)) for member in members] == [1, 1, 0]
    assert await in_thread(days.overdue_bytes) == 0


async def test_a_day_in_use_is_left_and_no_call_waits(stage):
    member = await stage.member()
    await stage.post(IMAGE, member, json={}, headers=keyed())
    move(stage, member, -3)
    with stage.db.transaction():
        stage.rows("SELECT FROM proxy_kept")  # As a backup reads it.
        await in_thread(tasks.forget)
        assert (await stage.post(IMAGE, member, json={}, headers=keyed())).status == 200
    assert len(kept(stage, member)) == 2
    await in_thread(tasks.forget)
    assert len(kept(stage, member)) == 1


async def test_what_nobody_emptied_for_a_week_hinders_no_call(stage):
    member, headers = await stage.member(), keyed()
    await stage.post(IMAGE, member, json={}, headers=headers)
    stage.do(
        "UPDATE proxy_kept SET kept_until = now() - interval '6 days' WHERE intent = %s",
        kept(stage, member)[0]["intent"],
    )

    again = await stage.post(IMAGE, member, json={}, headers=headers)

    assert again.status == 200
    assert "idempotent-replayed" not in again.headers
    assert [row["day"] for row in kept(stage, member)] == [weekday()]
    assert stage.spent(member) == 2 * CENT


async def test_while_a_program_of_the_version_before_is_at_work_all_is_kept_where_it_looks(stage):
    member, headers = await stage.member(), keyed()
    name = uuid.uuid4()
    stage.do("INSERT INTO credits_process (id, since_at, seen_at) VALUES (%s, now(), now())", name)
    first = await stage.post(IMAGE, member, json={}, headers=headers)
    (row,) = kept(stage, member)
    assert row["day"] == 0
    assert stage.rows("SELECT 1 FROM proxy_answer WHERE intent = %s", row["intent"])

    stage.do(
        "UPDATE credits_process SET seen_at = now() - interval '2 minutes' WHERE id = %s", name
    )
    again = await stage.post(IMAGE, member, json={}, headers=headers)
    await stage.post(IMAGE, member, json={}, headers=keyed())

    assert (again.status, again.body) == (200, first.body)
    assert sorted(row["day"] for row in kept(stage, member)) == sorted([0, weekday()])
    assert stage.spent(member) == 2 * CENT


async def test_the_sweep_which_keeps_nothing_does_not_count_as_a_program_of_the_version_before(
    stage,
):
    """Its row is as old as the installation, and is only ever updated."""
    stage.do(
        "INSERT INTO credits_process (id, since_at, seen_at) VALUES (%s, now(), now())"
        " ON CONFLICT (id) DO UPDATE SET seen_at = now(), knows_days = false",
        processes.WATCH,
    )
    member = await stage.member()

    await stage.post(IMAGE, member, json={}, headers=keyed())

    assert [row["day"] for row in kept(stage, member)] == [weekday()]


BEFORE = """
    INSERT INTO proxy_answer (intent, call_id, fingerprint, status, headers, body, spool, once,
                              kept_until)
    SELECT intent, call_id, fingerprint, status, headers, body, spool, once, kept_until
      FROM proxy_kept WHERE intent = %s AND day > 0
        ON CONFLICT (intent) DO UPDATE SET status = excluded.status
"""


async def test_what_the_version_before_keeps_is_found_and_forgotten(stage):
    member, headers = await stage.member(), keyed()
    first = await stage.post(IMAGE, member, json={}, headers=headers)
    (row,) = kept(stage, member)
    for _ in range(2):
        stage.do(BEFORE, row["intent"])
    stage.do("DELETE FROM proxy_kept WHERE day > 0 AND intent = %s", row["intent"])

    again = await stage.post(IMAGE, member, json={}, headers=headers)
    assert (again.status, again.body) == (200, first.body)

    stage.do(
        "UPDATE proxy_answer SET kept_until = now() - interval '1 s' WHERE intent = %s",
        row["intent"],
    )
    await in_thread(tasks.forget)
    assert kept(stage, member) == []
    assert stage.spent(member) == CENT


async def test_a_large_answer_lies_in_storage_and_any_machine_gives_it(stage, tmp_path):
    member, headers = await stage.member(), keyed()
    first = await stage.post(LARGE, member, json={}, headers=headers)
    (file,) = files(tmp_path)
    assert file.read_bytes() == first.body
    (row,) = kept(stage, member)
    assert row["spool"] == f"answers/{file.parent.name}/{file.name}"
    assert list((tmp_path / "spool").iterdir()) == []

    again = await stage.post(LARGE, member, json={}, headers=headers)

    assert (again.status, again.body) == (200, first.body)
    assert stage.spent(member) == CENT


async def test_a_large_answer_that_nobody_may_ask_for_is_not_stored(stage, tmp_path):
    member = await stage.member()

    assert (await stage.post(LARGE, member, json={})).status == 200

    assert files(tmp_path) == []
    assert list((tmp_path / "spool").iterdir()) == []


async def test_storage_that_takes_nothing_costs_the_repeat_and_never_the_call(stage, monkeypatch):
    def full(*_):
        raise OSError("the bucket failed: EndpointConnectionError")

    member, headers = await stage.member(), keyed()
    monkeypatch.setattr(shelf, "keep", full)

    first = await stage.post(LARGE, member, json={}, headers=headers)
    again = await stage.post(LARGE, member, json={}, headers=headers)

    assert (first.status, len(first.body)) == (200, 300_000)
    assert (again.status, again.type) == (409, "idempotency_consumed")
    assert stage.spent(member) == CENT


async def test_storage_that_hangs_holds_the_call_up_for_seconds_and_is_charged(stage, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(shelf, "keep", lambda *_: over.wait(30))
    monkeypatch.setattr(answers, "STORE_SECONDS", 0.3)
    member, headers = await stage.member(), keyed()
    try:
        first = await asyncio.wait_for(stage.post(LARGE, member, json={}, headers=headers), 10)
        again = await stage.post(LARGE, member, json={}, headers=headers)
    finally:
        over.set()

    assert (first.status, len(first.body)) == (200, 300_000)
    assert (again.status, again.type) == (409, "idempotency_consumed")
    assert stage.spent(member) == CENT


async def test_storage_that_is_away_is_waited_for_and_the_answer_stays(stage, monkeypatch):
    def away(*_):
        raise OSError("the bucket failed: EndpointConnectionError")

    member, headers = await stage.member(), keyed()
    first = await stage.post(LARGE, member, json={}, headers=headers)
    with monkeypatch.context() as patched:
        patched.setattr(shelf, "on_the_disk", away)
        assert (await stage.post(LARGE, member, json={}, headers=headers)).status == 503

    again = await stage.post(LARGE, member, json={}, headers=headers)

    assert (again.status, again.body) == (200, first.body)
    assert stage.spent(member) == CENT


async def test_a_crash_between_the_body_and_its_row_leaves_a_file_that_goes_with_its_day(
    stage, tmp_path, monkeypatch
):
    """The row is never there without its body; a body without a row is nobody's."""
    member, headers = await stage.member(), keyed()
    order = []

    async def crash(pending):
        await pending._store()
        order.append(files(tmp_path))
        raise SystemError("the process ends here")

    with monkeypatch.context() as patched:
        patched.setattr(answers.PendingAnswer, "stored", crash)
        with pytest.raises(aiohttp.ClientPayloadError):  # Its head was sent before.
            await stage.post(LARGE, member, json={}, headers=headers)
    (orphan,) = order[0]
    assert kept(stage, member) == []

    old = tmp_path / "uploads" / "answers" / str((datetime.now(UTC) - timedelta(days=3)).date())
    orphan.parent.rename(old)
    assert await in_thread(answers.forget) == 1
    assert not old.exists()


async def test_bodies_go_with_their_day_a_batch_at_a_time(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "DROPPED_AT_ONCE", 1)
    monkeypatch.setattr(answers, "DROPPED_AT_MOST", 2)
    today = datetime.now(UTC).date()
    for away, count in ((0, 1), (2, 1), (3, 3)):
        folder = tmp_path / "uploads" / "answers" / str(today - timedelta(days=away))
        folder.mkdir(parents=True)
        for n in range(count):
            (folder / str(n)).write_bytes(b"x")

    assert [await in_thread(answers.forget) for _ in range(3)] == [2, 1, 0]
    assert len(files(tmp_path)) == 2


async def test_the_partitions_are_seven_and_one_of_the_version_before(stage):
    found = await in_thread(
        lambda: values("SELECT relid::regclass::text FROM pg_partition_tree('proxy_kept')")
    )
    assert sorted(found) == sorted(
        ["proxy_kept", "proxy_answer", *(f"proxy_kept_{n}" for n in range(1, 8))]
    )
