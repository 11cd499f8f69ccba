"""ComfyICU's dialect, by a small client of ours against a demo worker."""

from uuid import uuid4

import pytest
from runs_stage import ended, picture
from test_face_v2 import asking, post

from runs import workflows
from runs.models import Run

pytestmark = pytest.mark.slow


def test_a_workflow_runs_and_its_status_is_asked_until_completed_by_its_workspace_alone(
    stage, ada, bob
):
    stage.worker(ada)
    stage.start()
    client = asking(ada)
    made = workflows.make(ada.workspace_id, name=f"w-{uuid4()}", graph=picture(), by=ada.user.pk)
    path = f"/api/v1/workflows/{made.pk}/runs"

    run = post(client, path, {"prompt": picture(color=7), "workflow_id": str(made.pk)})
    assert (run.status_code, run.json()["status"]) == (200, "QUEUED"), run.content
    ended(Run.objects.get(pk=run.json()["id"]))

    now = client.get(f"{path}/{run.json()['id']}").json()
    assert (now["status"], now["error"], len(now["output"])) == ("COMPLETED", None, 1)
    stranger = asking(bob)
    assert stranger.get(f"{path}/{now['id']}").json()["error"] == "not_found"
    assert post(stranger, path).status_code == 404
    refused = post(client, path, {"files": {"/input/a.png": "https://example.org/a.png"}})
    assert refused.status_code in (400, 422)
    assert post(client, path, {"prompt": []}).json()["error"] == "invalid_workflow"
