"""A result whose client could not wait is found again by its call's owner."""

from __future__ import annotations

import uuid

import pytest
from aiohttp import web
from proxy_stage import IMAGE, ULTRA, ULTRA_MICROS, answering, in_thread

from proxy import tasks


async def test_after_a_restart_the_owner_gets_the_address(stage):
    """The client gave up; our follower settled; the picture was paid for."""
    member, other = await stage.member(), await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    path = f"/v1/calls/{made.headers['call-id']}/result"
    running = await stage.get(path, member)
    assert running.json() == {
        "call_id": made.headers["call-id"],
        "status": "running",
        "urls": [],
        "answer": None,
        "ask": None,
        "kept_until": None,
    }
    stage.due(member)
    await in_thread(tasks.follow_jobs)

    found = await stage.get(path, member)

    assert found.status == 200
    told = found.json()
    assert told["status"] == "delivered"
    assert told["urls"] == [told["answer"]["result"]["sample"]]
    async with stage.session.get(told["urls"][0]) as response:
        assert response.status == 200
    assert (await stage.get(path, other)).status == 404
    assert (await stage.get(path)).status == 401


@pytest.mark.parametrize("later", ["Task not found", "Pending", "Error", "Request Moderated"])
async def test_what_a_vendor_says_later_takes_no_result_away(stage, settings, later):
    """Its servers are not consistent at once: the next that is asked may not know of the end."""
    member = await stage.member()
    ready = {"id": "j", "status": "Ready", "result": {"sample": "https://x.bfl.ai/1.png"}}
    says = [ready]

    async def bfl(request):
        said = {"id": uuid.uuid4().hex} if request.method == "POST" else says[0]
        return web.json_response(said, status=404 if said["id"] == "?" else 200)

    async with answering(bfl) as settings.VENDOR_BASE_URL:
        made = await stage.post(ULTRA, member, json={"prompt": "x"})
        stage.due(member)
        await in_thread(tasks.follow_jobs)
        assert stage.wallet(member) == (5_000_000 - ULTRA_MICROS, 0)
        says[0] = {"id": "?" if later == "Task not found" else "j", "status": later}

        for _ in range(2):
            stage.aged(member, minutes=0)
            polled = await stage.get(made.json()["polling_url"])
            assert (polled.status, polled.json()) == (200, ready)

    kept = await stage.get(f"/v1/calls/{made.headers['call-id']}/result", member)
    assert kept.json()["urls"] == ["https://x.bfl.ai/1.png"]


async def test_what_was_not_paid_for_is_not_given(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "sandbox:moderated"})
    stage.due(member)
    await in_thread(tasks.follow_jobs)

    found = await stage.get(f"/v1/calls/{made.headers['call-id']}/result", member)

    assert (found.status, found.json()["status"]) == (200, "moderated")
    assert (found.json()["urls"], found.json()["answer"]) == ([], None)


async def test_it_is_kept_as_long_as_the_vendor_keeps_it(stage):
    member = await stage.member()
    made = await stage.post(ULTRA, member, json={"prompt": "x"})
    stage.due(member)
    await in_thread(tasks.follow_jobs)
    path = f"/v1/calls/{made.headers['call-id']}/result"
    stage.do(
        "UPDATE proxy_job SET ended_at = now() - interval '25 hours' WHERE workspace_id = %s",
        member.workspace,
    )

    assert (await stage.get(path, member)).status == 404
    await in_thread(tasks.forget)
    assert stage.rows("SELECT 1 FROM proxy_job WHERE workspace_id = %s", member.workspace) == []


async def test_a_call_that_was_no_job_has_no_result_here(stage):
    member = await stage.member()
    made = await stage.post(IMAGE, member, json={})
    assert (await stage.get(f"/v1/calls/{made.headers['call-id']}/result", member)).status == 404
