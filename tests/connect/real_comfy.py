"""A real ComfyUI, started in each of the ways of docs/connect.md: for test_real_comfy.py alone.

Its folder is only read. Each has a file of hosts of its own, which names the platform; one in the
network has, like a container, a network of its own, reached from this machine by a pair of virtual
devices. A container has besides its own root, user and environment, and of the machine's files only
the programs. Linux, root, `ip`, `unshare` and `chroot` do that, as an engine of containers does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.processes import free_port

NODE = Path(__file__).resolve().parents[2] / "clients" / "comfyui-credits"
STARTED_IN_SECONDS = 300
USER = 1000
NOBODY_ELSES = "10.213"
"""Two addresses below it are one network's: of this machine, and of the ComfyUI."""

ROOT = """
set -eu
mount --make-rprivate /
mount -t tmpfs none {root}
cd {root}
mkdir -p proc dev tmp etc data ComfyUI layers usr {parents}
chmod 1777 tmp
for each in bin sbin lib lib64; do ln -s usr/$each $each; done
mount --rbind -o ro /usr usr
for each in {programs}; do mount --bind -o ro $each .$each; done
mkdir -p layers/upper/user layers/upper/output layers/upper/temp layers/upper/input layers/work
chown -R {user}:{user} layers/upper data
mount -t overlay overlay -o lowerdir={comfy},upperdir=layers/upper,workdir=layers/work ComfyUI
mkdir -p ComfyUI/custom_nodes/comfyui-credits
mount --bind {node} ComfyUI/custom_nodes/comfyui-credits
mount -o remount,bind,ro ComfyUI/custom_nodes/comfyui-credits
cp {hosts} etc/hosts
cp {authority} etc/platform.pem
cp /etc/ld.so.cache etc/
echo 'comfy:x:{user}:{user}::/tmp:/bin/sh' > etc/passwd
mount -t proc proc proc
for each in null zero random urandom; do touch dev/$each; mount --bind /dev/$each dev/$each; done
cd ComfyUI
exec chroot --userspec={user}:{user} {root} /usr/bin/env -i PATH=/usr/bin HOME=/tmp \
    {variables} /bin/sh -c 'cd /ComfyUI && exec "$@"' sh {command}
"""


@dataclass
class Installed:
    """Where ComfyUI lies, and by which Python it runs."""

    folder: Path
    python: Path

    def prefixes(self) -> list[str]:
        """Return the folders that its Python needs."""
        say = "import sys; print(sys.prefix, sys.base_prefix)"
        done = subprocess.run([self.python, "-c", say], capture_output=True, text=True, check=True)
        return sorted({each for each in done.stdout.split() if not each.startswith("/usr")})


