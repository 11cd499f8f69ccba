"""What the cluster needs of this machine: found, else installed by apt where we are root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.supervisor import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PACKAGES = {
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "patroni": "patroni",
    "redis-server": "redis-server",
    "postgres": "postgresql",
}
BESIDE = {"patroni": "python3-etcd"}
"""Which of several that would do, as Patroni speaks to many kinds of store."""
SERVERS = Path("/usr/lib/postgresql")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


@dataclass(frozen=True, slots=True)
class Programs:
    """Where each is."""

    etcd: str
    haproxy: str
    patroni: str
    redis: str
    postgres: Path
    """The folder with `postgres`, `initdb` and `psql`."""


def programs(*, say: Callable[[str], None]) -> Programs:
    """Return where they are, installed if need be; raise Failed with what is missing."""
    found = find()
    missing = [PACKAGES[name] for name, place in found.items() if not place]
    if missing:
        install(missing, say=say)
        found = find()
    still = [PACKAGES[name] for name, place in found.items() if not place]
    if still:
        raise Failed(f"{', '.join(still)} is missing still, though apt was content.")
    return Programs(
        etcd=found["etcd"],
        haproxy=found["haproxy"],
        patroni=found["patroni"],
        redis=found["redis-server"],
        postgres=Path(found["postgres"]).parent,
    )


def find() -> dict[str, str]:
    """Return the place of each program, empty where there is none."""
    places = {name: shutil.which(name, path=PATH) or "" for name in PACKAGES}
    servers = sorted(SERVERS.glob("*/bin/postgres"), key=_version)
    places["postgres"] = str(servers[-1]) if servers else ""
    return places


def install(packages: list[str], *, say: Callable[[str], None]) -> None:
    """Have apt install these, or raise Failed with the line that somebody who may would type."""
    words = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    words += [BESIDE[name] for name in packages if name in BESIDE]
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise Failed(f"missing: {', '.join(packages)}. As root: {' '.join(words)}")
    say(f"installing {', '.join(packages)} ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run([apt, "update"], environment)
    _run([apt, *words[1:]], environment)


def _run(words: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        words, env=dict(environment), capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise Failed(f"`{' '.join(words)}` failed: {said[-1]}")


def _version(place: Path) -> int:
    found = re.fullmatch(r"\d+", place.parts[-3])
    return int(found[0]) if found else 0
