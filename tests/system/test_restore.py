"""The books as they were at a moment: back from a backup and the log since, exact, and of use."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from system_stack import CENT, ROOT, prove

from local import postgres
from local.postgres import Cluster

SCRIPTS = ROOT / "deploy" / "postgres"
MANAGE = f"{sys.executable} {ROOT}/manage.py"


@pytest.fixture
def archived(stack, tmp_path):
    """The platform, whose database keeps its log in an archive; gives the scripts' environment."""
    backups = tmp_path / "backups"
    backups.mkdir()
    stack.cluster._hand_over(tmp_path)
    command = f"BACKUPS={backups} {SCRIPTS}/archive-wal.sh %p %f"
    with psycopg.connect(stack.cluster.dsn("postgres"), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET archive_mode = on")
        db.execute(psycopg.sql.SQL("ALTER SYSTEM SET archive_command = {}").format(command))
    stack.cluster.stop()
    stack.cluster.start()
    stack.environment["DATABASE_URL"] = stack.cluster.url("comfy")
    programs = with_a_verifier(tmp_path / "bin")
    host = psycopg.conninfo.conninfo_to_dict(stack.cluster.dsn("postgres"))["host"]
    return {
        **stack.environment,
        "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
        "BACKUPS": str(backups),
        "PGHOST": host,
        "PGUSER": "postgres",
        "DATABASE": "comfy",
        "MANAGE": MANAGE,
        "TMPDIR": str(tmp_path),
    }


VERIFIER = """#!{python}
import hashlib, json, pathlib, sys
folder = pathlib.Path(sys.argv[-1])
for each in json.loads((folder / "backup_manifest").read_text())["Files"]:
    held = (folder / each["Path"]).read_bytes()
    good = (len(held), hashlib.sha256(held).hexdigest()) == (each["Size"], each["Checksum"])
    if not good:
        sys.exit(each["Path"])
"""


def with_a_verifier(folder):
    """Return where PostgreSQL's programs are; the wheel has a pg_verifybackup that breaks."""
    own = postgres.programs()
    asked = subprocess.run([own / "pg_verifybackup", "--version"], capture_output=True, check=False)
    if asked.returncode == 0:
        return [str(own)]
    folder.mkdir()
    (folder / "pg_verifybackup").write_text(VERIFIER.replace("{python}", sys.executable))
    (folder / "pg_verifybackup").chmod(0o755)
    return [str(folder), str(own)]


def script(stack, environment, name, *words, status=0):
    """Run it as the user that PostgreSQL runs as."""
    command = [*stack.cluster._unprivileged(), str(SCRIPTS / name), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def archive_all(stack):
    """Wait until all that was written is in the archive."""
    stack.rows("SELECT pg_logical_emit_message(true, 'test', 'Of an empty file nobody hears.')")
    (row,) = stack.rows("SELECT pg_walfile_name(pg_switch_wal()) AS name")
    end = time.monotonic() + 60
    while True:
        (seen,) = stack.rows("SELECT last_archived_wal AS name FROM pg_stat_archiver")
        if seen["name"] and seen["name"] >= row["name"]:
            return
        assert time.monotonic() < end, stack.cluster.log.read_text()[-2000:]
        time.sleep(0.1)


@contextmanager
def restored(stack, folder: Path):
    """Have the platform run on another data folder, from when its log is read to the moment."""
    before, cluster = stack.cluster, Cluster(folder)
    cluster.start()
    try:
        end = time.monotonic() + 60
        stack.cluster, stack.environment["DATABASE_URL"] = cluster, cluster.url("comfy")
        while stack.rows("SELECT pg_is_in_recovery() AS still")[0]["still"]:
            assert time.monotonic() < end, cluster.log.read_text()[-2000:]
            time.sleep(0.1)
        yield
    finally:
        stack.cluster, stack.environment["DATABASE_URL"] = before, before.url("comfy")
        cluster.stop()


def test_the_books_come_back_as_of_a_moment(stack, archived, tmp_path):
    member = stack.member("1.00")
    stack.start_web()
    first = asyncio.run(stack.fire(member["api_key"], 20))
    script(stack, archived, "backup.sh")
    time.sleep(1.1)
    second = asyncio.run(stack.fire(member["api_key"], 20))
    assert first.statuses[200] == second.statuses[200] == 20
    good = stack.charged(member)
    (now,) = stack.rows("SELECT clock_timestamp()::text AS at")
    time.sleep(1.1)

    asyncio.run(stack.fire(member["api_key"], 20))
    stack.rows(
        "UPDATE credits_account SET balance_micros = balance_micros + 5000000 WHERE kind='wallet'"
    )
    assert stack.stop_web() == 0
    archive_all(stack)
    with pytest.raises(AssertionError, match="DIFFERS"):
        stack.reconcile()

    script(stack, archived, "restore.sh", now["at"], str(tmp_path / "back"))
    with restored(stack, tmp_path / "back"):
        assert "DIFFERS" not in stack.reconcile()
        assert stack.charged(member) == good
        assert {*first.delivered, *second.delivered} == good.keys()
        assert stack.wallet(member) == (60 * CENT, 0)

        stack.start_web()  # It serves, and from here on all goes its usual way.
        more = asyncio.run(stack.fire(member["api_key"], 5))
        second.delivered += [*first.delivered, *more.delivered]
        prove(stack, member, second)
        assert stack.stop_web() == 0

    drilled = script(stack, archived, "drill.sh", now["at"])
    assert "DIFFERS" not in drilled
    assert "ok" in drilled
    assert "DIFFERS" in script(stack, archived, "drill.sh", status=1), "the newest has the mistake"
    assert not list(tmp_path.glob("drill-*"))


def test_what_cannot_be_restored_is_said_and_nothing_is_overwritten(stack, archived, tmp_path):
    script(stack, archived, "backup.sh")
    said = script(stack, archived, "restore.sh", "2020-01-01", str(tmp_path / "old"), status=1)
    assert "no backup is older than 2020-01-01" in said

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("b")
    said = script(stack, archived, "restore.sh", "latest", str(tmp_path / "full"), status=1)
    assert "holds something" in said
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["a"]


def test_the_newest_backups_are_kept_and_the_log_since_the_oldest(stack, archived):
    backups, wal = Path(archived["BACKUPS"]) / "base", Path(archived["BACKUPS"]) / "wal"
    names = []
    for _ in range(3):
        names.append(Path(script(stack, archived, "backup.sh").split()[-1]).name)
        archive_all(stack)
        time.sleep(1.1)

    assert sorted(each.name for each in backups.iterdir()) == names[1:]
    label = (backups / names[1] / "backup_label").read_text()
    first = label.split("(file ")[1].split(")")[0]
    segments = sorted(each.name for each in wal.iterdir() if len(each.name) == 24)
    assert segments[0] == first
    assert not list(wal.glob("*.unfinished"))


def test_a_file_of_the_log_that_is_there_is_the_same_or_refused(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1" * 100)
    two.write_bytes(b"2" * 100)

    def archive(file):
        environment = {**os.environ, "BACKUPS": str(tmp_path)}
        words = [str(SCRIPTS / "archive-wal.sh"), str(file), "0001"]
        return subprocess.run(words, env=environment, capture_output=True, check=False).returncode

    assert [archive(one), archive(one), archive(two)] == [0, 0, 1]
    assert (tmp_path / "wal" / "0001").read_bytes() == b"1" * 100
