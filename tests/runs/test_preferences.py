"""What a workspace prefers for its runs holds for all of them, and is its owner's to say."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import timedelta

import pytest
import runs_by_hand
from blake3 import blake3
from django.test import Client
from PIL import Image
from runs_stage import ended, picture, submit

from audit.models import Event
from runs import assets, core, preferences, workflows
from runs.models import Output, Preferences, RunEvent

DAY = timedelta(days=1)
PATH = "/v1/run-preferences"


@pytest.fixture
def manager(alice):
    alice.api_key_record.scopes = ["runs", "keys:manage"]
    alice.api_key_record.save(update_fields=["scopes"])
    return alice


def ask(method, member, **said):
    return Client().generic(
        method, PATH, json.dumps(said).encode(), content_type="application/json",
        headers={"X-API-KEY": member.key},
    )  # fmt: skip


def test_what_was_never_said_is_as_the_platform_has_it(alice):
    assert ask("GET", alice).json() == {
        "keep_days": None, "max_credits": None, "accelerator": None, "drop_workflows": False,
        "keep_workflows_in_files": False,
        "usual_keep_days": 7, "most_keep_days": 30,
    }  # fmt: skip


def test_only_what_is_named_is_changed_and_it_is_written_down_once(manager):
    said = ask("PATCH", manager, keep_days=2, max_credits=50).json()
    again = ask("PATCH", manager, drop_workflows=True, max_credits=50).json()

    assert (said["keep_days"], said["max_credits"], said["drop_workflows"]) == (2, 50, False)
    assert (again["keep_days"], again["max_credits"], again["drop_workflows"]) == (2, 50, True)
    assert ask("PATCH", manager, keep_days=None).json()["keep_days"] is None
    ask("PATCH", manager, keep_days=None)
    noted = Event.objects.filter(action="runs.preferences_changed")
    assert noted.filter(workspace_id=manager.workspace_id).count() == 3


@pytest.mark.parametrize(
    "said",
    [{"keep_days": 0}, {"keep_days": 31}, {"max_credits": 0}, {"accelerator": "not a label"},
     {"keep_days": "seven"}, {"drop_workflows": "perhaps"}, {"accelerator": "a\0"}],
)  # fmt: skip
def test_what_nobody_may_say_is_refused_with_a_sentence_and_nothing_changes(manager, said):
    refused = ask("PATCH", manager, **said)

    assert refused.status_code == 400
    assert refused.json()["message"]
    assert preferences.of(manager.workspace_id) == preferences.Preferred()


def test_a_key_that_manages_nothing_reads_it_and_changes_nothing(alice):
    alice.api_key_record.scopes = ["proxy", "runs"]
    alice.api_key_record.save(update_fields=["scopes"])

    assert ask("GET", alice).status_code == 200
    assert ask("PATCH", alice, keep_days=1).status_code == 403
    assert not Preferences.objects.filter(pk=alice.workspace_id).exists()


def test_an_operator_who_allows_less_by_now_is_obeyed(alice, settings):
    preferences.change(alice.workspace_id, {"keep_days": 30}, by=alice.user.pk)
    settings.RUNS_MOST_KEEP_DAYS = 10

    assert preferences.of(alice.workspace_id).kept == 10 * DAY


def test_files_are_kept_as_long_as_their_workspace_says(stage, ada, bob, tmp_path):
    stage.worker(ada, bob)
    stage.start()
    preferences.change(ada.workspace_id, {"keep_days": 2}, by=ada.user.pk)

    hers, his = ended(submit(ada, picture())), ended(submit(bob, picture()))

    assert hers.expires_at == hers.ended_at + 2 * DAY
    assert his.expires_at == his.ended_at + 7 * DAY
    assert Output.objects.get(run=hers).expires_at == hers.expires_at
    file = tmp_path / "a.txt"
    file.write_text("a")
    kept = assets.keep(
        ada.workspace_id, user_id=ada.user.pk, file_path="a.txt", content_type="text/plain",
        arrived=file, seconds=7 * 86400,
    )  # fmt: skip
    assert abs(kept.expires_at - kept.created_at - 2 * DAY) < timedelta(minutes=1)


def test_a_dropped_workflow_is_gone_with_the_end_and_what_it_made_stays(stage, ada):
    stage.worker(ada)
    stage.start()
    preferences.change(ada.workspace_id, {"drops_workflows": True}, by=ada.user.pk)
    extra = {"extra_pnginfo": {"workflow": {"nodes": ["secret"]}}, "client_id": "mine"}

    run = ended(submit(ada, picture(), face="native", extra=extra))

    assert (run.state, run.graph, run.files, run.extra) == (
        "succeeded", None, {}, {"client_id": "mine"},
    )  # fmt: skip
    headers = {"X-API-KEY": ada.key}
    asked = Client().get(f"/api/v2/jobs/{run.pk}/workflow", headers=headers)
    told = Client().get(f"/comfy/history/{run.pk}", headers=headers).json()[str(run.pk)]
    assert asked.status_code == 404
    assert told["prompt"][2] == {}
    assert told["outputs"]["9"]["images"][0]["type"] == "output"
    assert len(core.outputs(ada.workspace_id, run.pk)) == 1


def test_a_run_whose_workflow_was_dropped_is_forgotten_at_its_time_all_the_same(stage, ada):
    stage.worker(ada)
    stage.start()
    preferences.change(ada.workspace_id, {"drops_workflows": True}, by=ada.user.pk)
    run = ended(submit(ada, picture()))
    run.expires_at = run.ended_at
    run.save(update_fields=["expires_at"])
    assert RunEvent.objects.filter(run=run).exists()

    assets.delete_expired()

    run.refresh_from_db()
    assert not RunEvent.objects.filter(run=run).exists()
    assert run.forgotten_at
    assert run.messages == []


def test_a_run_costs_what_its_workspace_prefers_at_most_unless_it_says(stage, ada):
    stage.worker(ada)
    preferences.change(ada.workspace_id, {"max_micros": 30_000}, by=ada.user.pk)

    assert submit(ada, picture()).max_micros == 30_000
    assert submit(ada, picture(), max_micros=70_000).max_micros == 70_000


def test_a_run_goes_where_its_workspace_prefers_unless_it_says_anywhere(stage, ada):
    stage.worker(ada)
    preferences.change(ada.workspace_id, {"accelerator": "cpu"}, by=ada.user.pk)

    assert submit(ada, picture()).accelerator == "cpu"
    assert submit(ada, picture(), accelerator="any").accelerator == ""


def test_failed_work_is_forgiven_for_as_long_as_the_operator_says(stage, ada, settings):
    settings.RUNS_FORGIVEN_SECONDS = 0
    stage.worker(ada)
    stage.start()
    broken = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "color": 1}},
        "2": {
            "class_type": "DemoSleep",
            "inputs": {"image": ["1", 0], "seconds": 0.5, "steps": 1},
        },
        "3": {"class_type": "DemoFail", "inputs": {"image": ["2", 0], "words": "No."}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }

    run = ended(submit(ada, broken))

    assert (run.state, run.forgiven_ms) == ("failed", 0)
    assert run.charged_micros == -(-run.gpu_ms * 1000 // 1000) > 0


def test_any_is_no_label_whoever_says_it(manager):
    runs_by_hand.worker(manager, per_second=100)
    kept = workflows.make(
        manager.workspace_id, name="w", graph=picture(), by=manager.user.pk, accelerator="cpu"
    )

    assert ask("PATCH", manager, accelerator="any").status_code == 200
    anywhere = submit(manager, picture())
    there = submit(manager, None, workflow_id=kept.pk)
    workflows.change(kept, accelerator="any", by=manager.user.pk)
    ask("PATCH", manager, accelerator="cpu")

    assert (anywhere.accelerator, there.accelerator) == ("", "cpu")
    assert submit(manager, None, workflow_id=kept.pk).accelerator == ""


@pytest.mark.parametrize(("stays", "said"), [(False, set()), (True, {"prompt", "workflow"})])
def test_a_dropped_workflow_is_taken_out_of_pictures_unless_it_is_to_stay(stage, ada, stays, said):
    stage.worker(ada)
    stage.start()
    wanted = {"drops_workflows": True, "leaves_in_files": stays}
    preferences.change(ada.workspace_id, wanted, by=ada.user.pk)
    extra = {"extra_pnginfo": {"workflow": {"nodes": ["secret"]}}}

    run = ended(submit(ada, picture(), face="native", extra=extra))

    (made,) = core.outputs(ada.workspace_id, run.pk)
    with assets.opened(made) as content:
        whole = content.read()
    with Image.open(io.BytesIO(whole)) as found:
        assert (found.size, set(found.info) & {"prompt", "workflow"}) == ((32, 32), said)
    assert (made.sha256, made.size_bytes) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert made.blake3 == blake3(whole).hexdigest()


def test_workflows_stay_in_pictures_where_they_are_not_dropped(stage, ada):
    stage.worker(ada)
    stage.start()

    run = ended(submit(ada, picture()))

    (made,) = core.outputs(ada.workspace_id, run.pk)
    with assets.opened(made) as content, Image.open(content) as found:
        assert json.loads(found.info["prompt"])["9"]["class_type"] == "SaveImage"
