"""What a run left on its machine is wiped there, and nobody misses it."""

import uuid
from pathlib import Path

import pytest
from PIL import Image
from runs_stage import ended, picture, reached, slow, submit, until

from common import failpoints
from runs import assets, core, isolation, scrubbing
from runs.models import Output, Run, Trace, Worker
from runs.native import Away, Native
from runs.runner import Leader

pytestmark = pytest.mark.slow


def wiped(run):
    """Wait until nothing of a run is to be wiped any more."""
    until(lambda: not Trace.objects.filter(run_id=run.pk).exists())


def files(tmp_path, machine, kind="output"):
    """What lies in a folder of a machine: how large each file is."""
    home = tmp_path / machine.name / kind
    return {
        each.relative_to(home).as_posix(): each.stat().st_size
        for each in home.rglob("*")
        if each.is_file() and each.name != "example.png"
    }


def kept(member, tmp_path, name="cat.png", rgb=(1, 2, 3)):
    arrived = tmp_path / f"{uuid.uuid4().hex}.png"
    Image.new("RGB", (20, 10), rgb).save(arrived)
    return assets.keep(
        member.workspace_id, user_id=member.user.pk, file_path=name, content_type="image/png",
        arrived=arrived,
    )  # fmt: skip


def reading(name="cat.png", seconds=0.0):
    """One that reads a file, and takes a while."""
    graph = slow(seconds)
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    return graph


