"""Runs on a machine that speaks Comfy API v2: as on any other, for what that can know.

Of a proxy of our own, that leaves out what comfy-api-proxy does; with V2_PROXY in the environment
(where that itself is, before a machine of the sandbox) the first of them is asked of it, too.
"""

from __future__ import annotations

import os

import pytest
from PIL import Image
from runs_by_hand import calling
from runs_stage import ended, picture, reached, slow, submit, until
from test_runs_races import nothing_is_held

from apikeys.models import ApiKey
from common.errors import InvalidRequest, InvalidWorkflow
from runs import assets, core, scheduler, workers
from runs.models import Preview, Run, Trace, Worker

pytestmark = pytest.mark.slow
REAL = os.environ.get("V2_PROXY", "")


@pytest.fixture
def machine(stage, ada):
    made = stage.proxied(ada, per_second=10_000, per_output=2000, address=REAL or None)
    stage.start(away_seconds=2.0)
    return made


def kept(member, tmp_path, name="cat.png", colour=(1, 2, 3)):
    path = tmp_path / "picture.png"
    Image.new("RGB", (8, 8), colour).save(path)
    return assets.keep(
        member.workspace_id, user_id=member.user.pk, file_path=name, content_type="image/png",
        arrived=path,
    )  # fmt: skip


def test_a_run_is_sent_followed_collected_and_charged_by_what_was_seen(machine, ada):
    run = ended(submit(ada, slow(3.0)))

    assert (run.state, run.error_message) == ("succeeded", "")
    assert 1500 <= run.gpu_ms <= 4500, "as it was seen from here, once in a second"
    assert run.charged_micros == -(-run.gpu_ms * 10_000 // 1000) + 2000
    (made,) = core.outputs(ada.workspace_id, run.pk)
    assert (made.name.startswith("made"), made.subfolder, made.kind) == (True, "", "output")
    with assets.opened(made) as content:
        assert Image.open(content).size == (32, 32)
    assert core.receipt(run).observed
    nothing_is_held(ada)


def test_a_preview_is_no_file_that_is_paid(machine, ada):
    graph = picture(7)
    graph["8"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}

    run = ended(submit(ada, graph))

    kinds = sorted(each.kind for each in core.outputs(ada.workspace_id, run.pk))
    assert (kinds, run.paid_outputs) == (["output", "temp"], 1)


def test_what_came_from_its_cache_is_not_paid_twice(machine, ada):
    first, again = (ended(submit(ada, picture(9))) for _ in range(2))

    assert (first.paid_outputs, again.paid_outputs) == (1, 0)
    assert len(core.outputs(ada.workspace_id, again.pk)) == 1


def test_what_is_made_anew_beside_what_it_remembers_is_paid(machine, ada):
    """It says that something came from its memory; a loaded checkpoint is that in every run."""
    graphs = [picture(9), picture(9)]
    graphs[1]["9"]["inputs"]["filename_prefix"] = "other"

    first, other = (ended(submit(ada, each)) for each in graphs)

    assert (first.paid_outputs, other.paid_outputs) == (1, 1)
    assert other.charged_micros >= 2000


def test_a_node_that_fails_says_so_and_costs_nothing(machine, ada):
    graph = picture()
    graph["5"] = {"class_type": "DemoFail", "inputs": {"image": ["1", 0], "words": "Too dark."}}
    graph["9"]["inputs"]["images"] = ["5", 0]

    run = ended(submit(ada, graph))

    assert (run.state, run.error_code, run.charged_micros) == ("failed", "node_execution_error", 0)
    assert (run.error_message, run.error_node, run.error_class) == ("Too dark.", "5", "DemoFail")


def test_a_file_of_a_workspace_is_put_there_and_equal_ones_of_two_stay_apart(
    stage, ada, bob, tmp_path
):
    """The proxy knows a file by its bytes: the second workspace's has the first one's name."""
    stage.proxied(ada, bob)
    stage.start()
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    for member in (ada, bob):
        kept(member, tmp_path)

    runs = [ended(submit(member, graph)) for member in (ada, bob)]

    for run in runs:
        assert (run.state, run.error_message) == ("succeeded", "")
        (made,) = core.outputs(run.workspace_id, run.pk)
        with assets.opened(made) as content:
            assert Image.open(content).convert("RGB").getpixel((0, 0)) == (1, 2, 3)
        assert run.outputs_reused is False, "another workspace's work is given to nobody"


def test_it_is_called_off_where_it_works_and_pays_for_that(machine, ada):
    run = reached(submit(ada, slow(60.0, steps=120)), "running")
    until(lambda: machine and Run.objects.get(pk=run.pk).state == "running")

    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)

    run = ended(run)
    assert (run.state, run.error_code) == ("canceled", "canceled")
    nothing_is_held(ada)


