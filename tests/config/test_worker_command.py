"""`manage.py worker`: each change is somebody's, takes effect, and no token is ever shown."""

import io
import json
import uuid

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import User
from accounts.signup import sign_up
from audit.models import Event
from desk import roles
from runs import workers
from runs.models import Trace

TOKEN = "token-of-a-machine-4711"
URL = "http://10.0.0.7:8188"


@pytest.fixture
def grace(db):
    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    roles.assign(user, ["operations"], by=None)
    return user


@pytest.fixture
def do(grace, monkeypatch):
    """Run an action of grace's; return what it printed."""

    def run(*words, given="", plain=False):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        who = () if words == ("list",) else ("--by", grace.email, "--reason", "more of them")
        out = io.StringIO()
        call_command("worker", *words, *who, *(() if plain else ("--json",)), stdout=out)
        return out.getvalue() if plain else json.loads(out.getvalue())

    return run


def add(do, *more, name="gpu-1", url=URL, **rest):
    words = ("--accelerator", "L4", "--per-second", "0.0004", *more)
    return do("add", name, url, *words, **rest)


def test_a_machine_has_its_whole_life_by_command(do, grace, alice):
    add(do, "--slots", "2", "--for", f"{alice.workspace_id}", "--token", given=f"{TOKEN}\n")

    (row,) = do("list")
    assert (row["name"], row["slots"], row["micros_per_second"]) == ("gpu-1", 2, 400)
    assert (row["state"], row["health"], row["runs"]) == ("active", "unknown", 0)
    assert workers.token_of(workers.find("gpu-1")) == TOKEN
    assert list(workers.open_to(alice.workspace_id)) == [workers.find("gpu-1")]
    assert list(workers.open_to(uuid.uuid4())) == []

    assert do("drain", "gpu-1")["done"] == "gets no new runs"
    assert do("drain", "gpu-1")["done"] == "got none before"
    assert list(workers.open_to(alice.workspace_id)) == []
    assert do("back", "gpu-1")["done"] == "gets runs again"
    do("remove", "gpu-1")
    assert do("list") == []

    done = ["worker.added", "worker.drained", "worker.taken_back", "worker.removed"]
    noted = Event.objects.filter(target="gpu-1", actor_id=grace.pk).order_by("pk")
    assert [each.action for each in noted] == done
    assert {each.reason for each in noted} == {"more of them"}


def test_no_token_is_shown(do):
    add(do, "--token", given=f"{TOKEN}\n")

    assert "$0.0004 a second  unknown" in do("list", plain=True)
    assert TOKEN not in do("list", plain=True) + json.dumps(do("list"))
    assert TOKEN not in f"{list(Event.objects.values())}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drain", "gpu-9"), "no worker 'gpu-9'"),
        (("add", "gpu-2", URL, "--accelerator", "L4", "--per-second", "x"), "not an amount"),
        (("add", "gpu-2", URL, "--accelerator", "L 4", "--per-second", "1"), "a label like"),
        (("add", "gpu-2", "gpu-2:8188", "--accelerator", "L4", "--per-second", "1"), "base_url"),
        (("add", "gpu-1", URL, "--accelerator", "L4", "--per-second", "1"), "There is a worker"),
        (
            ("add", "gpu-2", URL, "--accelerator", "L4", "--per-second", "1", "--slots", "0"),
            "slots: from 1",
        ),
        (
            ("add", "g", "http://h", "--accelerator", "L4", "--per-second", "1", "--for", "x"),
            "no workspace 'x'",
        ),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(do, words, said):
    add(do)

    with pytest.raises(CommandError, match=said):
        do(*words)

    assert [each["name"] for each in do("list")] == ["gpu-1"]


def test_what_is_left_to_wipe_is_told_by_the_list_and_by_the_removal(do):
    add(do)
    add(do, "--keep-files", name="gpu-2", url="http://10.0.0.8:8188")
    worker = workers.find("gpu-1")
    Trace.objects.create(
        prompt_id=uuid.uuid4(), worker=worker, run_id=uuid.uuid4(), workspace_id=uuid.uuid4()
    )

    listed = {each["name"]: (each["wiped"], each["to_wipe"]) for each in do("list")}
    assert (listed["gpu-1"], listed["gpu-2"]) == ((True, 1), (False, 0))
    assert "1 to wipe" in do("list", plain=True)
    assert "files of 1 runs are on it still" in do("remove", "gpu-1")["done"]
    assert do("remove", "gpu-2")["done"] == "is removed"


def test_what_runs_on_a_machine_and_how_it_is_asked_is_said_by_command(do):
    add(do, "--token", "--user", "us", "--allow", "Load*", "--allow", "Save*", "--deny", "LoadX",
        "--shared-input", "a.png", given=f"{TOKEN}\n")  # fmt: skip

    (row,) = do("list")
    assert (row["allowed_classes"], row["denied_classes"]) == (["Load*", "Save*"], ["LoadX"])
    assert row["shared_inputs"] == ["a.png"]
    made = workers.find("gpu-1")
    assert (made.is_basic, workers.token_of(made)) == (True, f"us:{TOKEN}")
    assert TOKEN not in json.dumps(row) + f"{list(Event.objects.values())}"


def test_a_proxys_nodes_are_handed_over_by_command(do, tmp_path):
    file = tmp_path / "object_info.json"
    file.write_text('{"SaveImage": {"output_node": true}}')
    add(do, "--nodes", str(file))
    assert do("nodes", "gpu-1", str(file))["done"] == "had these before"
    file.write_text('{"SaveImage": {"output_node": true}, "Upscale": {}}')

    assert do("nodes", "gpu-1", str(file))["done"] == "has these nodes from now on"

    assert workers.find("gpu-1").nodes.classes == ["SaveImage", "Upscale"]
