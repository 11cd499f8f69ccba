"""A program that cannot do its work says so in one line, and ends with status 1."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dev import put_on_path
from local.processes import free_port, kill_group

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
CELERY = [sys.executable, "-m", "celery", "-A", "config.celery"]
MANAGE = [sys.executable, "manage.py"]
WEB = [sys.executable, "-m", "config.web", "--port", "{port}"]
PROGRAMS = {
    "web": WEB,
    "web of two processes": [*WEB, "--workers", "2"],
    "worker": [*CELERY, "worker", "-P", "threads"],
    "beat": [*CELERY, "beat", "-s", "{folder}/beat"],
    "reconcile": [*MANAGE, "reconcile"],
    "a list": [*MANAGE, "money", "findings"],
    "migrate": [*MANAGE, "migrate"],
}
NEEDS_MIGRATIONS = ["web", "worker", "beat", "a list"]
NEEDS_AN_ENCODING = ["web", "worker", "a list", "migrate"]
HANGS_SECONDS = 180
"""Only for what started after all, which it should not: others work on this machine, too."""
AWAY = "postgresql://nobody:secret-4711@127.0.0.1:9/none"


def run(program, folder, *, port=None, **environment):
    words = [word.format(port=port or free_port(), folder=folder) for word in PROGRAMS[program]]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/platform", **environment},
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=HANGS_SECONDS)
        except subprocess.TimeoutExpired:  # It has started, which it should not.
            kill_group(process.pid)
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def the_line(done):
    """Return the only line of ours: Celery may have warned of other things before."""
    assert "Traceback" not in done.stderr + done.stdout
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 1
    return line


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_database_that_is_away_is_a_line(program, tmp_path):
    line = the_line(run(program, tmp_path, DATABASE_URL=AWAY))

    assert ": the database cannot be reached: " in line
    assert "refused" in line
    assert "secret-4711" not in line


ENCODINGS = {"fresh": "", "migrated": "", "ascii": "ENCODING 'SQL_ASCII' LOCALE 'C'"}


@pytest.fixture(scope="module")
def databases(django_db_setup):
    """Databases of the tests' server: new ones, and one whose encoding is none."""
    address = conninfo_to_dict(os.environ["DATABASE_URL"])
    urls = {}
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        for name, more in ENCODINGS.items():
            db.execute(f"CREATE DATABASE starting_{name} TEMPLATE template0 {more}")
            urls[name] = make_conninfo(**{**address, "dbname": f"starting_{name}"})
        yield urls
        for name in urls:
            db.execute(f"DROP DATABASE starting_{name} WITH (FORCE)")


@pytest.mark.parametrize("program", NEEDS_MIGRATIONS)
def test_a_database_that_is_not_migrated_is_a_line(program, tmp_path, databases):
    line = the_line(run(program, tmp_path, DATABASE_URL=databases["fresh"]))

    assert "not migrated: run manage.py migrate" in line


@pytest.mark.parametrize("program", NEEDS_AN_ENCODING)
def test_a_database_in_no_encoding_is_a_line(program, tmp_path, databases):
    """Its texts would be bytes, and every key unknown."""
    line = the_line(run(program, tmp_path, DATABASE_URL=databases["ascii"]))

    assert "encoding is SQL_ASCII" in line


@pytest.mark.parametrize("program", ["web", "web of two processes"])
def test_a_port_that_is_taken_is_a_line(program, tmp_path, databases):
    url = databases["migrated"]
    assert run("migrate", tmp_path, DATABASE_URL=url).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        line = the_line(run(program, tmp_path, port=port, DATABASE_URL=url))

    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in line


def test_in_a_clone_the_programs_start_from_anywhere(tmp_path, monkeypatch):
    """As `dev.py` leaves its environment, here in one that borrows the libraries of ours."""
    monkeypatch.setattr("dev.VENV", tmp_path / "venv")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True
    )
    (libraries,) = (tmp_path / "venv").glob("lib/*/site-packages")
    put_on_path()
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (libraries / "borrowed.pth").write_text(ours)

    done = subprocess.run(
        [str(tmp_path / "venv/bin/python"), "-m", "config.web"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "config.web: DATABASE_URL is missing" in done.stderr
    assert done.returncode == 1


def test_a_reader_that_has_seen_enough_is_no_error():
    """As `manage.py doctor | head -1` is."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [*MANAGE, "help"], cwd=ROOT, stdout=closed, stderr=subprocess.PIPE,
            timeout=HANGS_SECONDS,
        )  # fmt: skip
    assert done.stderr == b""
