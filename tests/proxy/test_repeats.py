"""The same request again, with an Idempotency-Key: every state, and one charge."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from pathlib import Path

import pytest
from proxy_stage import CENT, ECHO, IMAGE, STREAM, ULTRA, ULTRA_MICROS, check_refusal, in_thread

from proxy import answers, replay, tasks

NEWEST = {"Comfy-Core-Version": "0.40.0"}


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def keyed(**more: str) -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex, **NEWEST, **more}


def stored(folder: Path) -> list[Path]:
    """Return the bodies that lie beside their rows."""
    return [each for each in (folder / "uploads" / "answers").rglob("*") if each.is_file()]


@pytest.mark.parametrize(
    ("path", "vendor"),
    [(IMAGE, "sandbox"), (ECHO, "sandbox"), (ULTRA, "bfl"), (STREAM + "?bytes=1500000", "sandbox")],
)
async def test_a_success_is_replayed(stage, path, vendor):
    member = await stage.member()
    headers = keyed()

    first = await stage.post(path, member, json={"prompt": "x"}, headers=headers)
    again = [
        await stage.post(path, member, json={"prompt": "x"}, headers=headers) for _ in range(2)
    ]

    assert first.status == 200
    assert "idempotent-replayed" not in first.headers
    for answer in again:
        assert (answer.status, answer.body) == (200, first.body)
        assert answer.headers["idempotent-replayed"] == "true"
        for name in ("content-type", "call-id", "x-comfy-credits-used"):
            assert answer.headers[name] == first.headers[name]
    assert stage.vendor.counts(vendor)["submits"] == 1
    if vendor == "bfl":
        await stage.poll_until_end(first.json()["polling_url"])
    assert len(stage.calls(member)) == 1
    assert stage.spent(member) == stage.calls(member)[0]["charged_micros"] > 0


async def test_a_repeat_waits_for_the_running_one(stage):
    member = await stage.member()
    headers = keyed()
    stage.vendor.fail_next("sandbox", "slow=0.7")
    began = time.monotonic()
    first = asyncio.create_task(stage.post(IMAGE, member, json={}, headers=headers))
    await asyncio.sleep(0.2)
    second = await stage.post(IMAGE, member, json={}, headers=headers)

    assert time.monotonic() - began >= 0.7
    assert (second.status, second.body) == (200, (await first).body)
    assert second.headers["idempotent-replayed"] == "true"
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.33.0", 503),
        ("0.3.64", 503),
        ("0.33.1", 409),
        ("1.0.0", 409),
        ("", 409),
        ("1" * 6000 + ".2.3", 409),
    ],
)
async def test_a_repeat_of_a_lasting_one_is_told_so(stage, monkeypatch, version, status):
    monkeypatch.setattr(replay, "WAIT_SECONDS", 0.15)
    member = await stage.member()
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    if version:
        headers["Comfy-Core-Version"] = version
    stage.vendor.fail_next("sandbox", "slow=0.9")
    first = asyncio.create_task(stage.post(IMAGE, member, json={}, headers=headers))
    await asyncio.sleep(0.2)

    second = await stage.post(IMAGE, member, json={}, headers=headers)

    assert second.status == status
    check_refusal(second)
    assert second.headers["retry-after"].isdigit()
    if status == 409:
        assert second.headers["x-comfy-error-type"] == "idempotency_in_flight"
        assert second.json()["error_type"] == second.type == "idempotency_in_flight"
    else:
        assert second.type == "service_unavailable"
        assert "x-comfy-error-type" not in second.headers
    assert (await first).status == 200
    third = await stage.post(IMAGE, member, json={}, headers=headers)
    assert (third.status, third.body) == (200, first.result().body)
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


@pytest.mark.slow
@pytest.mark.parametrize("running", [True, False])
async def test_the_same_key_for_something_else_is_a_mismatch(stage, running):
    member = await stage.member()
    headers = keyed()
    if running:
        stage.vendor.fail_next("sandbox", "slow=2")
    first = asyncio.create_task(stage.post(IMAGE, member, json={"seed": 1}, headers=headers))
    await (asyncio.sleep(0.2) if running else first)

    for path, body in ((IMAGE, {"seed": 2}), (ECHO, {"seed": 1}), (IMAGE + "?x=1", {"seed": 1})):
        second = await stage.post(path, member, json=body, headers=headers)
        assert second.status == 409
        check_refusal(second)
        assert second.headers["x-comfy-error-type"] == "idempotency_mismatch"
        assert second.json()["error_type"] == "idempotency_mismatch"
        assert first.done() is not running, "that is said at once"
    await first
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


async def test_the_answer_under_a_key_is_kept_for_a_day(stage):
    member = await stage.member()
    await stage.post(IMAGE, member, json={}, headers=keyed())

    (call,) = stage.calls(member)
    (row,) = stage.rows(
        "SELECT extract(epoch FROM kept_until - now()) AS seconds FROM proxy_kept"
        " WHERE call_id = %s",
        call["id"],
    )
    assert 23.9 * 3600 < row["seconds"] <= 24 * 3600


@pytest.mark.slow
async def test_an_expired_call_consumed_its_key(stage):
    member = await stage.member()
    headers = keyed()
    stage.vendor.fail_next("bfl", "slow=1")
    lost = asyncio.create_task(stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers))
    await asyncio.sleep(0.3)
    stage.over(member)
    await in_thread(tasks.sweep_holds)

    again = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)

    assert again.status == 409
    check_refusal(again)
    assert again.headers["x-comfy-error-type"] == "idempotency_consumed"
    assert (await lost).status == 422, "what nobody pays for is not handed out"
    assert stage.vendor.counts("bfl")["submits"] == 1
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize(("version", "status"), [("", 409), ("0.33.1", 409), ("0.33.0", 422)])
async def test_an_answer_whose_file_is_gone_is_consumed(stage, tmp_path, version, status):
    member = await stage.member()
    headers = {**keyed(), "Comfy-Core-Version": version}
    path = STREAM + "?bytes=1100000"
    first = await stage.post(path, member, json={}, headers=headers)
    (spooled,) = stored(tmp_path)
    assert spooled.read_bytes() == first.body
    spooled.unlink()

    again = await stage.post(path, member, json={}, headers=headers)

    assert again.status == status
    check_refusal(again)
    assert again.json()["error_type"] == "idempotency_consumed"
    assert stage.vendor.counts("sandbox")["submits"] == 1
    assert stage.spent(member) == CENT


@pytest.mark.parametrize("full", [False, True], ids=["no-folder", "full"])
async def test_a_disk_that_takes_nothing_keeps_no_answer_back(stage, tmp_path, monkeypatch, full):
    if full:  # Every write goes through to the disk, and there is no room.
        monkeypatch.setattr(type(tmp_path), "open", lambda *_: open("/dev/full", "wb"))  # noqa: SIM115
    else:
        (tmp_path / "spool").write_text("not a folder")
    member = await stage.member()
    headers = keyed()
    path = STREAM + "?bytes=1100000"

    first = await stage.post(path, member, json={}, headers=headers)
    again = await stage.post(path, member, json={}, headers=headers)

    assert (first.status, len(first.body)) == (200, 1_100_000)
    assert (again.status, again.type) == (409, "idempotency_consumed")
    assert stage.spent(member) == CENT


async def test_what_is_too_large_to_be_kept_passes_and_leaves_no_file(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "SPOOL_LIMIT_BYTES", 1_000_000)
    member = await stage.member()
    headers = keyed()
    path = STREAM + "?bytes=1500000"

    first = await stage.post(path, member, json={}, headers=headers)
    again = await stage.post(path, member, json={}, headers=headers)

    assert (first.status, len(first.body)) == (200, 1_500_000)
    assert (again.status, again.type) == (409, "idempotency_consumed")
    assert stage.spent(member) == CENT
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_large_answer_is_given_again_without_being_in_memory(stage, monkeypatch):
    """Whoever asks again, and reads nothing, has one block of it here, and not all."""
    member = await stage.member()
    headers = keyed()
    path, size = STREAM + "?bytes=40000000", 40_000_000
    first = await stage.post(path, member, json={}, headers=headers)
    before = most = resident()

    async with stage.session.post(
        f"{stage.url}{path}", json={}, headers={**member.headers, **headers}
    ) as again:
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["content-length"] == str(size)
        await asyncio.sleep(0.3)
        digest = hashlib.sha256()
        while chunk := await again.content.read(512 << 10):
            digest.update(chunk)
            most = max(most, resident())

    assert digest.digest() == hashlib.sha256(first.body).digest()
    assert most - before < 12 << 20
    assert stage.spent(member) == CENT


@pytest.mark.parametrize(
    "failure",
    ["status=500", "status=503", "status=429", "status=401", "status=504", "drop_after", "nonjson"],
)
async def test_a_failed_try_releases_its_key(stage, failure):
    member = await stage.member()
    headers = keyed()
    stage.vendor.fail_next("bfl", failure)

    first = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)
    second = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)

    assert first.status >= 400
    assert second.status == 200
    assert "idempotent-replayed" not in second.headers
    assert stage.vendor.counts("bfl")["submits"] == 2
    await stage.poll_until_end(second.json()["polling_url"])
    assert stage.spent(member) == ULTRA_MICROS
    third = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)
    assert third.body == second.body
    assert stage.vendor.counts("bfl")["submits"] == 2


@pytest.mark.parametrize("path", [IMAGE, ULTRA])
@pytest.mark.parametrize("failure", ["drop_after", "status=504", "nonjson"])
async def test_who_waited_for_a_call_that_is_lost_asks_for_no_second(stage, path, failure):
    member = await stage.member()
    headers = keyed()
    vendor = path.split("/")[2]
    stage.vendor.fail_next(vendor, "slow=0.5", failure)

    answers = await asyncio.gather(
        *(stage.post(path, member, json={"prompt": "x"}, headers=headers) for _ in range(10))
    )

    assert {(answer.status, answer.type) for answer in answers} == {(422, "outcome_unknown")}
    assert stage.vendor.counts(vendor)["submits"] == 1


@pytest.mark.parametrize("failure", ["status=400", "status=404", "status=422", "status=409"])
async def test_a_final_refusal_is_stored(stage, failure):
    member = await stage.member()
    headers = keyed()
    stage.vendor.fail_next("bfl", failure)

    first = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)
    second = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)

    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["idempotent-replayed"] == "true"
    check_refusal(second)
    assert stage.vendor.counts("bfl")["submits"] == 1
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_refusal_of_ours_is_not_stored(stage):
    member = await stage.member(micros=0)
    headers = keyed()
    assert (await stage.post(IMAGE, member, json={}, headers=headers)).status == 402
    assert (await stage.post(IMAGE, member, json={}, headers=headers)).status == 402
    assert stage.rows("SELECT * FROM proxy_kept WHERE intent = %s", uuid.uuid4()) == []
    assert stage.vendor.counts("sandbox")["submits"] == 0


@pytest.mark.parametrize("path", [IMAGE, ULTRA])
async def test_twenty_at_once_are_one(stage, path):
    member = await stage.member()
    headers = keyed()
    vendor = path.split("/")[2]
    stage.vendor.fail_next(vendor, "slow=0.3")

    answers = await asyncio.gather(
        *(stage.post(path, member, json={"prompt": "x"}, headers=headers) for _ in range(20))
    )

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
    assert stage.vendor.counts(vendor)["submits"] == 1
    if path == ULTRA:
        await stage.poll_until_end(answers[0].json()["polling_url"])
    assert len(stage.calls(member)) == 1
    assert stage.spent(member) == (CENT if path == IMAGE else ULTRA_MICROS)
    assert stage.wallet(member)[1] == 0


async def test_twenty_at_once_with_too_little_for_two_are_one(stage):
    member = await stage.member(micros=CENT)
    headers = keyed()
    stage.vendor.fail_next("sandbox", "slow=0.2")

    answers = await asyncio.gather(
        *(stage.post(IMAGE, member, json={}, headers=headers) for _ in range(20))
    )

    assert {answer.status for answer in answers} == {200}
    assert stage.wallet(member) == (0, 0)


async def test_a_replay_needs_no_credits(stage):
    member = await stage.member(micros=CENT)
    headers = keyed()
    first = await stage.post(IMAGE, member, json={}, headers=headers)
    assert stage.wallet(member) == (0, 0)
    again = await stage.post(IMAGE, member, json={}, headers=headers)
    assert (again.status, again.body) == (200, first.body)


async def test_the_same_key_of_another_member_is_another(stage):
    headers = keyed()
    members = [await stage.member() for _ in range(2)]

    answers = [await stage.post(IMAGE, one, json={}, headers=headers) for one in members]

    assert all("idempotent-replayed" not in answer.headers for answer in answers)
    assert len({answer.headers["call-id"] for answer in answers}) == 2
    assert stage.vendor.counts("sandbox")["submits"] == 2
    assert [stage.spent(one) for one in members] == [CENT, CENT]


async def test_a_revoked_key_gets_no_replay(stage):
    member = await stage.member()
    headers = keyed()
    await stage.post(IMAGE, member, json={}, headers=headers)
    stage.do("UPDATE apikeys_apikey SET revoked_at = now() WHERE id = %s", member.key_id)
    again = await stage.post(IMAGE, member, json={}, headers=headers)
    assert (again.status, again.type) == (401, "unauthorized")


async def test_an_upload_with_a_key_is_replayed(stage):
    member = await stage.member()
    headers = keyed()
    path = "/proxy/sandbox/v1/upload"
    answers = [
        await stage.post(path, member, data=b"x" * 300_000, headers=headers) for _ in range(2)
    ]
    assert answers[0].body == answers[1].body
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert stage.spent(member) == CENT


async def test_too_long_a_key_is_refused(stage):
    member = await stage.member()
    answer = await stage.post(IMAGE, member, json={}, headers={"Idempotency-Key": "k" * 256})
    assert (answer.status, answer.type) == (400, "invalid_request")
    answer = await stage.post(IMAGE, member, json={}, headers={"Idempotency-Key": "k" * 255})
    assert answer.status == 200


async def test_forget_ends_what_is_kept(stage, tmp_path):
    member = await stage.member()
    headers = keyed()
    await stage.post(IMAGE, member, json={}, headers=headers)
    await stage.post(STREAM + "?bytes=600000", member, json={}, headers=keyed())
    (spooled,) = stored(tmp_path)
    await in_thread(tasks.forget)
    assert spooled.exists()
    assert (await stage.post(IMAGE, member, json={}, headers=headers)).status == 200
    assert stage.spent(member) == 2 * CENT

    calls = [str(call["id"]) for call in stage.calls(member)]
    stage.do(
        "UPDATE proxy_kept SET kept_until = now() - interval '1 second'"
        " WHERE call_id = ANY (%s::uuid[])",
        calls,
    )
    spooled.parent.rename(spooled.parent.with_name("2026-01-01"))
    await in_thread(tasks.forget)
    assert stored(tmp_path) == []
    assert (await stage.post(IMAGE, member, json={}, headers=headers)).status == 200
    assert stage.spent(member) == 3 * CENT
