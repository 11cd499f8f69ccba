"""While a version is rolled out, the web process of the one before serves on the new schema.

That is the newest tag; before there is one, the code that the newest migrations came upon. It is
taken out of the history of git: where that is not here, nothing can be asked.
"""

import asyncio
import io
import json
import os
import shutil
import subprocess
import tarfile
import urllib.request

import pytest
from system_stack import CENT, ROOT, prove

MIGRATIONS = ":(glob)*/migrations/*.py"


def git(*words):
    """Return what git says; skip where it cannot."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("there is no history of git here")
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"the history does not reach so far: {done.stderr.decode()[-200:]}")
    return done.stdout


def the_version_before():
    """Return the commit whose programs still run when the new ones begin to."""
    if tag := git("tag", "--merged", "HEAD", "--sort=-creatordate").decode().split():
        return tag[0]
    # Of branches that were joined none ever ran with the migrations of another.
    newest = git("log", "-1", "--first-parent", "--format=%H", "--", MIGRATIONS).decode().strip()
    return f"{newest}^"


@pytest.fixture
def before(stack, tmp_path):
    """Have web processes be those of the version before, as long as the test wants them to be."""
    commit = the_version_before()
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as packed:
        packed.extractall(tmp_path, filter="data")
    stack.code = tmp_path

    def now():
        stack.code = ROOT

    yield now
    now()


def asked(stack, path, key):
    request = urllib.request.Request(stack.url + path, headers={"X-API-KEY": key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_the_version_before_serves_on_the_new_schema_and_the_new_one_goes_on(stack, before):
    member = stack.member("1.00")
    stack.start_web()
    assert os.readlink(f"/proc/{stack.web.pid}/cwd") == str(stack.code)
    assert asked(stack, "/ready", member["api_key"])["ready"] is True
    load = asyncio.run(stack.fire(member["api_key"], 30, connections=8))
    assert load.statuses[200] == 30
    assert asked(stack, "/customers/balance", member["api_key"])["amount_micros"] == 70.0
    assert asked(stack, "/customers/events", member["api_key"])["total"] == 31
    assert stack.stop_web() == 0

    before()
    stack.start_web()
    more = asyncio.run(stack.fire(member["api_key"], 10, connections=8))
    assert more.statuses[200] == 10
    load.delivered += more.delivered
    assert stack.wallet(member) == (60 * CENT, 0)
    prove(stack, member, load)
    assert stack.stop_web() == 0
