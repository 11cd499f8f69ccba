"""Workspaces that share a machine: what one tries, to come at what is another's."""

import io
import json
import uuid

import pytest
from PIL import Image
from runs_by_hand import submitted, worker
from runs_stage import ended, picture, slow, submit

from common.errors import AccessDisabled, InvalidRequest, InvalidWorkflow
from credits.models import Hold
from runs import assets, core, isolation, shown, workers
from runs.models import Output, Run, RunEvent


def keep(member, path, color, tmp_path):
    arrived = tmp_path / uuid.uuid4().hex
    Image.new("RGB", (8, 8), color).save(arrived, "PNG")
    return assets.keep(
        member.workspace_id,
        user_id=member.user.pk,
        file_path=path,
        content_type="image/png",
        arrived=arrived,
    )


def loading(value, **more):
    """A graph that inverts a file."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": value}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "made"},
        },
        **more,
    }


def saving(prefix):
    graph = picture()
    graph["9"]["inputs"]["filename_prefix"] = prefix
    return graph


def saying(words):
    """One whose node is told a text that names no file, as far as anybody knows."""
    graph = picture()
    graph["5"] = {"class_type": "DemoFail", "inputs": {"image": ["1", 0], "words": words}}
    return graph


def colors(run):
    found = []
    for each in core.outputs(run.workspace_id, run.pk):
        with assets.opened(each) as content:
            found.append(Image.open(io.BytesIO(content.read())).getpixel((0, 0)))
    return found


@pytest.fixture
def shared(committed, ada, bob, tmp_path):
    """A machine of both, where ada has a file."""
    worker(ada, bob)
    return keep(ada, "cat.png", (1, 2, 3), tmp_path)


def places(asset, ada):
    """Where ada's file lies on the machine, if somebody should learn of it."""
    return isolation.staged_path(isolation.token(ada.workspace_id), asset.sha256, "cat.png")


FILES = {
    "by its name": lambda place: "cat.png",
    "by its place": lambda place: place,
    "by its place, said to be an input": lambda place: f"{place} [input]",
    "by a longer way": lambda place: f"./{place}",
    "by a way up": lambda place: f"x/../{place}",
    "by a way from above": lambda place: f"../input/{place}",
    "by a whole path": lambda place: f"/opt/ComfyUI/input/{place}",
    "by another system's path": lambda place: place.replace("/", "\\"),
    "by a drive": lambda place: f"C:\\{place}",
    "among what was made": lambda place: "made_00001_.png [output]",
    "among what was made, without a space": lambda place: "made_00001_.png[output]",
    "among what was made, by a name that all may load": lambda place: "example.png [output]",
    "among what is passing": lambda place: "ComfyUI_temp_abcde_00001_.png [temp]",
    "wrapped": lambda place: {"__value__": f"{place}"},
    "wrapped, of what was made": lambda place: {"__value__": "made_00001_.png [output]"},
    "wrapped, one of the machine's own": lambda place: {"__value__": "cat.png"},
    "in a list": lambda place: [place],
    "in a list, one of the machine's own": lambda place: ["cat.png"],
    "by a link": lambda place: ["5", 0],
    "by a link that looks like none": lambda place: ["5", False],
    "by a link of a broken number": lambda place: ["5", 0.0],
    "with a NUL": lambda place: f"cat.png\0{place}",
}


@pytest.mark.parametrize("how", sorted(FILES))
def test_a_file_of_another_workspace_is_not_loaded(shared, ada, bob, how):
    said = FILES[how](places(shared, ada))
    link = {"5": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8}}}

    with pytest.raises(InvalidWorkflow):
        submitted(bob, loading(said, **link))

    assert not Run.objects.filter(workspace_id=bob.workspace_id).exists()
    assert not Hold.objects.filter(account_id=bob.workspace_id).exists()


@pytest.mark.parametrize("number", [False, 0.0, 1, -1])
def test_a_link_names_an_output_by_its_number(shared, bob, number):
    graph = picture()
    graph["9"]["inputs"]["images"] = ["1", number]

    with pytest.raises(InvalidWorkflow, match="linked input"):
        submitted(bob, graph)


TEXTS = {
    "a place": lambda place: place,
    "a place, written otherwise": lambda place: f".//{place}",
    "a place, as another system": lambda place: place.replace("/", "\\"),
    "our folder": lambda place: "mc",
    "a made file": lambda place: "made_00001_.png [output]",
    "a passing file": lambda place: "a.png [temp]",
    "one that is wrapped": lambda place: {"__value__": [{"deep": f"{place}"}]},
}


@pytest.mark.parametrize("what", sorted(TEXTS))
def test_no_text_of_a_graph_names_what_may_be_a_file_there(shared, ada, bob, what):
    with pytest.raises(InvalidWorkflow, match="Invalid file"):
        submitted(bob, saying(TEXTS[what](places(shared, ada))))


@pytest.mark.parametrize(
    "prefix",
    ["../x", "/x", "\\x", "C:x", "a/../../x", "mc/x", "", "x/", ["a", "../../x", "b"], 5,
     {"__value__": "../x"}, ["1", 0], ["1", False]],
)  # fmt: skip
def test_a_file_is_made_nowhere_but_in_the_workspaces_own_folder(shared, bob, prefix):
    with pytest.raises(InvalidWorkflow):
        submitted(bob, saving(prefix))


