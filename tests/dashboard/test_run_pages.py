"""Runs, workflows and webhooks at their pages, as a browser without script reads and posts them."""

import json
import re
import uuid

import pytest
from asgiref.sync import async_to_sync
from call_rows import call_of
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from page_text import text
from run_rows import GRAPH, machine_of, output_of, preview_of, run_of

from accounts.models import Membership
from audit.models import Event
from credits.books import holds
from runs import assets, preferences, shown, workflows
from runs.faces import bodies
from runs.models import Asset, Run, Workflow, WorkflowVersion
from usage.models import Call
from webhooks import endpoints, sending
from webhooks.models import Delivery, Endpoint

OUTSIDE = "https://8.8.8.8/hook"


@pytest.fixture
def browser(alice, signed_in):
    return signed_in(alice)


def tokens(answer):
    return re.search(r'name="token" value="(\w+)"', text(answer))[1]


def filled(page, changes=None, **more):
    """What a browser sends of a workflow's form, with other values by what fields are called."""
    fields = dict(re.findall(r'name="(in\d+)" value="([^"]*)"', text(page)))
    names = {label: name for name, label in re.findall(r'for="id_(in\d+)">([^<]+)<', text(page))}
    fields |= {names[label]: value for label, value in (changes or {}).items()}
    return {**fields, "token": tokens(page), "most": "", "accelerator": "", **more}


# --- Runs ---------------------------------------------------------------------------------------


def test_a_receipt_names_seconds_files_and_calls_inside_and_they_add_up(alice, browser):
    key = uuid.uuid4()
    run = run_of(alice.workspace_id, alice.user.pk, run_key_id=key)
    output_of(run)
    call_of(
        alice, key_id=key, run_id=str(run.pk), charged_micros=60_000, facts={"title": "Flux <i>"}
    )

    page = text(browser.get(f"/my/runs/{run.pk}"))

    assert "2.000 s of the machine" in page
    assert "1 file" in page
    assert "Flux &lt;i&gt;" in page
    assert "$0.0628" in re.sub(r"<span[^>]*>|</span>", "", page)
    assert f"/my/runs/{run.pk}/files/" in page
    listed = re.sub(r"<span[^>]*>|</span>", "", text(browser.get("/my/runs")))
    assert "$0.0628" in listed
    assert "$0.06 of it for paid nodes" in listed


def test_what_a_node_said_is_text_and_what_failed_free_says_so(alice, browser):
    run = run_of(alice.workspace_id, alice.user.pk, state="failed", forgiven_ms=2000)

    page = text(browser.get(f"/my/runs/{run.pk}"))

    assert "No such &lt;b&gt;model&lt;/b&gt;." in page
    assert "Nothing was charged." in page
    assert "up to 600 seconds a day" in page
    assert f"/my/runs/{run.pk}/again" in page


def test_a_running_one_shows_how_far_it_is_without_script(alice, browser):
    progress = {"value": 0.5, "nodes_done": 1, "nodes_total": 2, "step": 3, "steps": 8,
                "current_node": "1", "current_node_class": "EmptyImage"}  # fmt: skip
    run = run_of(alice.workspace_id, alice.user.pk, state="running", progress=progress)
    preview_of(run)

    page = text(browser.get(f"/my/runs/{run.pk}"))
    shown = browser.get(f"/my/runs/{run.pk}/preview")

    assert 'value="50"' in page
    assert "1 of 2 nodes are done. EmptyImage, step 3 of 8." in page
    assert f"/my/runs/{run.pk}/preview" in page
    assert (shown.content[:2], shown["Content-Type"]) == (b"\xff\xd8", "image/jpeg")
    assert shown["X-Content-Type-Options"] == "nosniff"
    ended = run_of(alice.workspace_id, alice.user.pk)
    assert browser.get(f"/my/runs/{ended.pk}/preview").status_code == 204
    assert browser.get(f"/my/runs/{run.pk}/files/{uuid.uuid4()}").status_code == 404


def read(answer, frames=1):
    """What a stream says first."""

    async def some():
        said, stream = [], aiter(answer.streaming_content)
        for _ in range(frames):
            said.append(await anext(stream))
        await answer.streaming_content.aclose()
        return b"".join(said).decode()

    return async_to_sync(some)()


