"""A run from its submit to its receipt, on a machine that speaks as ComfyUI does."""

import io
import json
import uuid

import pytest
from django.test import Client
from PIL import Image
from runs_by_hand import begun, end, submitted, worker
from runs_stage import by, ended, picture, reached, slow, submit, until

from apikeys.models import ApiKey
from audit.models import Event
from common.errors import InvalidWebhookUrl, Maintained, NotFound
from credits.models import Entry, Hold
from desk import maintenance
from runs import assets, core, dialects
from runs.models import Run
from usage.models import Call

pytestmark = pytest.mark.slow


def test_a_run_is_held_carried_collected_and_charged_by_the_machines_own_clock(stage, ada):
    stage.worker(ada, per_second=10_000, per_output=500)
    stage.start()

    run = submit(ada, slow(1.0), metadata={"for": "test"})
    assert run.state == "queued"
    assert Hold.objects.get(pk=run.hold_id).amount_micros == 60 * 10_000 + 500
    run = ended(run)

    assert (run.state, run.error_message) == ("succeeded", "")
    (output,) = core.outputs(ada.workspace_id, run.pk)
    with assets.opened(output) as content:
        assert Image.open(io.BytesIO(content.read())).size == (32, 32)
    assert (output.kind, output.name, output.subfolder) == ("output", "made_00001_.png", "")
    receipt = core.receipt(run)
    assert 1000 <= receipt.gpu_ms < 5000
    assert receipt.charged == -(-receipt.gpu_ms * 10_000 // 1000) + 500
    assert (receipt.outputs, receipt.per_outputs) == (1, 500)
    assert not Hold.objects.filter(pk=run.hold_id).exists()
    assert Entry.objects.get(key=f"call:{run.hold_id}").amount_micros == receipt.charged
    call = Call.objects.get(pk=run.hold_id, workspace_id=ada.workspace_id)
    assert (call.vendor, call.outcome, call.run_id) == ("runs", "delivered", str(run.pk))
    assert ada.now().balance_micros == 5_000_000 - receipt.charged
    assert ada.now().held_micros == 0
    kinds = [each.kind for each in core.events_after(ada.workspace_id, run.pk)]
    assert kinds[0] == "status"
    assert kinds[-2:] == ["output", "status"]
    assert "message" in kinds


def test_a_runs_own_call_is_of_its_keys_project_as_the_calls_inside_are(stage, ada):
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(project="film")
    ada.api_key_record.refresh_from_db()
    stage.worker(ada, per_second=10_000)
    stage.start()

    run = ended(submit(ada, slow(0.3)))

    assert run.project == "film"
    assert Call.objects.get(pk=run.hold_id, workspace_id=ada.workspace_id).project == "film"


def test_the_same_again_comes_from_the_cache_and_costs_nothing(stage, ada):
    stage.worker(ada, per_second=10_000, per_output=500)
    stage.start()
    first = ended(submit(ada, slow(0.3)))

    again = ended(submit(ada, slow(0.3)))

    assert (again.state, again.gpu_ms, again.charged_micros) == ("succeeded", 0, 0)
    assert again.outputs_reused
    names = [[each.sha256 for each in core.outputs(ada.workspace_id, x.pk)] for x in (first, again)]
    assert names[0] == names[1] != []


def test_another_workspaces_equal_graph_is_computed_anew_and_its_files_are_its_own(stage, ada, bob):
    stage.worker(ada, bob, per_second=10_000)
    stage.start()
    ended(submit(ada, slow(0.5)))

    theirs = ended(submit(bob, slow(0.5)))

    assert theirs.gpu_ms >= 500
    assert not theirs.outputs_reused


def test_a_strangers_run_is_not_there(stage, ada, bob):
    stage.worker(ada)
    run = submit(ada, picture())

    for ask in (
        lambda: core.get(bob.workspace_id, run.pk),
        lambda: core.events_after(bob.workspace_id, run.pk),
        lambda: core.outputs(bob.workspace_id, run.pk),
        lambda: core.cancel(bob.workspace_id, run.pk, by=bob.user.pk),
        lambda: core.get(ada.workspace_id, "no-id"),
    ):
        with pytest.raises(NotFound):
            ask()
    assert core.list_runs(bob.workspace_id) == []
    assert [each.pk for each in core.list_runs(ada.workspace_id)] == [run.pk]


def test_what_waits_is_called_off_at_once_and_costs_nothing(stage, ada):
    stage.worker(ada)
    run = submit(ada, picture())
    assert core.queue_position(run) == 1

    canceled = core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)

    assert (canceled.state, canceled.charged_micros) == ("canceled", 0)
    assert ada.now().held_micros == 0
    assert core.cancel(ada.workspace_id, run.pk, by=ada.user.pk).state == "canceled"
    (noted,) = Event.objects.filter(action="run.canceled", target=str(run.pk))
    assert noted.actor_id == ada.user.pk