def test_files_and_history_of_a_run_are_empty_there_and_whole_here(stage, ada, tmp_path):
    machine = stage.worker(ada)
    kept(ada, tmp_path)
    graph = reading()
    graph["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    stage.start()

    run = ended(submit(ada, graph))
    wiped(run)

    token = isolation.token(ada.workspace_id)
    (read,) = files(tmp_path, machine, "input").items()
    assert (read[0].startswith(f"mc/{token}/"), read[1]) == (True, 0)
    assert files(tmp_path, machine) == {f"mc/{token}/made_00001_.png": 0}
    assert list(files(tmp_path, machine, "temp").values()) == [0]
    assert stage.servers[machine.name].engine.history == {}
    made = core.outputs(ada.workspace_id, run.pk)
    assert {each.kind for each in made} == {"output", "temp"}
    for each in made:
        with assets.opened(each) as content:
            assert Image.open(content).size in {(20, 10)}


def test_the_same_again_is_given_from_here_for_nothing(stage, ada, tmp_path):
    machine = stage.worker(ada, per_second=10_000)
    stage.start()
    graph = slow(0.3)
    first = ended(submit(ada, graph))
    wiped(first)

    # Other names of nodes are the same to a machine.
    renamed = {"a": graph["1"], "b": graph["2"], "c": graph["9"]}
    renamed = {
        **renamed,
        "b": {**graph["2"], "inputs": {**graph["2"]["inputs"], "image": ["a", 0]}},
    }
    renamed["c"] = {**graph["9"], "inputs": {**graph["9"]["inputs"], "images": ["b", 0]}}
    for again in (ended(submit(ada, graph)), ended(submit(ada, renamed))):
        assert (again.state, again.charged_micros, again.outputs_reused) == ("succeeded", 0, True)
        (before,), (now,) = (core.outputs(ada.workspace_id, x.pk) for x in (first, again))
        assert (before.sha256, before.name) == (now.sha256, now.name)
        assert now.size_bytes > 0
    assert set(files(tmp_path, machine).values()) == {0}


def test_what_is_gone_here_too_is_made_once_more(stage, ada):
    stage.worker(ada, per_second=10_000)
    stage.start()
    first = ended(submit(ada, slow(0.3)))
    wiped(first)
    Output.objects.filter(run=first).delete()

    again = agrees_with(ended(submit(ada, slow(0.3))), ada, first)

    assert (again.state, again.attempts, again.outputs_reused) == ("succeeded", 2, False)
    assert again.gpu_ms >= 300
    (made,) = core.outputs(ada.workspace_id, again.pk)
    assert made.size_bytes > 0


def agrees_with(run, member, before):
    from credits.models import Entry

    paid = Entry.objects.filter(debit_id=member.workspace_id, kind="call")
    assert sum(paid.values_list("amount_micros", flat=True)) == (
        before.charged_micros + run.charged_micros
    )
    assert member.now().held_micros == 0
    return run


def test_another_file_of_that_name_is_never_given_for_it(stage, ada, tmp_path):
    """Its operator took files away, so a later one got an earlier one's name."""
    machine = stage.worker(ada)
    stage.start()
    wiped(ended(submit(ada, picture(1))))
    for each in (tmp_path / machine.name / "output").rglob("*.png"):
        each.unlink()
    wiped(ended(submit(ada, picture(2))))

    run = ended(submit(ada, picture(1)))

    (made,) = core.outputs(ada.workspace_id, run.pk)
    assert made.name == "made_00001_.png"
    with assets.opened(made) as content:
        assert Image.open(content).getpixel((0, 0)) == (0, 0, 1)


def test_a_file_that_another_run_there_reads_stays_until_that_has_ended(stage, ada, tmp_path):
    machine = stage.worker(ada, slots=2)
    kept(ada, tmp_path)
    stage.start()
    first = submit(ada, reading(seconds=1.0))
    until(lambda: Trace.objects.filter(run_id=first.pk).exclude(inputs=[]).exists())
    second = submit(ada, reading(seconds=600.0))
    until(lambda: Trace.objects.filter(run_id=second.pk).exclude(inputs=[]).exists())

    ended(first)
    wiped(first)
    assert not Run.objects.get(pk=second.pk).has_ended
    assert list(files(tmp_path, machine, "input").values()) != [0]

    core.cancel(ada.workspace_id, second.pk, by=ada.user.pk)
    ended(second)
    wiped(second)
    assert list(files(tmp_path, machine, "input").values()) == [0]


def test_what_a_runner_left_that_died_after_the_end_its_follower_wipes(
    stage, ada, tmp_path, monkeypatch
):
    machine = stage.worker(ada)
    kept(ada, tmp_path)
    with monkeypatch.context() as dying:
        dying.setattr(Leader, "_wipe", lambda self: None)
        stage.start()
        run = ended(submit(ada, reading()))
        stage.stop()
    assert scrubbing.left(machine) == 1
    assert 0 not in files(tmp_path, machine).values()

    stage.servers[machine.name].engine.history.clear()  # It was started anew.
    stage.start()

    wiped(run)
    assert set(files(tmp_path, machine, "input").values()) == {0}
    assert set(files(tmp_path, machine).values()) == {0}


def test_one_that_dies_before_it_notes_that_all_is_wiped_wipes_it_again(stage, ada, monkeypatch):
    machine = stage.worker(ada)
    dead = []

    def dies(name):
        if name == "run.wiped" and not dead:
            dead.append(name)
            raise RuntimeError("it dies here")

    monkeypatch.setattr(failpoints, "reached", dies)
    stage.start()

    run = ended(submit(ada, picture()))

    wiped(run)
    assert dead
    assert scrubbing.left(machine) == 0


def test_what_a_lost_try_left_is_wiped_once_its_machine_is_back(stage, ada, tmp_path):
    machine = stage.worker(ada)
    kept(ada, tmp_path)
    stage.start(away_seconds=1.0)
    run = reached(submit(ada, reading(seconds=60.0)), "running")
    stage.cut(machine)
    until(
        lambda: (
            Run.objects.get(pk=run.pk).attempts == 1
            and Run.objects.get(pk=run.pk).worker_id is None
        )
    )
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    assert scrubbing.left(machine) == 1

    stage.join(machine)

    wiped(run)
    assert set(files(tmp_path, machine, "input").values()) == {0}


def test_where_wiping_does_not_come_off_it_is_tried_later_and_counted(stage, ada, monkeypatch):
    machine = stage.worker(ada)

    async def refuses(self, kind, subfolder, name):
        raise Away("/upload/image answered 400")

    monkeypatch.setattr(Native, "blank", refuses)
    stage.start()
    run = ended(submit(ada, picture()))

    trace = until(lambda: Trace.objects.filter(run_id=run.pk, misses=1).first())
    assert trace.again_at > trace.created_at
    assert scrubbing.left(machine) == 1
    Trace.objects.all().update(misses=30)
    scrubbing._missed(Trace.objects.get(pk=trace.pk))
    assert Trace.objects.get(pk=trace.pk).misses == 31


def test_a_machine_whose_operator_wipes_it_himself_is_left_alone(stage, ada, tmp_path):
    machine = stage.worker(ada, scrubs=False)
    stage.start()

    run = ended(submit(ada, picture()))

    assert not Trace.objects.filter(run_id=run.pk).exists()
    assert set(files(tmp_path, machine).values()) != {0}


def test_what_lies_on_a_machine_that_is_removed_is_nobodys_of_ours(stage, ada):
    from accounts.models import User
    from runs import workers

    machine = stage.worker(ada)
    stage.start()
    run = reached(submit(ada, slow(30.0)), "running")
    by = User.objects.create(email=f"{uuid.uuid4().hex}@example.org", is_staff=True)

    workers.remove(machine.name, by=by.pk, reason="test")

    until(lambda: Run.objects.get(pk=run.pk).state == "queued")
    wiped(run)
    core.cancel(ada.workspace_id, run.pk, by=ada.user.pk)
    assert Worker.objects.get(pk=machine.pk).state == "removed"


def test_only_the_workspaces_own_files_are_ever_written_over():
    from runs import reading as read

    token = "a" * 32
    named = [
        read.Named("1", "images", "a.png", f"mc/{token}", "output"),
        read.Named("1", "images", "b.png", f"mc/{token}/x", "output"),
        read.Named("1", "images", "c.png", f"mc/{'b' * 32}", "output"),
        read.Named("1", "images", "d.png", "", "output"),
        read.Named("1", "images", "../e.png", f"mc/{token}", "output"),
        read.Named("1", "images", "f.png", f"mc/{token}/../x", "output"),
        read.Named("1", "images", "g.png", "", "temp"),
        read.Named("1", "images", "../h.png", "", "temp"),
        read.Named("1", "images", "i.png", "..", "temp"),
        read.Named("1", "images", "example.png", "", "input"),
        read.Named("1", "images", "j" * 1001, f"mc/{token}", "output"),
        read.Named("1", "text", "k.txt", kind="text", text="k"),
    ]

    assert [Path(name).stem for _, _, name in scrubbing._its_own(named, [token])] == ["a", "b", "g"]