@dataclass
class Ways:
    """How ComfyUIs are started here, and what they know of the platform."""

    installed: Installed
    folder: Path
    host: str
    authority: Path
    count: int = 0
    logs: list[Path] = field(default_factory=list)

    @contextmanager
    def plain(self, *words: str, has_node: bool, **variables: str) -> Iterator[str]:
        """Start one on this machine; return its address."""
        port = free_port()
        command = self._command(port, *words, "--base-directory", str(self._base(has_node)))
        script = f"mount --bind {self._hosts('127.0.0.1')} /etc/hosts; exec {shlex.join(command)}"
        with self._running(["unshare", "-m", "sh", "-c", script], self._told(variables)) as log:
            yield self._await(f"http://127.0.0.1:{port}", log)

    @contextmanager
    def in_the_network(self, **variables: str) -> Iterator[str]:
        """Start one that is reached by an address of its own alone; return that."""
        with self._network() as (name, ours, theirs):
            words = ["--listen", "0.0.0.0", "--base-directory", str(self._base(True))]
            script = f"mount --bind {self._hosts(ours)} /etc/hosts; exec " + shlex.join(
                self._command(8188, *words)
            )
            command = ["ip", "netns", "exec", name, "unshare", "-m", "sh", "-c", script]
            with self._running(command, self._told(variables)) as log:
                yield self._await(f"http://{theirs}:8188", log)

    @contextmanager
    def in_a_container(self, **variables: str) -> Iterator[str]:
        """Start one with nothing of the machine but its programs; return its address."""
        with self._network() as (name, ours, theirs):
            told = {"SSL_CERT_FILE": "/etc/platform.pem", **variables}
            root = self.folder / f"root-{self.count}"
            root.mkdir()
            programs = self.installed.prefixes()
            script = ROOT.format(
                root=root,
                parents=" ".join(each.lstrip("/") for each in programs),
                programs=" ".join(programs),
                user=USER,
                comfy=self.installed.folder,
                node=NODE,
                hosts=self._hosts(ours),
                authority=self.authority,
                variables=shlex.join(f"{key}={value}" for key, value in told.items()),
                command=shlex.join(self._command(8188, "--listen", "0.0.0.0", main="main.py")),
            )
            command = ["ip", "netns", "exec", name, "unshare", "-m", "-u", "-i", "-p", "-f"]
            command += ["--kill-child", "sh", "-c", script]
            with self._running(command, dict(os.environ)) as log:
                yield self._await(f"http://{theirs}:8188", log)

    def _command(self, port: int, *words: str, main: str = "") -> list[str]:
        main = main or str(self.installed.folder / "main.py")
        return [str(self.installed.python), main, "--cpu", "--port", f"{port}", *words]

    def _base(self, has_node: bool) -> Path:
        """Make a place for its files, with our node or without."""
        self.count += 1
        base = self.folder / f"base-{self.count}"
        (base / "custom_nodes").mkdir(parents=True)
        if has_node:
            shutil.copytree(NODE, base / "custom_nodes" / NODE.name)
        return base

    def _hosts(self, address: str) -> Path:
        file = self.folder / f"hosts-{address}"
        file.write_text(f"127.0.0.1 localhost\n{address} {self.host}\n")
        return file

    def _told(self, variables: dict[str, str]) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COMFYUI"))}
        return {**inherited, "SSL_CERT_FILE": str(self.authority), **variables}

    @contextmanager
    def _network(self) -> Iterator[tuple[str, str, str]]:
        """Make a network of two; return its name, our address in it, and the other."""
        self.count += 1
        below = f"{NOBODY_ELSES}.{os.getpid() % 250}.{self.count * 4 % 248}".rpartition(".")
        ours, theirs = (f"{below[0]}.{int(below[2]) + each}" for each in (1, 2))
        name, device = f"comfy{os.getpid()}n{self.count}", f"cf{os.getpid() % 10**7}n{self.count}"
        inside = ["ip", "netns", "exec", name]
        done_by(["ip", "netns", "add", name])
        try:
            done_by(
                ["ip", "link", "add", device, "type", "veth", "peer", "name", "eth0",
                 "netns", name],
                ["ip", "addr", "add", f"{ours}/30", "dev", device],
                ["ip", "link", "set", device, "up"],
                [*inside, "ip", "addr", "add", f"{theirs}/30", "dev", "eth0"],
                [*inside, "ip", "link", "set", "eth0", "up"],
                [*inside, "ip", "link", "set", "lo", "up"],
            )  # fmt: skip
            yield name, ours, theirs
        finally:
            done_by(["ip", "netns", "del", name])

    @contextmanager
    def _running(self, command: list[str], environment: dict[str, str]) -> Iterator[Path]:
        self.count += 1
        log = self.folder / f"comfy-{self.count}.log"
        with log.open("wb") as to:
            process = subprocess.Popen(
                command, env=environment, stdout=to, stderr=to, start_new_session=True
            )
        try:
            yield log
        finally:
            # A container's first program hears no other signal.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def _await(self, address: str, log: Path) -> str:
        end = time.monotonic() + STARTED_IN_SECONDS
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{address}/system_stats", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
            else:
                self.logs.append(log)
                return address
        raise AssertionError(log.read_text(errors="replace")[-5000:])


def done_by(*commands: list[str]) -> None:
    for command in commands:
        subprocess.run(command, check=True)


def proved(address: str, key: str = "") -> str:
    """Run clients/prove.py as docs/connect.md says; return what it printed."""
    words = [sys.executable, str(NODE.parent / "prove.py"), address]
    words += ["--key", key] if key else []
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
