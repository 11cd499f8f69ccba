"""Machines at the pages of staff: as by command, each change is somebody's, and no token shows."""

import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from audit.models import Event
from runs import workers
from runs.models import Run, Trace, Worker, WorkerNodes

TOKEN = "token-of-a-machine-4711"


def form(**more):
    name = f"gpu-{uuid.uuid4().hex[:8]}"
    return {
        "name": name, "base_url": f"http://{name}.test:8188", "accelerator": "L4", "slots": "1",
        "per_second": "0.0004", "reason": "the first one", **more,
    }  # fmt: skip


@pytest.fixture
def machine(olga):
    asked = form(token=TOKEN, per_output="0.002")
    olga.post("machines/add", **asked)
    return Worker.objects.get(name=asked["name"])


def test_a_machine_is_registered_drained_taken_back_and_removed(olga, machine):
    assert workers.token_of(machine) == TOKEN
    assert (machine.micros_per_second, machine.micros_per_output) == (400, 2000)
    page = olga.text("machines")
    assert machine.name in page
    assert TOKEN not in page
    assert TOKEN not in olga.text(f"machines/one/{machine.name}/drain")

    for verb, state in (("drain", "draining"), ("back", "active"), ("remove", "removed")):
        olga.post(f"machines/one/{machine.name}/{verb}", reason="a test")
        machine.refresh_from_db()
        assert machine.state == state

    noted = Event.objects.filter(target=machine.name, actor_id=olga.user.pk)
    actions = ["worker.added", "worker.drained", "worker.taken_back", "worker.removed"]
    assert [each.action for each in noted.order_by("id")] == actions
    assert olga.get(f"machines/one/{machine.name}/drain").status_code == 404


def test_what_runs_left_there_is_told_and_one_may_be_left_as_it_is(olga, machine, alice):
    Trace.objects.create(
        prompt_id=uuid.uuid4(), worker=machine, run_id=uuid.uuid4(),
        workspace_id=alice.workspace_id,
    )  # fmt: skip
    asked = form(keeps_files="on")
    olga.post("machines/add", **asked)

    assert (machine.scrubs, workers.find(asked["name"]).scrubs) == (True, False)
    assert "files of 1 ended run to wipe" in olga.text("machines")
    olga.post(f"machines/one/{machine.name}/remove", reason="a test")
    assert "Files of 1 runs are on it still" in olga.text("machines")


def test_what_each_earned_is_what_its_runs_were_charged(olga, machine, alice):
    now = timezone.now()
    for charged, state, code in ((2800, "succeeded", ""), (0, "failed", "node_execution_error")):
        Run.objects.create(
            id=uuid.uuid4(), workspace_id=alice.workspace_id, user_id=alice.user.pk,
            fingerprint="x", hold_id=uuid.uuid4(), max_micros=9000, held_micros=9000,
            micros_per_second=400, state=state, worker=machine, prompt_id=uuid.uuid4(),
            claimed_at=now, ended_at=now, gpu_ms=2000, charged_micros=charged, error_code=code,
            attempts=1,
        )  # fmt: skip

    page = olga.text("machines")

    assert "1 failed" in page
    assert '<span class="amt four">$0.0028</span>' in page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "GPU 1"}, "name is of a-z"),
        ({"base_url": "ftp://x"}, "base_url is like"),
        ({"slots": "0"}, "greater than or equal to 1"),
        ({"reserved": "nobody"}, "There is no workspace nobody."),
        ({"reserved": str(uuid.UUID(int=7))}, "There is no workspace"),
        ({"per_second": ""}, "required"),
        ({"reason": ""}, "required"),
    ],
)
def test_what_is_no_machine_is_told_and_its_token_is_not_shown_again(olga, wrong, said):
    answer = olga.post("machines/add", **(form(token=TOKEN) | wrong))

    assert answer.status_code in (400, 422)
    page = " ".join(answer.content.decode().split())
    assert said in page
    assert TOKEN not in page


def test_a_machine_is_reserved_for_workspaces_that_there_are(olga, alice):
    asked = form(reserved=f"{alice.workspace_id}\n")
    olga.post("machines/add", **asked)

    assert Worker.objects.get(name=asked["name"]).reserved_for == [alice.workspace_id]


def test_what_may_run_there_and_as_whom_it_knows_us_is_said_at_the_page(olga):
    asked = form(token=TOKEN, user="us", allowed="Load*\n Save*\n\n", shared="a.png")
    olga.post("machines/add", **asked)

    made = workers.find(asked["name"])
    assert (made.allowed_classes, made.denied_classes) == (["Load*", "Save*"], [])
    assert (made.shared_inputs, made.is_basic) == (["a.png"], True)
    assert TOKEN not in olga.text("machines")


def nodes_file(content=b'{"SaveImage": {"output_node": true, "input": {}, "output": []}}'):
    return SimpleUploadedFile("object_info.json", content, "application/json")


def test_a_machine_behind_a_proxy_is_registered_by_its_nodes_and_has_others_later(olga):
    asked = form(nodes=nodes_file())
    olga.post("machines/add", **asked)

    made = Worker.objects.get(name=asked["name"])
    assert (made.dialect, made.nodes.classes, made.scrubs) == ("v2", ["SaveImage"], False)
    assert "behind a comfy-api-proxy" in olga.text("machines")
    place = f"machines/one/{made.name}/nodes"
    assert place in olga.text("machines")
    olga.post(place, reason="an upscaler is new", nodes=nodes_file(b'{"A": {}, "B": {}}'))
    assert WorkerNodes.objects.get(worker=made).classes == ["A", "B"]
    noted = Event.objects.get(target=made.name, action="worker.nodes_changed")
    assert (noted.actor_id, noted.reason) == (olga.user.pk, "an upscaler is new")


@pytest.mark.parametrize("content", [b"no json", b"[]", b"{}", b'{"a": "\\ud800"}', b"[" * 9999])
def test_a_file_of_nodes_that_is_none_is_refused(olga, content):
    asked = form(nodes=nodes_file(content))

    answer = olga.post("machines/add", **asked)

    assert answer.status_code == 400
    assert not Worker.objects.filter(name=asked["name"]).exists()


def test_a_machine_that_tells_its_nodes_is_given_none(olga, machine):
    answer = olga.post(f"machines/one/{machine.name}/nodes", reason="x", nodes=nodes_file())

    assert answer.status_code == 400