def test_a_runner_that_comes_anew_finds_the_job_by_its_label_and_sends_none(stage, machine, ada):
    run = reached(submit(ada, slow(6.0)), "running")

    stage.stop()
    stage.start()

    run = ended(run)
    assert (run.state, run.attempts) == ("succeeded", 1)
    if not REAL:
        assert list(stage.proxies[machine.name].jobs.values()) == [str(run.prompt_id)]


def test_what_its_nodes_call_is_by_a_key_of_the_run_alone(stage, machine, ada):
    run = reached(submit(ada, calling(), max_micros=500_000), "running", "collecting", "failed")

    ended(run)
    if not REAL:
        (entry,) = stage.servers[machine.name].engine.history.values()
        assert "comfyui-" not in str(entry["prompt"][2])
    assert not ApiKey.objects.filter(run_id=run.pk).exists()


def test_a_proxy_whose_comfyui_is_gone_gets_no_runs(stage, ada):
    machine = stage.proxied(ada)
    stage.kill(machine)
    stage.start()

    until(lambda: Worker.objects.get(pk=machine.pk).misses)
    run = submit(ada, picture())
    assert Worker.objects.get(pk=machine.pk).health == "down"
    assert Run.objects.get(pk=run.pk).attempts == 0


def test_a_machine_that_is_lost_has_the_run_begun_again_elsewhere(stage, ada):
    machine = stage.proxied(ada)
    stage.start(away_seconds=1.0)
    run = reached(submit(ada, slow(30.0)), "running")
    other = stage.worker(ada, per_second=1000)

    stage.kill(machine)

    run = ended(run)
    assert (run.state, run.attempts, run.worker_id) == ("succeeded", 2, other.pk)


def test_nothing_is_said_to_be_wiped_where_nothing_can_be(machine, ada):
    run = ended(submit(ada, picture(3)))

    assert Worker.objects.get(pk=machine.pk).scrubs is False
    assert not Trace.objects.filter(run_id=run.pk).exists()


@pytest.mark.parametrize(
    ("dialect", "nodes"), [("v2", None), ("native", {"SaveImage": {"output_node": True}})]
)
def test_nodes_are_handed_over_where_a_machine_does_not_tell_them_and_only_there(
    alice, dialect, nodes
):
    terms = workers.Terms(
        base_url="http://10.0.0.7:8189", accelerator="T4", micros_per_second=1, dialect=dialect
    )

    with pytest.raises(InvalidRequest, match="object_info"):
        workers.add("gpu", terms, nodes=nodes, by=alice.user.pk, reason="test")


def test_how_far_it_is_and_pictures_come_by_the_proxys_stream(machine, ada):
    run = reached(submit(ada, slow(6.0, steps=12)), "running")

    until(lambda: (Run.objects.get(pk=run.pk).progress or {}).get("step"))

    seen = Run.objects.get(pk=run.pk).progress
    assert (seen["steps"], seen["current_node_class"]) == (12, "DemoSleep")
    until(lambda: Preview.objects.filter(run=run).exists())
    assert Preview.objects.get(run=run).content_type == "image/jpeg"
    run = ended(run)
    assert (run.state, run.error_message) == ("succeeded", "")
    told = core.events_after(ada.workspace_id, run.pk)
    assert any(each.data.get("name") == "progress" or "step" in each.data for each in told)


def test_a_run_that_was_never_seen_to_work_costs_its_files_and_no_time(machine, ada):
    run = ended(submit(ada, picture(11)))

    assert (run.state, run.paid_outputs) == ("succeeded", 1)
    assert run.charged_micros == -(-run.gpu_ms * 10_000 // 1000) + 2000
    assert run.gpu_ms <= 1500


MODELS = {"/models/loras/a.safetensors": {"url": "https://files.example.org/a.safetensors"}}


@pytest.fixture
def takes_models(settings):
    settings.RUN_MODEL_FOLDERS = ["loras"]


def test_a_run_with_files_of_models_is_refused_before_a_hold_where_no_machine_takes_them(
    stage, ada, takes_models
):
    stage.proxied(ada)

    with pytest.raises(InvalidWorkflow, match="takes files of models"):
        submit(ada, picture(), files=MODELS)

    nothing_is_held(ada)
    assert not Run.objects.filter(workspace_id=ada.workspace_id).exists()


def test_a_run_with_files_of_models_is_never_given_to_a_proxy(stage, ada, takes_models):
    proxied, native = stage.proxied(ada), stage.worker(ada)
    for each in (proxied, native):
        Worker.objects.filter(pk=each.pk).update(health="up")
    with_models = submit(ada, picture(), files=MODELS)

    assert scheduler.claim(proxied.pk) is None
    plain = submit(ada, picture())
    assert scheduler.claim(proxied.pk).pk == plain.pk, "what brings none passes it by"
    assert scheduler.claim(native.pk).pk == with_models.pk
