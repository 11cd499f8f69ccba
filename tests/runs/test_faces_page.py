"""The examples of docs/runs.md, each run as it stands there, on the site and a demo machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from PIL import Image
from runs_live import live

from apikeys.models import ApiKey
from runs.models import Run

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs/runs.md"
PROGRAMS = {"sh": ("bash", "-euo", "pipefail", "-c"), "js": ("node", "--input-type=module", "-e")}
PROGRAMS["python"] = (sys.executable, "-c")
EXAMPLES = {
    heading: (language, code)
    for heading, language, code in re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?^```(\w+)\n(.*?)^```$",
        PAGE.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
}
FACES = {
    "Comfy API v2": "v2",
    "ComfyICU": "icu",
    "ModelsLab": "modelslab",
    "ComfyUI itself": "native",
}


def test_each_face_has_an_example():
    assert list(EXAMPLES) == list(FACES)
    assert PAGE.read_text("utf-8").count("```") == 2 * len(FACES)


@pytest.fixture
def said(stage, ada, settings, tmp_path):
    """What the example of a face says, in a folder of its own, and the run that it made."""
    settings.ALLOWED_HOSTS = ["*"]
    ApiKey.objects.filter(pk=ada.api_key_record.pk).update(scopes=["runs"])
    stage.worker(ada)
    stage.start()

    def run(heading):
        language, code = EXAMPLES[heading]
        program = PROGRAMS[language]
        if shutil.which(program[0]) is None:
            pytest.skip(f"{program[0]} is not here")
        known = {"PATH": os.environ["PATH"], "BASE": base, "KEY": ada.key, "HOME": str(tmp_path)}
        done = subprocess.run(
            [*program, code], cwd=tmp_path, env=known, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        made = Run.objects.get(workspace_id=ada.workspace_id)
        assert (made.face, made.state) == (FACES[heading], "succeeded")
        return done.stdout, made

    with live() as base:
        yield run


def test_comfy_api_v2(said, tmp_path):
    out, run = said("Comfy API v2")

    assert run.metadata == {"for": "the docs"}
    assert out.rstrip().endswith('data: {"status":"succeeded"}')
    assert Image.open(tmp_path / "blue.png").convert("RGB").getpixel((0, 0)) == (0, 0, 255)


def test_comfyicu(said):
    out, _ = said("ComfyICU")

    status, _, url = out.split()
    assert status == "COMPLETED"
    assert requests.get(url, timeout=30).headers["Content-Type"] == "image/png"


def test_modelslab(said):
    out, run = said("ModelsLab")

    answer = json.loads(out)
    assert (answer["status"], answer["id"]) == ("success", str(run.pk))
    assert answer["track_id"] == "order-7"
    got = requests.get(answer["output"][0], timeout=30, stream=True).raw
    assert Image.open(got).convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_comfyui_itself(said, tmp_path):
    out, _ = said("ComfyUI itself")

    name = out.split()[0]
    assert Image.open(tmp_path / name).convert("RGB").getpixel((0, 0)) == (0, 255, 0)
