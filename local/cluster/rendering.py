"""The files of deploy/ with this machine's ports and folders in the place of their examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from local.cluster.places import HOST, MACHINES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.cluster.places import Places

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = re.compile(r"10\.0\.0\.\d+|replace-this|/etc/haproxy|/run/haproxy|/var/lib/|/opt/")
"""What must not be left of a file of deploy/: an address, a password or a folder of its example."""
SMALL = {"shared_buffers": "32MB", "max_wal_size": "512MB", "min_wal_size": "64MB"}
"""What a machine that is three has less of."""


class Unlike(Exception):
    """A file of deploy/ does not say what we replace in it: it was changed, and we were not."""


def read(name: str) -> str:
    """Return a file of deploy/."""
    return (DEPLOY / name).read_text()


def swapped(text: str, pairs: Mapping[str, str]) -> str:
    """Return the text with each replaced; raise Unlike if one is not there, or an example stays.

    All at once, the longest first: what was put in is not looked at again.
    """
    missing = [old for old in pairs if old not in text]
    if missing:
        raise Unlike(f"deploy/ does not say {missing[0]!r} any more.")
    words = sorted(pairs, key=len, reverse=True)
    made = re.sub("|".join(map(re.escape, words)), lambda found: pairs[found[0]], text)
    told = "\n".join(line for line in made.splitlines() if not line.lstrip().startswith("#"))
    if left := EXAMPLE.search(told):
        raise Unlike(f"deploy/ says {left[0]!r}, and nothing here stands for it.")
    return made


def etcd(places: Places, machine: int) -> dict[str, str]:
    """Return the environment of one etcd."""
    text = read("postgres/etcd.env")
    own: list[str] = []
    of_all: list[str] = []
    for line in text.splitlines():
        (of_all if line.startswith("ETCD_INITIAL_CLUSTER=") else own).append(line)
    mine = "\n".join(own).replace("10.0.0.21", f"10.0.0.2{machine}")
    mine = mine.replace("ETCD_NAME=e1", f"ETCD_NAME=e{machine}")
    # It listens at its machine's loopback, too, which here is the same address.
    mine = mine.replace(",http://127.0.0.1:2379", "")
    pairs = {f"10.0.0.2{n}:2380": f"{HOST}:{places.peer(n)}" for n in MACHINES}
    pairs[f"10.0.0.2{machine}:2379"] = f"{HOST}:{places.etcd(machine)}"
    pairs["/var/lib/etcd/credits"] = str(places.own(f"etcd{machine}") / "data")
    rendered = swapped("\n".join([mine, *of_all]), pairs)
    lines = [line for line in rendered.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def patroni(
    places: Places, machine: int, *, programs: Path, passwords: Mapping[str, str], tls: Path
) -> str:
    """Return the file of one Patroni.

    Its etcds lie behind a link that can be cut; nothing is archived; and memory is small.
    """
    text = read("postgres/patroni.yml").replace("10.0.0.21:5432", f"10.0.0.2{machine}:5432")
    text = text.replace("10.0.0.21:8008", f"10.0.0.2{machine}:8008")
    text = text.replace("name: pg1", f"name: pg{machine}").replace("10.0.0.0/24", f"{HOST}/32")
    text = re.sub(r"bin_dir: \S+", f"bin_dir: {programs}", text)
    rendered = swapped(
        text,
        {
            f"10.0.0.2{machine}:8008": f"{HOST}:{places.patroni(machine)}",
            f"10.0.0.2{machine}:5432": f"{HOST}:{places.postgres(machine)}",
            **{f"10.0.0.2{to}:2379": f"{HOST}:{places.link(machine, to)}" for to in MACHINES},
            "/var/lib/postgresql/credits": str(places.own(f"pg{machine}") / "data"),
            "/etc/patroni/tls": str(tls),
            "replace-this-as-well": passwords["rewinder"],
            "replace-this-too": passwords["replicator"],
            "replace-this": passwords["postgres"],
        },
    )
    told: dict[str, Any] = yaml.safe_load(rendered)
    # Else it would ask the etcds where they are, and go past the link.
    told["etcd3"]["use_proxies"] = True
    kept = told["bootstrap"]["dcs"]["postgresql"]["parameters"]
    kept |= {"archive_mode": "off", **SMALL}
    del kept["archive_command"], told["postgresql"]["recovery_conf"]
    told["postgresql"]["parameters"] |= {"unix_socket_directories": ""}
    return yaml.safe_dump(told, sort_keys=False)


def haproxy(places: Places, *, tls: Path) -> str:
    """Return the file of the HAProxy before the web processes."""
    run = places.own("haproxy")
    return swapped(
        read("haproxy/haproxy.cfg"),
        {
            "maxconn 20000": "maxconn 2000",  # Files that a machine for others, too, may not open.
            "bind :80": f"bind {HOST}:{places.http}",
            "bind :443": f"bind {HOST}:{places.https}",
            "bind 127.0.0.1:5000": f"bind {HOST}:{places.leader}",
            "/etc/haproxy/tls/": f"{tls}/",
            "/run/haproxy/admin.sock": str(run / "admin.sock"),
            "10.0.0.0/8": "127.0.0.0/8",
            **{f"10.0.0.1{n}:8000": f"{HOST}:{places.web(n)}" for n in MACHINES},
            **{
                f"10.0.0.2{n}:5432 check port 8008": (
                    f"{HOST}:{places.postgres(n)} check port {places.patroni(n)}"
                )
                for n in MACHINES
            },
        },
    )


def link(places: Places, machine: int) -> str:
    """Return the file of an HAProxy that is a machine's cable to the three etcds."""
    lines = ["defaults", "    mode tcp"]
    lines += [f"    timeout {name} 1h" for name in ("client", "server")]
    lines += ["    timeout connect 2s", "    retries 0"]
    for to in MACHINES:
        lines += [f"listen etcd{to}", f"    bind {HOST}:{places.link(machine, to)}"]
        lines += [f"    server e{to} {HOST}:{places.etcd(to)}"]
    return "\n".join(lines) + "\n"


