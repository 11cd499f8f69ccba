"""A result whose client could not wait is found again by its call's owner."""

from __future__ import annotations

from proxy_stage import IMAGE, ULTRA, in_thread

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
