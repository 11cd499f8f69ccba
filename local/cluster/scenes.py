"""What is done to the cluster, one after the other, and when it is over."""

from __future__ import annotations

import csv
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.cluster.member import hold_still
from local.cluster.places import MACHINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.cluster.member import Member
    from local.cluster.running import Running

STILL_SECONDS = 25
"""Longer than a leader's lease (ttl of patroni.yml): another one is primary meanwhile."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One of them."""

    title: str
    strike: Callable[[Running], Callable[[], None]]
    """Does it, and returns what undoes it."""
    lasts_seconds: float = 5
    """So long it is left as it is, before it is undone and all waited for."""


def nothing() -> None:
    """Undo what mends itself."""


def quiet(_: Running) -> Callable[[], None]:
    """Do nothing: what the load is like when all is well."""
    return nothing


def primary(cluster: Running) -> Callable[[], None]:
    """Kill the primary's PostgreSQL; its Patroni lives."""
    cluster.database(leader(cluster)).kill_postgres()
    return nothing


def primary_machine(cluster: Running) -> Callable[[], None]:
    """Have the primary's machine be gone: Patroni, PostgreSQL and the etcd there."""
    machine = leader(cluster)
    gone: list[Member] = [cluster.database(machine), cluster.members[f"etcd{machine}"]]
    for member in gone:
        member.down()

    def undo() -> None:
        for member in reversed(gone):
            member.up()

    return undo


def primary_stands_still(cluster: Running) -> Callable[[], None]:
    """Have the primary's machine stand still, with all its connections open, and wake up later."""
    machine = leader(cluster)
    pids = cluster.database(machine).processes() + cluster.members[f"etcd{machine}"].processes()
    hold_still(pids, STILL_SECONDS)
    return nothing


def partition(cluster: Running) -> Callable[[], None]:
    """Cut the primary off all etcds: its link neither carries nor refuses anything."""
    hold_still(cluster.members[f"link{leader(cluster)}"].processes(), STILL_SECONDS)
    return nothing


def web(cluster: Running) -> Callable[[], None]:
    """Kill a web process in the middle of its calls."""
    cluster.members[busiest_web(cluster)].kill()
    return nothing


def web_stands_still(cluster: Running) -> Callable[[], None]:
    """Have one of HAProxy's web machines stand still: it answers nobody, and wakes up later."""
    hold_still(cluster.members[busiest_web(cluster)].processes(), STILL_SECONDS)
    return nothing


def web_machine(cluster: Running) -> Callable[[], None]:
    """Have one of HAProxy's web machines be gone for a while."""
    member = cluster.members[busiest_web(cluster)]
    member.down()
    return member.up


def web_restarted(cluster: Running) -> Callable[[], None]:
    """End a web process as an upgrade does: nobody shall notice."""
    pid = cluster.members[busiest_web(cluster)].pid
    assert pid is not None, "it runs"
    os.kill(pid, signal.SIGTERM)
    return nothing


def worker(cluster: Running) -> Callable[[], None]:
    """Kill a worker of each kind."""
    for name in ("rest1", "jobs1"):
        cluster.members[name].kill()
    return nothing


def beat(cluster: Running) -> Callable[[], None]:
    """Kill both beats, of which one has the lock."""
    for name in ("beat1", "beat2"):
        cluster.members[name].kill()
    return nothing


def broker(cluster: Running) -> Callable[[], None]:
    """Have the machine of Redis' master be gone: Sentinel names another."""
    member = cluster.members[f"redis{redis_master(cluster)}"]
    member.down()
    return member.up


def haproxy(cluster: Running) -> Callable[[], None]:
    """Kill HAProxy, with all connections of all callers."""
    cluster.members["haproxy"].kill()
    return nothing


def leader(cluster: Running) -> int:
    """Return the machine of the primary; there is one between two scenes."""
    machine = cluster.leader()
    assert machine is not None, "all was whole before"
    return machine


def busiest_web(cluster: Running) -> str:
    """Return the web machine with most of HAProxy's requests: few keys go to few machines."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(5)
        admin.connect(str(cluster.places.own("haproxy") / "admin.sock"))
        admin.sendall(b"show stat\n")
        told = b"".join(iter(lambda: admin.recv(1 << 16), b"")).decode().removeprefix("# ")
    rows = csv.DictReader(told.splitlines())
    servers = [row for row in rows if row["pxname"] == "web" and row["svname"].startswith("web")]
    return max(servers, key=lambda row: int(row["stot"]))["svname"]


def redis_master(cluster: Running) -> int:
    """Return the machine of Redis' master, as a Sentinel knows it."""
    import redis

    for machine in MACHINES:
        port = cluster.places.sentinel(machine)
        try:
            with redis.Redis(port=port, socket_timeout=2, decode_responses=True) as sentinel:
                found = sentinel.sentinel_get_master_addr_by_name("credits")
        except redis.RedisError:
            continue
        if found:
            return next(n for n in MACHINES if cluster.places.redis(n) == int(found[1]))
    raise RuntimeError("no Sentinel knows the master")


SCENES = {
    "quiet": Scene("nothing", quiet, lasts_seconds=10),
    "primary": Scene("the primary killed", primary),
    "machine": Scene("the primary's machine gone", primary_machine, lasts_seconds=40),
    "still": Scene("the primary's machine stands still", primary_stands_still, STILL_SECONDS + 5),
    "partition": Scene("the primary cut off etcd", partition, STILL_SECONDS + 5),
    "web": Scene("a web process killed", web),
    "web-machine": Scene("a web machine gone", web_machine, lasts_seconds=15),
    "web-still": Scene("a web machine stands still", web_stands_still, STILL_SECONDS + 5),
    "web-restart": Scene("a web process restarted", web_restarted, lasts_seconds=15),
    "worker": Scene("workers killed", worker, lasts_seconds=10),
    "beat": Scene("both beats killed", beat, lasts_seconds=10),
    "broker": Scene("the broker's machine gone", broker, lasts_seconds=20),
    "haproxy": Scene("HAProxy killed", haproxy),
}
"""In the order in which they are played."""