def test_the_cache_is_parted_by_nobody_but_us(shared, bob):
    graph = picture()
    graph["1"]["inputs"]["_workspace"] = "another's"

    with pytest.raises(InvalidWorkflow, match="the platform's own"):
        submitted(bob, graph)


def test_a_file_of_another_is_not_brought_by_its_id(shared, bob):
    with pytest.raises(InvalidWorkflow, match="There is no such file"):
        submitted(bob, loading("a.png"), files={"input/a.png": {"asset": str(shared.pk)}})


@pytest.mark.parametrize("path", ["input/../x", "output/x", "/etc/passwd", "input/", "models/x"])
def test_a_file_is_put_nowhere_but_among_inputs(shared, ada, path):
    with pytest.raises(InvalidRequest):
        submitted(ada, loading("a.png"), files={path: {"asset": str(shared.pk)}})


@pytest.mark.parametrize(
    "name", ["LoadImageOutput", "LoadImageDataSetFromFolder", "LoadTrainingDataset"]
)
def test_nodes_that_read_whole_folders_do_not_run(committed, ada, name):
    made = worker(ada)
    info = dict(workers.object_info(made))
    workers.note_nodes(made, {**info, name: info["EmptyImage"]})

    with pytest.raises(AccessDisabled, match=name):
        submitted(ada, {**picture(), "7": {"class_type": name, "inputs": {}}})


def test_a_machine_that_is_anothers_takes_nothing(committed, ada, bob):
    worker(bob)

    from common.errors import NoWorker

    with pytest.raises(NoWorker):
        submitted(ada)


@pytest.mark.parametrize(
    ("folder", "own"),
    [("", False), ("mc/t", True), ("mc/t/a/b", True), ("mc/t2", False), ("mc", False),
     ("mc/t/../t2", False), ("mc/t/../../x", False), ("mc/t//x", False), ("mc/t\\..\\t2", False)],
)  # fmt: skip
def test_a_file_that_a_node_reports_is_the_workspaces_own_or_none(folder, own):
    assert isolation.is_own(folder, "t") is own


def test_a_page_offers_what_a_machine_says_and_nothing_that_a_run_brought(committed, ada):
    made = worker(ada)
    info = workers.object_info(made)
    inputs = {
        "sampler": [["euler", "dpm"], {}],
        "lora": ["COMBO", {"options": ["own.safetensors", "mc/another/0123/brought.safetensors"]}],
        "steps": ["INT", {"min": 1}],
        "image": [["example.png"], {"image_upload": True}],
    }
    choosing = {**info["EmptyImage"], "input": {"required": inputs}}
    workers.note_nodes(made, {**info, "Choosing": choosing})
    given = {"sampler": "dpm", "lora": "own.safetensors", "steps": 1, "image": "example.png"}

    found = shown.choices(ada.workspace_id, {"1": {"class_type": "Choosing", "inputs": given}})

    assert found == {
        ("1", "sampler"): ["euler", "dpm"],
        ("1", "lora"): ["own.safetensors"],
        ("1", "image"): shown.FILE,
    }


@pytest.mark.slow
def test_equal_names_never_meet_and_nobody_sees_how_they_are_told_apart(stage, ada, bob, tmp_path):
    stage.worker(ada, bob, per_second=10_000)
    stage.start()
    keep(ada, "image.png", (255, 0, 0), tmp_path)
    keep(bob, "image.png", (0, 255, 0), tmp_path)

    hers, his = submit(ada, loading("image.png")), submit(bob, loading("image.png"))
    hers, his = ended(hers), ended(his)

    assert (hers.state, his.state) == ("succeeded", "succeeded")
    assert (colors(hers), colors(his)) == ([(0, 255, 255)], [(255, 0, 255)])
    for run, member in ((hers, ada), (his, bob)):
        assert run.graph == loading("image.png"), "it is read back as it was sent"
        said = [json.dumps(each.data) for each in RunEvent.objects.filter(run=run)]
        said += [json.dumps([run.messages, run.error_message, run.progress])]
        said += [f"{each.subfolder}/{each.name}" for each in Output.objects.filter(run=run)]
        own = isolation.token(member.workspace_id)
        assert not any(own in each or str(run.prompt_id) in each for each in said)
        assert said[-1] == "/made_00001_.png"


@pytest.mark.slow
def test_what_one_paid_for_is_not_given_to_another_from_the_cache(stage, ada, bob):
    stage.worker(ada, bob, per_second=10_000)
    stage.start()
    ended(submit(ada, slow(0.4)))

    hers, his = ended(submit(ada, slow(0.4))), ended(submit(bob, slow(0.4)))

    assert (hers.outputs_reused, his.outputs_reused) == (True, False)
    assert his.charged_micros > hers.charged_micros == 0


def test_nothing_of_another_is_listed(shared, ada, bob):
    run = submitted(ada, picture(), metadata={"for": "ada"})

    assert core.list_runs(bob.workspace_id) == []
    assert core.list_runs(bob.workspace_id, metadata={"for": "ada"}) == []
    assert core.list_runs(bob.workspace_id, before=run) == []
    assert core.queue_position(submitted(bob, picture())) == 1, "and nobody's queue is told"
    with pytest.raises(Exception, match="no such"):
        assets.one(bob.workspace_id, shared.pk)