def redis(places: Places, machine: int, *, password: str) -> str:
    """Return the file of one Redis: the first is the master, until it is not."""
    text = read("redis/redis.conf").replace("bind 10.0.0.31", f"bind {HOST}")
    if machine != 1:
        text = text.replace("# replicaof", "replicaof")
    pairs = {
        "port 6379": f"port {places.redis(machine)}",
        "10.0.0.31 6379": f"{HOST} {places.redis(1)}",
        "replace-this": password,
        "/var/lib/redis": str(places.own(f"redis{machine}")),
    }
    return swapped(text, pairs)


def sentinel(places: Places, machine: int, *, password: str) -> str:
    """Return the file of one Sentinel, which writes into it what it comes to know."""
    return swapped(
        read("redis/sentinel.conf"),
        {
            "port 26379": f"port {places.sentinel(machine)}",
            "10.0.0.31 6379": f"{HOST} {places.redis(1)}",
            "replace-this": password,
            "/var/lib/redis": str(places.own(f"sentinel{machine}")),
        },
    )


def roles(passwords: Mapping[str, str]) -> str:
    """Return the SQL that makes the two roles and the database."""
    pairs = {
        "'replace-this-too'": f"'{passwords['programs']}'",
        "'replace-this'": f"'{passwords['owner']}'",
    }
    return swapped(read("postgres/roles.sql"), pairs)


def command(unit: str, pairs: Mapping[str, str]) -> list[str]:
    """Return what a unit of systemd starts, as words, for this machine."""
    found = re.search(r"^ExecStart=(.+)$", read(f"systemd/platform-{unit}.service"), re.MULTILINE)
    if found is None:
        raise Unlike(f"platform-{unit}.service starts nothing.")
    return swapped(found[1], pairs).replace("%%", "%").split()