def test_a_stream_sends_the_part_of_the_page_and_ends_with_the_run(alice, browser):
    progress = {"value": 0.25, "nodes_done": 1, "nodes_total": 4}
    running = run_of(alice.workspace_id, alice.user.pk, state="running", progress=progress)
    ended = run_of(alice.workspace_id, alice.user.pk)

    first = browser.get(f"/my/runs/{running.pk}/events")
    last = browser.get(f"/my/runs/{ended.pk}/events")

    assert first["Content-Type"] == "text/event-stream"
    assert first["Cache-Control"] == "no-store"
    event, _, data = read(first).partition("\n")
    assert event == "event: part"
    assert "1 of 4 nodes are done." in " ".join(json.loads(data.removeprefix("data: ")).split())
    assert read(last).startswith("event: end\n")


def test_of_one_person_so_many_streams_are_open_at_once(alice, browser):
    run = run_of(alice.workspace_id, alice.user.pk, state="running")
    path = f"/my/runs/{run.pk}/events"
    opened = [browser.get(path) for _ in range(8)]

    assert browser.get(path).status_code == 429
    for answer in opened:
        read(answer)
    assert browser.get(path).status_code == 200


def test_a_file_is_led_to_where_the_page_is_and_signed_for_an_hour(alice, browser, settings):
    settings.PUBLIC_URL = "https://elsewhere.example.org"
    run = run_of(alice.workspace_id, alice.user.pk)
    made = output_of(run)

    led = browser.get(f"/my/runs/{run.pk}/files/{made.pk}")["Location"]

    assert re.fullmatch(rf"/files/{made.pk}/made_00001_\.png\?e=\d+&s=\w+", led)
    assert browser.get(f"/my/runs/{uuid.uuid4()}/files/{made.pk}").status_code == 404


