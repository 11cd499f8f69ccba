"""The vendor whose library is for JavaScript: a script of ours calls it, and tells what came."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def run(sandbox):
    """Run a script against a vendor's stand-in; return what it tells."""
    folder, node = os.environ.get("SDK_SCRIPTS"), shutil.which("node")
    if not folder or node is None:
        pytest.skip("needs node and npm")

    def told(name: str, vendor: str, key: str = "") -> dict:
        words = [node, str(Path(folder) / name), sandbox.at(vendor), key or sandbox.key]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return told


def test_quiver_draws_and_traces(run):
    told = run("quiver.mjs", "quiver")

    assert [made["mimeType"] for made in told["drawn"]["data"]] == ["image/svg+xml"] * 2
    assert told["traced"]["data"][0]["svg"].startswith("<svg ")
    assert told["drawn"]["usage"]["totalTokens"] > 0


def test_quiver_says_what_is_wrong(run):
    told = run("quiver.mjs", "quiver", "another")

    assert (told["drawn"]["status"], told["drawn"]["code"]) == (401, "invalid_api_key")
