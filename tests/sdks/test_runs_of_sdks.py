"""Clients of ComfyUI and of Comfy's own API: each hands a workflow over to the platform."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import comfy_sdk
import pytest
from comfy_sdk import Comfy

BASE, KEY = os.environ["SDK_RUNS"], os.environ["SDK_RUNS_KEY"]
PNG = b"\x89PNG\r\n\x1a\n"


def graph(**first):
    return {
        "1": {"class_type": "EmptyImage", "inputs": {
            "width": 32, "height": 32, "batch_size": 1, "color": secrets.randbelow(1 << 24),
        }, **first},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
    }  # fmt: skip


@pytest.fixture
def comfy(monkeypatch):
    monkeypatch.setenv("COMFY_BASE_URL", BASE)
    with Comfy(api_key=KEY) as client:
        yield client


def test_comfys_own_library_runs_a_workflow_and_finds_it_again(comfy):
    job = comfy.run(comfy.workflows.from_json(graph()))

    (output,) = job.get_outputs("9")
    assert job.status == "succeeded"
    assert output.to_bytes().startswith(PNG)
    assert comfy.jobs.get(job.id).get_workflow().graph["9"]["class_type"] == "SaveImage"
    assert job.id in [each.id for each in comfy.list_jobs()]


def test_comfys_own_library_hears_what_happens(comfy):
    slow = graph()
    slow["2"] = {"class_type": "DemoSleep", "inputs": {"image": ["1", 0], "seconds": 2.0}}
    slow["9"]["inputs"]["images"] = ["2", 0]
    job = comfy.submit(comfy.workflows.from_json(slow))

    kinds = [type(event).__name__ for event in job.events()]

    assert {"StatusChange", "Progress", "OutputReady"} <= set(kinds)
    assert job.wait(60).status == "succeeded"


def test_comfys_own_library_brings_a_file_along(comfy):
    picture = comfy.run(comfy.workflows.from_json(graph())).get_outputs("9")[0].to_bytes()
    negative = {
        "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
    }
    workflow = comfy.workflows.from_json(negative)
    workflow.set_input(
        "1", "image", comfy.assets.from_stream(io.BytesIO(picture), filename="cat.png")
    )

    job = comfy.run(workflow)

    assert job.get_outputs("9")[0].to_bytes() not in (b"", picture)


def test_comfys_own_library_sends_known_bytes_once(comfy, monkeypatch):
    content = uuid.uuid4().bytes * 1000
    first, again = (
        comfy.assets.from_stream(io.BytesIO(content), filename=name) for name in ("a.bin", "b.bin")
    )
    digest = first.hash
    first.commit()
    assert (first.hash, first.created_new, digest[:7]) == (digest, True, "blake3:")

    monkeypatch.setattr(again._low, "post_assets", None)  # To send it would be a mistake here.
    again.commit()

    assert (again.hash, again.id != first.id) == (digest, True)


def test_comfys_own_library_cancels(comfy):
    slow = graph()
    slow["2"] = {
        "class_type": "DemoSleep", "inputs": {"image": ["1", 0], "seconds": 60.0, "steps": 600},
    }  # fmt: skip
    slow["9"]["inputs"]["images"] = ["2", 0]
    job = comfy.submit(comfy.workflows.from_json(slow))

    job.cancel()

    assert job.wait(60).status == "canceled"


def test_comfys_own_library_names_what_is_wrong(comfy):
    wrong = graph()
    wrong["9"]["class_type"] = "NoSuchNode"
    with pytest.raises(comfy_sdk.InvalidWorkflow, match="NoSuchNode"):
        comfy.run(comfy.workflows.from_json(wrong))
    with pytest.raises(comfy_sdk.WorkflowFormatUi):
        comfy.run(comfy.workflows.from_json({"nodes": [], "links": []}))


@pytest.fixture(scope="session")
def address():
    """Return the address that stands for the key."""
    asked = urllib.request.Request(f"{BASE}/v1/run-address", headers={"X-API-KEY": KEY})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)["address"]


@pytest.mark.parametrize("script", ["comfy", "comfy-ui-client", "stable-canvas"])
def test_a_library_for_javascript_runs_a_workflow(script, address):
    folder, node = os.environ.get("SDK_SCRIPTS"), shutil.which("node")
    if not folder or node is None:
        pytest.skip("needs node and npm")
    place = BASE if script == "comfy" else address
    words = [node, str(Path(folder) / f"{script}.mjs"), place, KEY, f"{secrets.randbelow(1 << 24)}"]

    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["size"] > 0
    assert told.get("name", "made_").startswith("made_")


def test_comfys_command_runs_a_workflow(tmp_path):
    """By its way to Comfy's cloud, of which the address is a variable."""
    (tmp_path / "workflow.json").write_text(json.dumps(graph()))
    told = {
        **os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
        "COMFY_CLOUD_BASE_URL": f"{BASE}/comfy", "COMFY_CLOUD_API_KEY": KEY, "DO_NOT_TRACK": "1",
    }  # fmt: skip
    words = ["comfy", "--skip-prompt", "run", "--where", "cloud", "--workflow", "workflow.json"]

    done = subprocess.run(
        [shutil.which("comfy", path=str(Path(sys.executable).parent)), *words[1:], "--wait"],
        cwd=tmp_path, env=told, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