def test_what_waits_is_called_off_by_its_button_and_what_was_held_is_free(alice, browser):
    hold = holds.place(alice.workspace_id, amount=26_000, ttl_seconds=900, apart=True)
    run = run_of(alice.workspace_id, alice.user.pk, state="queued", hold_id=uuid.UUID(str(hold.id)))
    assert "place 1 of your workspace" in text(browser.get(f"/my/runs/{run.pk}"))
    assert browser.get(f"/my/runs/{run.pk}/cancel").status_code == 405

    answers = [browser.post(f"/my/runs/{run.pk}/cancel") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert Run.objects.get(pk=run.pk).state == "canceled"
    assert alice.now().held_micros == 0


def test_a_member_sees_their_own_runs_and_the_owner_all(studio, alice, bob):
    mine = run_of(studio.id, bob.user.pk)
    theirs = run_of(studio.id, alice.user.pk)

    seen = text(studio.member.get("/my/runs"))
    assert str(mine.pk) in seen
    assert str(theirs.pk) not in seen
    assert studio.member.get(f"/my/runs/{theirs.pk}").status_code == 404
    assert studio.member.post(f"/my/runs/{theirs.pk}/cancel").status_code == 404
    assert studio.member.get(f"/my/runs/{theirs.pk}/events").status_code == 404
    assert studio.owner.get(f"/my/runs/{mine.pk}").status_code == 200


def test_a_list_goes_on_where_it_ended_and_is_narrowed(alice, browser, monkeypatch):
    monkeypatch.setattr("dashboard.runs.ON_A_PAGE", 2)
    made = [run_of(alice.workspace_id, alice.user.pk) for _ in range(3)]
    run_of(alice.workspace_id, alice.user.pk, state="failed")

    first = text(browser.get("/my/runs?state=succeeded"))
    older = re.search(r'href="(\?state=succeeded&amp;older=[^"]+)"', first)[1]
    rest = text(browser.get("/my/runs" + older.replace("&amp;", "&")))

    def listed(page):
        return {run.pk for run in made if f'href="/my/runs/{run.pk}"' in page}

    on_first = listed(first)
    assert len(on_first) == 2
    assert listed(rest) == {run.pk for run in made} - on_first
    assert browser.get("/my/runs?older=nonsense").status_code == 400
    assert browser.get(f"/my/runs?older={uuid.uuid4()}").status_code == 404
    assert browser.get("/my/runs?state=nonsense").status_code == 400


def test_a_list_costs_as_many_questions_with_ten_as_with_one(
    alice, browser, django_assert_max_num_queries
):
    for _ in range(10):
        run_of(alice.workspace_id, alice.user.pk, run_key_id=uuid.uuid4())
    browser.get("/my/runs")

    with django_assert_max_num_queries(14):
        assert browser.get("/my/runs").status_code == 200


# --- Handing over -------------------------------------------------------------------------------


def test_a_pasted_workflow_becomes_a_form_and_runs_with_what_was_changed(alice, browser):
    machine_of(alice.workspace_id)
    made = browser.post(
        "/my/workflows/new", {"name": "Lamp", "graph": json.dumps(GRAPH), "most": "0.5"}
    )
    page = browser.get(made["Location"])
    assert "Ground: width" in text(page)

    form = filled(page, {"Ground: width": "128", "SaveImage: filename_prefix": "other"})
    answers = [browser.post(made["Location"], form) for _ in range(2)]

    run = Run.objects.get(workspace_id=alice.workspace_id)  # Twice the same is one.
    assert {answer["Location"] for answer in answers} == {f"/my/runs/{run.pk}"}
    assert run.graph["1"]["inputs"] == {"width": 128, "height": 64, "color": 7}
    assert run.graph["9"]["inputs"]["filename_prefix"] == "other"
    assert (run.max_micros, run.key_id, run.face) == (500_000, None, "page")
    assert run.workflow_version.workflow.name == "Lamp"
    browser.post(made["Location"], form | filled(page, {"Ground: width": "256"}))
    assert Run.objects.filter(workspace_id=alice.workspace_id).count() == 2


def test_what_the_machine_would_refuse_is_said_at_the_form_and_nothing_is_held(alice, browser):
    machine_of(alice.workspace_id)
    flow = workflows.make(alice.workspace_id, name="Lamp", graph=GRAPH, by=alice.user.pk)
    path = f"/my/workflows/{flow.pk}"
    page = browser.get(path)

    for form, status, said in (
        (filled(page, {"Ground: width": "99999"}), 422, "bigger than max"),
        (filled(page, {"Ground: width": "wide"}), 400, "Enter a number"),
        (filled(page, {"Ground: width": "nan"}), 400, "Enter a number"),
        (filled(page, accelerator="H100"), 400, "not one of the available"),
        ({}, 400, "required"),
    ):
        answer = browser.post(path, form)
        assert answer.status_code == status, form
        assert said in text(answer), form
    assert not Run.objects.filter(workspace_id=alice.workspace_id).exists()
    assert alice.now().held_micros == 0


def test_what_a_machine_offers_is_chosen_from_a_list(alice, browser):
    nodes = machine_of(alice.workspace_id).nodes
    nodes.refresh_from_db()  # What it was made of is every test's.
    inputs = nodes.object_info["SaveImage"]["input"]["required"]
    inputs["filename_prefix"] = [["lamp", "sea"], {}]
    nodes.save()
    flow = workflows.make(alice.workspace_id, name="Lamp", graph=GRAPH, by=alice.user.pk)
    path = f"/my/workflows/{flow.pk}"
    page = browser.get(path)
    assert re.findall(r'<option value="(\w+)">', text(page))[:2] == ["lamp", "sea"]

    answers = [
        browser.post(path, filled(page, {"SaveImage: filename_prefix": chosen}))
        for chosen in ("moon", "sea")
    ]

    assert [answer.status_code for answer in answers] == [400, 302]
    run = Run.objects.get(workspace_id=alice.workspace_id)
    assert run.graph["9"]["inputs"]["filename_prefix"] == "sea"


def test_what_cannot_be_paid_is_refused_at_the_form_with_both_sums(alice, browser):
    machine_of(alice.workspace_id, micros_per_second=10**6)
    flow = workflows.make(alice.workspace_id, name="Lamp", graph=GRAPH, by=alice.user.pk)
    path = f"/my/workflows/{flow.pk}"

    answer = browser.post(path, filled(browser.get(path)))

    assert answer.status_code == 402
    assert "$60" in text(answer)
    assert not Run.objects.filter(workspace_id=alice.workspace_id).exists()


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ("{no json", "This is no JSON: line 1"),
        ('{"nodes": [], "links": []}', "Export (API)"),
        ("[]", "a JSON object"),
        ('{"1": {"inputs": {}}}', "no class_type"),
        ("", "required"),
        ('{"1": {"class_type": "A", "inputs": {"a": "\\u0000"}}}', "NUL"),
        ('{"1": {"class_type": "A", "inputs": {"a": "\\ud800"}}}', "no JSON"),
        ("[" * 5000, "no JSON"),
    ],
)
def test_what_is_no_workflow_is_told_with_what_to_do(browser, alice, graph, said):
    answer = browser.post("/my/workflows/new", {"name": "Lamp", "graph": graph})

    assert answer.status_code in (400, 422)
    assert said in text(answer)
    assert not Workflow.objects.filter(workspace_id=alice.workspace_id).exists()


