"""Where each program of the cluster lies and listens: one folder, and a hundred ports in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local import processes

if TYPE_CHECKING:
    from pathlib import Path

MACHINES = (1, 2, 3)
HOST = "127.0.0.1"
PORTS = 100


@dataclass(frozen=True, slots=True)
class Places:
    """The folder, and the first of its ports."""

    folder: Path
    base: int

    @property
    def logs(self) -> Path:
        """Where everybody writes what happens."""
        return self.folder / "logs"

    @property
    def https(self) -> int:
        """Where callers come in."""
        return self.base

    @property
    def http(self) -> int:
        """Where who forgot the s is sent on."""
        return self.base + 1

    @property
    def leader(self) -> int:
        """Where HAProxy leads to the primary."""
        return self.base + 2

    @property
    def sandbox(self) -> int:
        """Where vendors are."""
        return self.base + 3

    @property
    def s3(self) -> int:
        """Where files lie."""
        return self.base + 4

    def web(self, machine: int) -> int:
        """Return where a web process listens."""
        return self.base + 10 + machine

    def etcd(self, machine: int) -> int:
        """Return where an etcd is asked."""
        return self.base + 20 + machine

    def peer(self, machine: int) -> int:
        """Return where an etcd hears the others."""
        return self.base + 30 + machine

    def link(self, machine: int, to: int) -> int:
        """Return where a machine of the database finds an etcd, by a way that can be cut."""
        return self.base + 36 + 4 * machine + to

    def postgres(self, machine: int) -> int:
        """Return where a PostgreSQL listens."""
        return self.base + 60 + machine

    def patroni(self, machine: int) -> int:
        """Return where a Patroni tells how it is."""
        return self.base + 70 + machine

    def redis(self, machine: int) -> int:
        """Return where a Redis listens."""
        return self.base + 80 + machine

    def sentinel(self, machine: int) -> int:
        """Return where a Sentinel listens."""
        return self.base + 90 + machine

    def taken(self) -> int | None:
        """Return a port of ours at which somebody else listens; None if all are free."""
        every = range(self.base, self.base + PORTS)
        return next((port for port in every if not processes.port_is_free(port)), None)

    def own(self, name: str) -> Path:
        """Return the folder of one program."""
        return self.folder / name
