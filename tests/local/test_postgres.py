"""The PostgreSQL that we bring ourselves: it keeps what it was given, and never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local import postgres, processes
from local.postgres import Cluster, PostgresError

pytestmark = pytest.mark.system

PARENT = """
import sys, time
from pathlib import Path
from local.postgres import Cluster
cluster = Cluster(Path(sys.argv[1]), durable=False)
cluster.start()
print(Path(sys.argv[1], "postmaster.pid").read_text().split()[0], flush=True)
time.sleep(60)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "with a space" / "pg"


@pytest.fixture
def cluster(data: Path) -> Iterator[Cluster]:
    cluster = Cluster(data)
    cluster.start()
    yield cluster
    cluster.stop()


def write(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn("postgres")) as connection:
        connection.execute("CREATE TABLE note AS SELECT generate_series(1, 3) AS number")


def rows(cluster: Cluster) -> int:
    with psycopg.connect(cluster.url("postgres")) as connection:
        return len(connection.execute("SELECT number FROM note").fetchall())


def is_gone(pid: int, *, within: float = 5) -> bool:
    end = time.monotonic() + within
    while processes.command_line(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not processes.command_line(pid)


def test_a_restart_keeps_every_row(cluster):
    write(cluster)

    cluster.stop()
    cluster.start()

    assert rows(cluster) == 3


def test_committed_rows_survive_a_power_cut(cluster):
    write(cluster)

    cluster.kill_immediately()
    cluster.start()

    assert rows(cluster) == 3


def test_committed_rows_survive_a_killed_server(cluster, data):
    write(cluster)
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    while cluster.poll() is None:
        time.sleep(0.01)

    cluster.start()

    assert rows(cluster) == 3


def test_a_database_is_made_once(cluster):
    cluster.create_database('it\'s-a "name"')
    cluster.create_database('it\'s-a "name"')

    with psycopg.connect(cluster.url('it\'s-a "name"')) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ('it\'s-a "name"',)


def test_only_its_owner_can_reach_it(cluster):
    folder = Path(psycopg.conninfo.conninfo_to_dict(cluster.dsn("postgres"))["host"])

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_server_on_the_same_data_is_refused(cluster, data):
    with pytest.raises(PostgresError, match="another PostgreSQL"):
        Cluster(data).start()

    assert cluster.ready()


def test_the_holder_of_the_data_takes_over_from_an_orphan(cluster, data, monkeypatch):
    monkeypatch.setattr(postgres, "TAKEOVER_SECONDS", 0)
    successor = Cluster(data, takeover=True)

    successor.start()

    assert cluster.poll() is not None
    assert successor.ready()
    successor.stop()


def test_a_stale_lock_whose_number_is_somebody_elses_is_no_obstacle(cluster, data):
    write(cluster)
    cluster.stop()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (data / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n")

        cluster.start()

        assert rows(cluster) == 3
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.skipif(not processes.can_tie(), reason="nothing here can tie a child to us")
def test_a_killed_parent_leaves_no_server(data):
    data.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data)], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        assert processes.command_line(pid)

        parent.kill()

        assert is_gone(pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs to become somebody else")
def test_root_without_user_namespaces_becomes_nobody(data, monkeypatch):
    """Also where nobody could not enter: the folder lies in one of root's own."""
    monkeypatch.setattr(postgres, "namespaces_work", lambda: False)
    data.parent.mkdir(mode=0o700)
    cluster = Cluster(data, durable=False)
    cluster.start()
    write(cluster)
    cluster.stop()
    cluster.start()

    assert rows(cluster) == 3
    assert data.stat().st_uid == postgres.NOBODY
    cluster.stop()