def test_a_version_runs_from_then_on_and_a_removed_workflow_is_gone_with_its_runs_kept(
    alice, browser
):
    flow = workflows.make(alice.workspace_id, name="Lamp", graph=GRAPH, by=alice.user.pk)
    version = WorkflowVersion.objects.get(workflow=flow)
    run = run_of(alice.workspace_id, alice.user.pk, workflow_version=version)
    graph = {**GRAPH, "1": {**GRAPH["1"], "inputs": {"width": 8, "height": 8, "color": 1}}}

    answer = browser.post(f"/my/workflows/{flow.pk}/version", {"graph": json.dumps(graph)})

    assert answer.status_code == 302
    assert workflows.newest(flow).number == 2
    assert "Version 2" in text(browser.get(f"/my/workflows/{flow.pk}"))
    assert browser.post(f"/my/workflows/{flow.pk}/remove").status_code == 302
    assert browser.get(f"/my/workflows/{flow.pk}").status_code == 404
    assert "Lamp" in text(browser.get(f"/my/runs/{run.pk}"))
    noted = Event.objects.filter(workspace_id=alice.workspace_id, actor_id=alice.user.pk)
    assert {"workflow.changed", "workflow.removed"} <= {each.action for each in noted}


def test_a_run_is_run_again_with_other_inputs_and_not_once_its_workflow_is_forgotten(
    alice, browser
):
    run = run_of(alice.workspace_id, alice.user.pk)
    path = f"/my/runs/{run.pk}/again"

    answer = browser.post(path, filled(browser.get(path), {"Ground: color": "8"}))

    new = Run.objects.exclude(pk=run.pk).get(workspace_id=alice.workspace_id)
    assert answer["Location"] == f"/my/runs/{new.pk}"
    assert new.graph["1"]["inputs"]["color"] == 8
    Run.objects.filter(pk=run.pk).update(graph=None)
    assert browser.get(path).status_code == 404
    assert "Run it again" not in text(browser.get(f"/my/runs/{run.pk}"))


def test_lists_of_a_machines_own_files_are_never_offered(alice, browser):
    machine_of(alice.workspace_id)
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
        "9": GRAPH["9"],
    }
    flow = workflows.make(alice.workspace_id, name="Cat", graph=graph, by=alice.user.pk)

    page = text(browser.get(f"/my/workflows/{flow.pk}"))

    assert "example.png" not in page
    assert "A file of this workspace, by its name." in page


# --- Presses of Run, and runs here ----------------------------------------------------------------


def test_a_press_that_ran_on_a_machine_here_leads_to_its_run(alice, browser):
    run = run_of(alice.workspace_id, alice.user.pk)

    names = [str(run.pk), str(run.prompt_id), "run-1", ""]
    assert shown.of_machines(alice.workspace_id, names) == dict.fromkeys(names[:2], run.pk)
    assert shown.of_machines(uuid.uuid4(), names) == {}
    assert "/my/usage/presses" in text(browser.get("/my/usage"))


