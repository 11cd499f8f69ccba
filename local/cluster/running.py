"""A cluster that runs: its programs, how it is reached, what is kept of it, and how it is."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local import certificates, demo
from local.cluster import rendering
from local.cluster.member import Database, Member, family, kill, postmaster
from local.cluster.places import HOST, MACHINES
from local.supervisor import Failed, answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.cluster.needs import Programs
    from local.cluster.places import Places
    from local.supervisor import Supervisor

Environment = dict[str, str]
READY_SECONDS = 600
"""So long a program may take to begin on a machine that has much else to do."""
ROLES = ("postgres", "replicator", "rewinder", "owner", "programs", "redis")
OWN = "cluster.json"
"""The file by which a folder is known as ours, whose content may be thrown away."""


@dataclass
class Running:
    """A cluster that runs: its programs by name, and how it is reached."""

    supervisor: Supervisor
    places: Places
    programs: Programs
    members: dict[str, Member] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    environment: Environment = field(default_factory=dict)
    certificate: certificates.Certificate | None = None

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each role."""
        found: dict[str, str] = self.kept["passwords"]
        return found

    @property
    def url(self) -> str:
        """Where callers come in."""
        return f"https://localhost:{self.places.https}"

    def dsn(self, role: str, dbname: str = "platform") -> str:
        """How a role reaches whichever PostgreSQL is the primary."""
        hosts = ",".join(f"{HOST}:{self.places.postgres(n)}" for n in MACHINES)
        named = f"{role}:{self.passwords[role]}"
        return f"postgresql://{named}@{hosts}/{dbname}?target_session_attrs=read-write"

    def manage(self, *words: str, role: str = "programs", given: str = "") -> str:
        """Run manage.py to its end, and return what it printed."""
        environment = {**self.environment, "DATABASE_URL": self.dsn(role)}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        command = [sys.executable, "manage.py", *words]
        return self.supervisor.run(
            command, environment=environment, cwd=rendering.ROOT, given=given
        )

    def state(self) -> dict[str, dict[str, Any]]:
        """Return each PostgreSQL as Patroni knows it, by its name; none if no Patroni answers."""
        for machine in MACHINES:
            told = asked(f"http://{HOST}:{self.places.patroni(machine)}/cluster")
            if told is not None:
                return {str(each["name"]): each for each in told["members"]}
        return {}

    def leader(self) -> int | None:
        """Return the machine whose PostgreSQL is the primary and says so."""
        for machine in MACHINES:
            if asked(f"http://{HOST}:{self.places.patroni(machine)}/primary") is not None:
                return machine
        return None

    def is_whole(self) -> bool:
        """Whether there is a primary, a synchronous standby, a third, and all web serve."""
        roles = sorted(
            str(each.get("role"))
            for each in self.state().values()
            if each.get("state") in {"running", "streaming"}
        )
        whole = roles == ["leader", "replica", "sync_standby"] and self.leader() is not None
        return whole and all(self.serves(machine) for machine in MACHINES)

    def serves(self, machine: int) -> bool:
        """Whether a web machine says that it shall get calls."""
        return answers(f"http://{HOST}:{self.places.web(machine)}/serving")()

    def database(self, machine: int) -> Database:
        """Return the Patroni and PostgreSQL of a machine."""
        found = self.members[f"pg{machine}"]
        assert isinstance(found, Database), "it was made as one"
        return found

    def add(self, member: Member, *, limit: float = READY_SECONDS) -> None:
        """Start one and wait until it is ready."""
        self.members[member.name] = member
        self.supervisor.start(member, limit=limit)

    def wait_for(self, ready: Callable[[], bool], otherwise: str, *, limit: float) -> None:
        """Return when `ready`; raise Failed after `limit` seconds. Who dies is started again."""
        end = time.monotonic() + limit
        while not ready():
            if time.monotonic() > end:
                raise Failed(otherwise)
            self.supervisor.tend(0.5)

    def hurry(self) -> None:
        """Tell web processes to end without draining: nobody comes any more."""
        for member in self.members.values():
            for _ in range(2):
                if member.name.startswith("web") and member.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(member.pid, signal.SIGTERM)


def asked(url: str) -> dict[str, Any] | None:
    """Return the JSON object at an address; None unless it answered 200 with one."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            found = json.load(answer)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def prepare(places: Places, *, fresh: bool) -> dict[str, Any]:
    """Have a folder to run in, and return what is kept in it: secrets, and what was migrated.

    What another cluster left there goes on, unless it shall not, or had other ports. Raises Failed
    rather than throw away what is not a cluster's. A PostgreSQL that outlived a Patroni that was
    killed is ended first.
    """
    folder = places.folder
    others = [each for each in folder.iterdir() if each.name != "lock"]
    if others and not (folder / OWN).exists():
        raise Failed(f"{folder} holds something that is no cluster's: give --data.")
    for machine in MACHINES:
        kill(family(postmaster(places.own(f"pg{machine}") / "data")))
    kept: dict[str, Any] = json.loads((folder / OWN).read_text()) if others else {}
    if fresh or kept.get("base") != places.base:
        for each in others:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        kept = {"base": places.base, **_made_up()}
        keep(places, kept)
    places.logs.mkdir(exist_ok=True)
    return kept


def keep(places: Places, kept: dict[str, Any]) -> None:
    """Write what the next start shall know."""
    demo.write_private(places.folder / OWN, json.dumps(kept, indent=2) + "\n")


def _made_up() -> dict[str, Any]:
    return {
        "passwords": {role: secrets.token_hex(12) for role in ROLES},
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_PEPPERS": f"1:{secrets.token_hex(32)}",
        "vendor": secrets.token_hex(16),
        "migrated": "",
    }
