"""The bench's PostgreSQL: durable, with default settings, and reached over loopback TCP by all.

So the reference driver's pgbench reaches it, and so a database on a machine of its own is reached;
a Unix socket would cost everybody less, and pgbench, which asks once for each statement, the most.
"""

from __future__ import annotations

import subprocess
import urllib.parse
from pathlib import Path
from typing import IO

from psycopg import conninfo

from local import processes
from local.postgres import Cluster

HOST = "127.0.0.1"


class TcpCluster(Cluster):
    """A cluster that listens on a port of its own."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._port = str(processes.free_port())

    def dsn(self, dbname: str) -> str:
        """How to reach a database, as libpq's `key=value` pairs."""
        return conninfo.make_conninfo(host=HOST, port=self._port, user="postgres", dbname=dbname)

    def url(self, dbname: str) -> str:
        """How to reach a database, as a URL."""
        return f"postgresql://postgres@{HOST}:{self._port}/{urllib.parse.quote(dbname, safe='')}"

    def _popen(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        if "-k" in command:  # The server: where it listens is what its last words say.
            command = [*command, "-h", HOST, "-p", self._port]
        return super()._popen(command, log)
