"""A list of runs asks the database as often for many as for one, in each dialect that lists."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from runs_by_hand import begun, end, submitted, worker
from runs_stage import picture
from test_face_v2 import asking

from apikeys import keys
from runs import dialects, workflows

ADDRESSES = {
    "native": "/comfy/history",
    "native jobs": "/comfy/api/jobs",
    "icu": "/api/v1/workflows/{}/runs",
    "v2": "/api/v2/jobs",
}


@pytest.mark.parametrize("dialect", ADDRESSES)
def test_a_list_costs_as_many_questions_with_five_as_with_one(
    db, make_member, dialect, monkeypatch
):
    monkeypatch.setattr(keys.used, "SECONDS", 1e9)  # When a key was used is written once a minute.
    member = make_member("5.00")
    machine = worker(member)
    name = f"w-{uuid.uuid4()}"
    flow = workflows.make(member.workspace_id, name=name, graph=picture(), by=member.user.pk)
    client, path = asking(member), ADDRESSES[dialect].format(flow.pk)

    def asked(runs):
        for _ in range(runs):
            submitted(member, extra={dialects.WORKFLOW: str(flow.pk)})
            run, _ = begun(machine)
            assert end(run, files=2)
        with CaptureQueriesContext(connection) as seen:
            answer = client.get(path)
        assert answer.status_code == 200, answer.content
        return len(seen), answer.json()

    asked(1)  # The first of all notes that the key was used.
    first, _ = asked(0)
    again, told = asked(4)

    listed = told.get("jobs", told) if isinstance(told, dict) else told
    assert (len(listed), again) == (5, first)