# --- Webhooks -----------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_rotated(alice, browser):
    form = {"url": OUTSIDE, "name": "Mine", "types": ["run.failed"]}
    made = text(browser.post("/my/webhooks/new", form))
    (one,) = endpoints.of(alice.workspace_id)
    secret = re.search(r"whsec_[\w+/=]+", made)[0]

    assert secret not in text(browser.get(f"/my/webhooks/{one.pk}"))
    rotated = text(browser.post(f"/my/webhooks/{one.pk}/rotate"))

    assert re.search(r"whsec_[\w+/=]+", rotated)[0] != secret
    assert "signed by the old one, too" in rotated
    one.refresh_from_db()
    assert one.old_secret_until is not None


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://10.0.0.7/", "ftp://x", "hook"])
def test_an_address_that_is_not_public_is_refused_at_the_form(alice, browser, url):
    answer = browser.post("/my/webhooks/new", {"url": url, "types": ["run.failed"]})

    assert answer.status_code == 422
    assert "The address" in text(answer) or "the address" in text(answer)
    assert endpoints.of(alice.workspace_id) == []


def test_what_was_sent_is_listed_sent_again_and_tried(alice, browser):
    one, _ = endpoints.make(
        alice.workspace_id, url=OUTSIDE, types=["run.failed"], name="", by=alice.user.pk
    )
    failed = Delivery.objects.create(
        endpoint=one, key="k", type="run.failed", body='{"x":"<b>"}', attempts=10,
        next_try_at=None, last_status=500, last_error="The receiver answered 500.",
    )  # fmt: skip
    page = text(browser.get(f"/my/webhooks/{one.pk}"))
    assert "Given up" in page
    assert "The receiver answered 500." in page
    assert "&lt;b&gt;" in page

    browser.post(f"/my/webhooks/messages/{failed.pk}/resend")
    browser.post(f"/my/webhooks/{one.pk}/test")

    assert Delivery.objects.filter(endpoint=one, next_try_at__isnull=False).count() == 2
    browser.post(f"/my/webhooks/{one.pk}", {"types": ["credits.low"]})
    one.refresh_from_db()
    assert one.events == ["credits.low"]
    assert browser.post(f"/my/webhooks/{one.pk}", {"types": ["no.such"]}).status_code == 400


def test_one_that_we_switched_off_says_why_and_is_switched_on_again(alice, browser):
    one, _ = endpoints.make(
        alice.workspace_id, url=OUTSIDE, types=["run.failed"], name="", by=alice.user.pk
    )
    sending.switch_off(one, reason=sending.GONE)
    page = text(browser.get(f"/my/webhooks/{one.pk}"))
    assert sending.GONE in page
    assert "We switched it off" in page
    browser.post(f"/my/webhooks/{one.pk}/test")
    assert not Delivery.objects.filter(endpoint=one).exists()
    assert browser.post(f"/my/webhooks/{one.pk}/switch", {"on": "maybe"}).status_code == 400

    browser.post(f"/my/webhooks/{one.pk}/switch", {"on": "yes"})

    one.refresh_from_db()
    assert (one.off_at, one.off_reason) == (None, "")
    browser.post(f"/my/webhooks/{one.pk}/switch", {"on": "no"})
    one.refresh_from_db()
    assert one.off_at is not None
    browser.post(f"/my/webhooks/{one.pk}/remove")
    assert not Endpoint.objects.filter(pk=one.pk).exists()


def test_webhooks_are_for_who_sees_all_of_the_workspace(studio):
    for method, path in (("get", ""), ("get", "/new"), ("post", "/new")):
        assert getattr(studio.member, method)(f"/my/webhooks{path}").status_code == 403
    assert studio.owner.get("/my/webhooks").status_code == 200


# --- Preferences --------------------------------------------------------------------------------


def test_an_owner_says_what_holds_for_all_runs_and_reads_it_back(alice, browser):
    machine_of(alice.workspace_id)
    path = "/my/runs/preferences"
    said = {"keep_days": "3", "max_micros": "0.50", "accelerator": "T4", "drops_workflows": "on"}

    saved = browser.post(path, said)
    page = text(browser.get(path))
    refused = browser.post(path, {**said, "keep_days": "31"})

    assert (saved.status_code, saved["Location"]) == (302, path)
    found = preferences.of(alice.workspace_id)
    assert (found.keep_days, found.max_micros, found.drops_workflows) == (3, 500_000, True)
    assert not found.leaves_in_files
    assert found.accelerator == "T4"
    assert 'value="0.50"' in page
    assert "From 1 to 30. Empty: 7." in page
    assert refused.status_code == 400
    assert preferences.of(alice.workspace_id) == found


