"""The supervisor keeps its children running, ends them in order, and never leaves one behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import processes
from local.supervisor import Child, DataLock, Failed, Stopped, Supervisor

pytestmark = pytest.mark.system

SLEEP = ["sleep", "60"]
SUPERVISING = """
import sys
from pathlib import Path
from local.supervisor import Child, Stopped, Supervisor
data = Path(sys.argv[1])
try:
    with Supervisor(data, say=lambda line: print(line, flush=True)) as supervisor:
        for name in ("first", "second"):
            child = Child(name, ["sleep", "60"], logs=data, environment={"PATH": sys.argv[2]})
            supervisor.start(child)
            print(child.pid, flush=True)
        supervisor.watch()
except Stopped:
    print("ended", flush=True)
"""


@pytest.fixture(autouse=True)
def _signals_stay_as_they_were():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def child(tmp_path) -> Callable[..., Child]:
    def make(name: str, command: list[str] = SLEEP, **options) -> Child:
        return Child(name, command, logs=tmp_path, environment=os.environ, **options)

    return make


@pytest.fixture
def supervising(tmp_path):
    """A supervisor in a process of its own, with two children."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISING, str(tmp_path), os.environ["PATH"]],
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    yield process, pids
    process.kill()
    process.communicate()


def all_gone(pids: list[int], *, within: float = 5) -> bool:
    end = time.monotonic() + within
    while any(processes.command_line(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(processes.command_line(pid) for pid in pids)


def watch_until(supervisor: Supervisor, happened: Callable[[], bool], monkeypatch) -> None:
    """Watch, and ask to stop as soon as it has happened, or after 10 seconds."""
    end = time.monotonic() + 10
    sleep = time.sleep

    def sleep_and_look(seconds: float) -> None:
        sleep(seconds)
        if happened() or time.monotonic() > end:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(time, "sleep", sleep_and_look)
    with pytest.raises(Stopped):
        supervisor.watch()
    monkeypatch.setattr(time, "sleep", sleep)


def test_a_child_that_dies_is_started_again(tmp_path, child, monkeypatch):
    with Supervisor(tmp_path, say=lambda _: None) as supervisor:
        sleeper = child("sleeper")
        supervisor.start(sleeper)
        first = sleeper.pid
        os.kill(first, signal.SIGKILL)

        watch_until(supervisor, lambda: sleeper.pid != first, monkeypatch)

        assert sleeper.pid != first
        assert sleeper.poll() is None


def test_a_child_that_keeps_dying_ends_everything(tmp_path, child):
    with Supervisor(tmp_path, say=lambda _: None) as supervisor:
        good = child("good")
        supervisor.start(good)
        supervisor.start(child("bad", ["sh", "-c", "sleep 0.05; echo no luck; exit 3"]))

        with pytest.raises(Failed, match=r"status 3 .*no luck\nbad keeps dying"):
            supervisor.watch()

    assert good.poll() is None
    assert good.pid is None


def test_a_child_that_dies_before_it_is_ready_is_a_failure(tmp_path, child):
    with (
        Supervisor(tmp_path, say=lambda _: None) as supervisor,
        pytest.raises(Failed, match="early died with status 1"),
    ):
        supervisor.start(child("early", ["false"], ready=lambda: False))


def test_children_stop_in_the_reverse_order(tmp_path, child):
    said: list[str] = []
    with Supervisor(tmp_path, say=said.append) as supervisor:
        for name in ("database", "web", "worker"):
            supervisor.start(child(name))

    assert said == ["stopped worker", "stopped web", "stopped database"]


def test_a_child_that_will_not_stop_is_killed_with_all_it_started(tmp_path, child):
    script = "trap '' TERM; sleep 60 & echo $! > pid; touch up; while :; do sleep 1; done"
    stubborn = child("stubborn", ["sh", "-c", script], cwd=tmp_path, ready=(tmp_path / "up").exists)
    with Supervisor(tmp_path / "data", say=lambda _: None) as supervisor:
        supervisor.start(stubborn)
        pids = [stubborn.pid, int((tmp_path / "pid").read_text())]

        supervisor.stop(limit=0.2)

    assert all_gone(pids)


def test_a_signal_stops_everything_in_order(supervising):
    process, pids = supervising

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=10)

    assert said.split("\n")[:3] == ["stopped second", "stopped first", "ended"]
    assert all_gone(pids, within=0)


@pytest.mark.skipif(not processes.can_tie(), reason="nothing here can tie a child to us")
def test_a_killed_supervisor_leaves_no_child(supervising, tmp_path):
    process, pids = supervising

    process.kill()
    process.wait()  # Only then its lock is free for certain.

    assert all_gone(pids)
    Supervisor(tmp_path).stop()


def test_what_nothing_tied_to_a_killed_supervisor_is_ended_by_the_next(tmp_path):
    with subprocess.Popen(SLEEP, start_new_session=True) as orphan:
        lock = DataLock(tmp_path)
        lock.note({orphan.pid: SLEEP, os.getpid(): ["not", "us"]})
        lock._file.close()  # As the kernel does when we are killed.
        while not processes.command_line(orphan.pid):
            time.sleep(0.01)
        threading.Thread(target=orphan.wait, daemon=True).start()

        Supervisor(tmp_path).stop()

        assert orphan.wait(5) == -signal.SIGTERM


def test_a_second_supervisor_on_the_same_data_is_refused(tmp_path):
    with Supervisor(tmp_path, say=lambda _: None), pytest.raises(Failed, match="another `up`"):
        Supervisor(tmp_path)

    Supervisor(tmp_path).stop()


def test_a_port_that_is_taken_is_seen(tmp_path: Path):
    port = processes.free_port()
    assert processes.port_is_free(port)

    with processes.socket.create_server(("127.0.0.1", port)):
        assert not processes.port_is_free(port)