def test_what_runs_stops_at_its_next_step_and_costs_the_time_it_had(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    run = reached(submit(ada, slow(60.0, steps=600)), "running")
    until(lambda: Run.objects.get(pk=run.pk).progress)

    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    run = ended(run)

    assert (run.state, run.error_code) == ("canceled", "canceled")
    assert 0 < run.charged_micros == -(-run.gpu_ms * 10_000 // 1000)
    assert ada.now().held_micros == 0


def test_a_failed_node_costs_nothing_and_says_nothing_of_the_machine(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    graph = slow(0.3)
    words = "no such file: /opt/secret/models/a.safetensors"
    graph["3"] = {"class_type": "DemoFail", "inputs": {"image": ["2", 0], "words": words}}
    graph["9"]["inputs"]["images"] = ["3", 0]

    run = ended(submit(ada, graph))

    assert (run.state, run.error_code) == ("failed", "node_execution_error")
    assert (run.error_node, run.error_class) == ("3", "DemoFail")
    assert run.error_message == "no such file: a.safetensors"
    assert (run.charged_micros, run.forgiven_ms) == (0, run.gpu_ms)
    assert core.outputs(ada.workspace_id, run.pk) == []
    assert Call.objects.get(pk=run.hold_id, workspace_id=ada.workspace_id).outcome == "failed"


def test_a_file_of_the_workspace_is_staged_and_a_strangers_is_not_found(stage, ada, bob, tmp_path):
    from common.errors import InvalidWorkflow

    stage.worker(ada, bob)
    stage.start()
    arrived = tmp_path / "cat.png"
    Image.new("RGB", (20, 10), (1, 2, 3)).save(arrived)
    assets.keep(
        ada.workspace_id,
        user_id=ada.user.pk,
        file_path="cats/cat.png",
        content_type="image/png",
        arrived=arrived,
    )
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cats/cat.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x/y"}},
    }

    with pytest.raises(InvalidWorkflow, match=r"Invalid image file: cats/cat\.png"):
        submit(bob, graph)
    run = ended(submit(ada, graph))

    assert (run.state, run.error_message) == ("succeeded", "")
    (output,) = core.outputs(ada.workspace_id, run.pk)
    assert (output.subfolder, output.name) == ("x", "y_00001_.png")
    with assets.opened(output) as content:
        made = Image.open(io.BytesIO(content.read()))
        assert (made.size, made.getpixel((0, 0))) == ((20, 10), (254, 253, 252))


def test_somebody_signed_in_needs_no_key(stage, ada):
    stage.worker(ada)
    stage.start()

    run = core.submit(by(ada, key=False), core.Ask(graph=picture()))

    assert ended(run).state == "succeeded"
    assert run.key_id is None


def test_programs_are_told_that_it_began_and_how_it_ended(stage, ada, settings):
    from webhooks import endpoints
    from webhooks.models import Delivery

    types = ["run.started", "run.succeeded", "run.failed"]
    endpoints.make(ada.workspace_id, url="https://8.8.8.8/", types=types, name="", by=ada.user.pk)
    stage.worker(ada)
    stage.start()

    run = ended(submit(ada, slow(0.3), webhook_url="https://8.8.4.4/mine"))

    told = Delivery.objects.filter(endpoint__workspace_id=ada.workspace_id).order_by("created_at")
    names = [(each.url, each.type) for each in told]
    assert sorted(names) == sorted(
        (url, name)
        for url in ("", "https://8.8.4.4/mine")
        for name in ("run.started", "run.succeeded")
    )
    assert all(f'"id":"{run.pk}"' in each.body for each in told)
    (began,) = (json.loads(each.body)["data"] for each in told.filter(url="", type="run.started"))
    (over,) = (json.loads(each.body)["data"] for each in told.filter(url="", type="run.succeeded"))
    assert (began["status"], began["outputs"], began["ended_at"]) == ("running", [], None)
    assert (over["charged_micro_usd"], over["error"]) == (run.charged_micros, None)
    job = Client(headers={"X-API-KEY": ada.key}).get(f"/api/v2/jobs/{run.pk}").json()
    assert (over["started_at"], over["ended_at"]) == (job["started_at"], job["completed_at"])
    (made,), (asked,) = over["outputs"], job["outputs"]
    assert made.keys() == asked.keys()
    assert (made["id"], made["hash"], made["type"]) == (asked["id"], asked["hash"], "image")
    answer = Client().get(made["url"].removeprefix(settings.PUBLIC_URL))
    assert len(b"".join(answer.streaming_content)) == made["size_bytes"]


def test_of_very_many_files_programs_are_told_the_ids(ada):
    machine = worker(ada)
    submitted(ada)
    run, _ = begun(machine)
    assert end(run, files=200)

    told = dialects.job_outputs(Run.objects.get(pk=run.pk))

    assert len(told) == 200
    assert {uuid.UUID(each) for each in told} == {each.pk for each in run.outputs.all()}


def test_an_address_of_this_network_is_not_told(ada):
    with pytest.raises(InvalidWebhookUrl):
        submit(ada, picture(), webhook_url="http://127.0.0.1/hook")
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()


def test_while_the_platform_is_worked_on_none_begins_and_what_runs_ends(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    before = submit(ada, slow(0.5))
    maintenance.begin("We move.", until=None, by=ada.user.pk)
    try:
        with pytest.raises(Maintained, match="We move"):
            submit(ada, slow(0.5, color=1))
        assert ended(before).state == "succeeded"
    finally:
        maintenance.end(by=ada.user.pk, reason="moved")

    assert ada.now().held_micros == 0
    assert Run.objects.filter(workspace_id=ada.workspace_id).count() == 1