def test_what_holds_for_all_runs_is_not_a_members_to_say(alice, browser):
    Membership.objects.filter(workspace_id=alice.workspace_id).update(role="member")

    page = text(browser.get("/my/runs/preferences"))
    refused = browser.post("/my/runs/preferences", {"keep_days": "1"})

    assert "Owner or billing of the workspace may change them." in page
    assert "Save the preferences" not in page
    assert refused.status_code == 403
    assert preferences.of(alice.workspace_id).keep_days is None


def test_a_workflows_form_begins_with_what_its_workspace_prefers(alice, browser):
    machine_of(alice.workspace_id)
    preferences.change(
        alice.workspace_id, {"max_micros": 70_000, "accelerator": "T4"}, by=alice.user.pk
    )
    made = workflows.make(alice.workspace_id, name="Poster", graph=GRAPH, by=alice.user.pk)

    page = text(browser.get(f"/my/workflows/{made.pk}"))
    browser.post(f"/my/workflows/{made.pk}", filled(browser.get(f"/my/workflows/{made.pk}"),
                 accelerator="any", most="0.07"))  # fmt: skip

    assert 'value="0.07"' in page
    assert '<option value="T4" selected>' in page
    run = Run.objects.get(workspace_id=alice.workspace_id)
    assert (run.accelerator, run.max_micros) == ("", 70_000)


# --- Files that are picked ----------------------------------------------------------------------

TWO = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
}


@pytest.fixture
def form(alice, browser, settings, tmp_path):
    """Where a workflow with two pictures is filled in, and what a browser sends of it."""
    settings.DATA_DIR = tmp_path
    machine_of(alice.workspace_id, shared_inputs=["example.png"])
    made = workflows.make(alice.workspace_id, name="Two", graph=TWO, by=alice.user.pk)
    path = f"/my/workflows/{made.pk}"
    page = browser.get(path)
    assert 'enctype="multipart/form-data"' in text(page)
    assert 'type="file" name="file-in0"' in text(page)
    assert "Or a file of yours: LoadImage: image" in text(page)
    return path, filled(page)


def png(name="cat.png", content=b"\x89PNG one"):
    return SimpleUploadedFile(name, content, "image/png")


def test_a_picked_file_is_kept_and_runs_in_the_place_of_what_was_named(alice, browser, form):
    path, fields = form

    answer = browser.post(path, {**fields, "file-in0": png()})

    run = Run.objects.get(workspace_id=alice.workspace_id)
    asset = Asset.objects.get(workspace_id=alice.workspace_id)
    assert answer["Location"] == f"/my/runs/{run.pk}"
    assert (asset.file_path, asset.content_type, asset.size_bytes) == ("cat.png", "image/png", 8)
    assert run.graph["1"]["inputs"]["image"] == "cat.png"
    assert run.graph["2"]["inputs"]["image"] == "example.png"
    assert run.files == {"input/cat.png": {"asset": str(asset.pk)}}
    with assets.opened(asset) as kept:
        assert kept.read() == b"\x89PNG one"


def test_the_button_pressed_twice_is_one_run_and_other_bytes_are_another(alice, browser, form):
    path, fields = form

    first, again = (browser.post(path, {**fields, "file-in0": png()}) for _ in range(2))
    other = browser.post(path, {**fields, "file-in0": png(content=b"\x89PNG two")})

    assert first["Location"] == again["Location"] != other["Location"]
    assert Run.objects.filter(workspace_id=alice.workspace_id).count() == 2
    assert Asset.objects.filter(workspace_id=alice.workspace_id).count() == 2


def test_two_files_of_one_name_stay_two(alice, browser, form):
    path, fields = form

    browser.post(path, {**fields, "file-in0": png(), "file-in1": png(content=b"other")})

    run = Run.objects.get(workspace_id=alice.workspace_id)
    names = [run.graph[node]["inputs"]["image"] for node in ("1", "2")]
    assert names == ["cat.png", "in1/cat.png"]
    sizes = [Asset.objects.get(pk=run.files[f"input/{name}"]["asset"]).size_bytes for name in names]
    assert sizes == [8, 5]


def test_a_run_is_run_again_with_another_file_of_the_same_name(alice, browser, form):
    path, fields = form
    browser.post(path, {**fields, "file-in0": png()})
    before = Run.objects.get(workspace_id=alice.workspace_id)
    again = f"/my/runs/{before.pk}/again"

    browser.post(again, {**filled(browser.get(again)), "file-in0": png(content=b"newer")})

    after = Run.objects.filter(workspace_id=alice.workspace_id).exclude(pk=before.pk).get()
    assert after.graph == before.graph
    newer = Asset.objects.get(pk=after.files["input/cat.png"]["asset"])
    assert (newer.size_bytes, str(newer.pk)) != (8, before.files["input/cat.png"]["asset"])


@pytest.mark.parametrize("name", ["cat.png", "cat.png [input]"])
def test_of_a_run_that_was_only_files_that_are_named_still_are_brought(alice, browser, form, name):
    """One whose time is over would refuse it for ever, one of an address be fetched for nobody."""
    path, fields = form
    browser.post(path, {**fields, "file-in0": png(), "file-in1": png("dog.png")})
    before = Run.objects.get(workspace_id=alice.workspace_id)
    before.graph["1"]["inputs"]["image"] = name
    before.files["input/cat.png"] = {"url": "https://8.8.8.8/cat.png"}
    before.save()
    Asset.objects.filter(file_path="dog.png").update(expires_at=timezone.now())
    again = f"/my/runs/{before.pk}/again"
    fields = filled(browser.get(again))
    assert "Upload it again" in text(browser.post(again, fields))

    answer = browser.post(again, {**fields, "file-in1": png("fox.png")})

    after = Run.objects.get(pk=answer["Location"].rpartition("/")[2])
    assert set(after.files) == {"input/cat.png", "input/fox.png"}
    answer = browser.post(again, {**fields, "file-in0": png("elk.png"), "file-in1": png("fox.png")})
    after = Run.objects.get(pk=answer["Location"].rpartition("/")[2])
    assert set(after.files) == {"input/elk.png", "input/fox.png"}


@pytest.mark.parametrize(
    ("file", "said"),
    [(png(content=b""), "empty"), (png(name="a:b.png"), "A file is named like cat.png")],
)
def test_a_file_that_cannot_be_kept_is_refused_at_its_form(alice, browser, form, file, said):
    path, fields = form

    page = browser.post(path, {**fields, "file-in0": file})

    assert page.status_code == 400
    assert said in text(page)
    assert not Run.objects.filter(workspace_id=alice.workspace_id).exists()


def test_a_form_with_a_file_may_be_as_large_as_a_file_may_be():
    run = uuid.uuid4()
    for path in (f"/my/workflows/{run}", f"/my/runs/{run}/again"):
        assert bodies.is_form(path)
    for path in ("/my/workflows/new", f"/my/runs/{run}/cancel", f"/my/workflows/{run}/remove"):
        assert not bodies.is_form(path)


def test_a_run_on_a_machine_is_given_a_project_with_its_calls_under_both_names(alice, signed_in):
    made = run_of(alice.workspace_id, alice.user.pk)
    its = [call_of(alice, run_id=str(each)) for each in (made.pk, made.prompt_id)]
    waiting = run_of(alice.workspace_id, alice.user.pk, state="queued")
    browser = signed_in(alice)

    answer = browser.post(
        "/my/usage/project", {"run": made.pk, "project": "Kite film", "at_run": made.pk}
    )
    early = browser.post("/my/usage/project", {"run": waiting.pk, "project": "x"})

    assert answer["Location"] == f"/my/runs/{made.pk}"
    assert 'value="Kite film"' in text(browser.get(answer["Location"]))
    assert {Call.objects.get(pk=each.pk).project for each in its} == {"Kite film"}
    assert early.status_code == 400
