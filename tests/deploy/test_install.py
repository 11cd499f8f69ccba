"""docs/install.md is done, block by block, in a folder that stands for a bare machine.

The commands are those of the page. What only a whole machine has is stood in for: `sudo` runs what
it is given, `systemctl` starts the command line of a unit with that unit's file of settings, and
the addresses of PostgreSQL, the broker and Stripe lead to those of this test.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import pytest

from local import postgres
from local.check import the_uv
from local.postgres import Cluster
from local.processes import free_port
from local.up import embedded_broker

pytestmark = [pytest.mark.system, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PLACES = ("/etc/platform", "/etc/systemd", "/etc/nginx", "/opt/platform", "/var/lib/platform",
          "/var/backups/platform", "/usr/local/bin/platform", "/usr/lib/sysusers.d")  # fmt: skip
LIBRARIES = "sudo /opt/platform/bin/pip install --require-hashes -r requirements.lock"
SETTINGS = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
OURS = re.compile(rf"(PYTEST|COV_|PYTHONPATH|DJANGO|{'|'.join(SETTINGS)})")
"""What a test's own environment has, and a machine has not."""
KEPT = "^(OWNER=|PROGRAMS=|STRIPE=|SECRET=|cd )"
WHEEL = "python3 -m pip wheel --no-deps -w release ."

SUDO = """#!/bin/sh
[ "$1" = -u ] && shift 2
exec env "$@"
"""
AS_WE_ARE = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
INSTALL = """#!{python}
import os, sys
words = sys.argv[1:]
for option in ("-o", "-g"):
    while option in words:
        at = words.index(option)
        del words[at : at + 2]
os.execv("/usr/bin/install", ["install", *words])
"""
NOTED = """#!/bin/sh
echo "$0 $*" >> "{root}/asked"
"""
SYSTEMCTL = """#!{python}
import os, pathlib, re, signal, subprocess, sys, time
root = pathlib.Path("{root}")
with (root / "asked").open("a") as noted:
    noted.write("systemctl " + " ".join(sys.argv[1:]) + chr(10))
verb, names = sys.argv[1], [each for each in sys.argv[2:] if not each.startswith("-")]
for name in names if verb in ("enable", "restart") else []:
    file = root / "etc/systemd/system" / f"{name}.service"
    if not file.exists():
        continue
    unit = file.read_text()
    environment = dict(os.environ, **dict(re.findall(r"^Environment=([A-Z_]+)=(.*)$", unit, re.M)))
    environment["PATH"] = os.environ["PATH"]
    told = re.search(r"^EnvironmentFile=(.*)$", unit, re.M)[1]
    pidfile = root / "run" / name
    if pidfile.exists():
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
        for _ in range(600):  # It is not our child, so nothing waits for it.
            if not pathlib.Path(f"/proc/{pidfile.read_text()}").exists():
                break
            time.sleep(0.05)
    start = re.search(r"^ExecStart=(.*)$", unit, re.M)[1].replace("%%", "%")
    start = start.replace("/bin/celery ", "/bin/python -m celery ")
    script = f"set -a; . {told}; set +a; exec {start}"
    log = (root / f"{name}.log").open("ab")
    child = subprocess.Popen(["sh", "-c", script], cwd=root / "var/lib/platform", env=environment,
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True)
    pidfile.write_text(str(child.pid))
"""


class Machine:
    """A folder with what a machine has: places, programs, a database, and the way to Stripe."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin = root, root / "bin"
        self.cluster = Cluster(root / "pg")
        self.port, self.stripe_port = free_port(), free_port()
        self.stripe: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not OURS.match(name)},
            "PATH": os.pathsep.join([str(self.bin), str(root / "usr/local/bin"), self._programs()]),
            "TMPDIR": str(root / "tmp"),
            "PGUSER": "postgres",
            "UV": the_uv() or "",
        }

    def _programs(self) -> str:
        return f"{postgres.programs()}{os.pathsep}{os.environ['PATH']}"

    def start(self) -> None:
        for name in ("bin", "run", "tmp", "usr/local/bin", "usr/lib/sysusers.d", "etc/nginx/conf.d",
                     "etc/systemd/system", "var/backups", "var/lib", "opt"):  # fmt: skip
            (self.root / name).mkdir(parents=True)
        programs = {"sudo": SUDO, "setpriv": AS_WE_ARE, "install": INSTALL, "systemctl": SYSTEMCTL}
        programs |= dict.fromkeys(("apt-get", "systemd-sysusers", "nginx"), NOTED)
        for name, text in programs.items():
            text = text.replace("{python}", sys.executable).replace("{root}", str(self.root))
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self._verifier()
        self.cluster.start()
        self.environment["PGHOST"] = str(self.cluster._socket)
        self.cluster.create_database("broker")
        words = [sys.executable, "-m", "sandbox.stripe", "--port", str(self.stripe_port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.stripe = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        shutil.copytree(ROOT, self.root / "source", ignore=self._not_of_a_release, symlinks=True)

    @staticmethod
    def _not_of_a_release(folder: str, names: list[str]) -> list[str]:
        return [each for each in names if each.startswith((".venv", ".boot", ".git", ".data"))
                or each in ("tests", "bench", "__pycache__", ".mypy_cache")]  # fmt: skip

    def _verifier(self) -> None:
        """The wheel of PostgreSQL has a pg_verifybackup that cannot start (test_restore.py)."""
        (self.bin / "pg_verifybackup").write_text("#!/bin/sh\n")
        (self.bin / "pg_verifybackup").chmod(0o755)

    def run(self, block: str) -> str:
        """Run a block; the shell's variables and its folder are kept for the next one."""
        kept, words = self.root / "kept", self._moved(block)
        if not kept.exists():
            kept.write_text(f"cd {self.root}/source\n")
        script = f". {kept}\nset -eu\n{words}\n"
        script += f"{{ set; echo \"cd '$PWD'\"; }} | grep -E '{KEPT}' > {kept}\n"
        done = subprocess.run(
            ["sh", "-c", script], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}{self._logs()}"
        if "deploy" in block and (release := self.root / "source" / "release").exists():
            self._move_files(release / "deploy")
        return done.stdout

    def _moved(self, text: str) -> str:
        text = text.replace(WHEEL, "$UV build -q --wheel -o release .")
        text = text.replace(LIBRARIES, self._lend())
        broker = embedded_broker(self.cluster.url("broker"))
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        text = text.replace("@localhost/platform", f"@/platform?host={self._socket()}")
        options = broker["CELERY_BROKER_OPTIONS"].replace("'", "")
        text = text.replace(
            "CELERY_BROKER_URL=redis://localhost/0",
            f"CELERY_BROKER_URL={broker['CELERY_BROKER_URL']}\n"
            f"CELERY_BROKER_OPTIONS='{options}'\n"
            f"STRIPE_API_BASE=http://127.0.0.1:{self.stripe_port}",
        )
        text = text.replace("https://api.stripe.com", f"http://127.0.0.1:{self.stripe_port}")
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    def _socket(self) -> str:
        return str(self.cluster._socket).replace("/", "%2F")

    def _lend(self) -> str:
        """Have the libraries of this environment in the place of those that pip would bring."""
        libraries = sysconfig.get_path("purelib")
        site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        return f"echo {libraries} > /opt/platform/{site}/lent.pth"

    def _move_files(self, folder: Path) -> None:
        for file in folder.rglob("*"):
            if file.suffix in (".sh", ".service", ".conf") and file.is_file():
                text = file.read_text()
                for place in PLACES:
                    text = re.sub(
                        rf"(?<!{re.escape(str(self.root))}){place}", f"{self.root}{place}", text
                    )
                text = text.replace("--port 8000", f"--port {self.port}").replace(
                    "--workers 4", "--workers 2"
                )
                text = text.replace("/run/platform", f"{self.root}/run")
                file.write_text(text)

    def _logs(self) -> str:
        return "".join(
            f"\n{each.name}: {each.read_text()[-1500:]}" for each in self.root.glob("*.log")
        )

    def stop(self) -> None:
        for pidfile in (self.root / "run").glob("platform-*"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.killpg(int(pidfile.read_text()), signal.SIGKILL)
        if self.stripe is not None:
            self.stripe.kill()
            self.stripe.wait()
        self.cluster.stop()

    def asked(self, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Host": "credits.example.org", **headers},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path / "machine")
    try:
        (tmp_path / "machine").mkdir()
        made.start()
        yield made
    finally:
        made.stop()


def test_a_stranger_installs_by_the_page(machine):
    if not the_uv():
        pytest.skip("uv is needed to build the wheel")
    said = [machine.run(block) for block in BLOCKS]

    status, body = machine.asked("/ready")
    assert (status, json.loads(body)["ready"]) == (200, True)
    key = re.search(r"comfyui-[0-9a-f]{64}", "".join(said))
    assert key, said
    end = time.monotonic() + 60
    while not all(json.loads(machine.asked("/ready")[1])[each] for each in ("worker", "jobs")):
        assert time.monotonic() < end, machine._logs()
        time.sleep(0.5)
    _, balance = machine.asked("/customers/balance", **{"X-API-KEY": key[0]})
    assert json.loads(balance)["amount_micros"] == 500.0

    last = said[-1]
    assert "DIFFERS" not in last
    for line in ("role: programs may do what programs do", "webhook: Stripe tells",
                 "vendor accounts: 1 are written", "queue jobs:"):  # fmt: skip
        assert line in last, last
    assert not [each for each in last.splitlines() if each.startswith("FAILED  secrets")]
    noted = (machine.root / "asked").read_text()
    for wanted in ("apt-get install -y python3-venv postgresql", "systemd-sysusers", "nginx -t",
                   "systemctl enable --now platform-backup.timer"):  # fmt: skip
        assert wanted in noted
    (backup,) = (machine.root / "var/backups/platform/base").iterdir()
    assert (backup / "backup_manifest").exists()


def test_the_page_has_what_is_run_and_says_what_is_not():
    assert len(BLOCKS) >= 12
    by_hand = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert ["certbot" in block for block in by_hand] == [True]
    assert len(re.findall(r"^```\w", PAGE, re.MULTILINE)) == len(BLOCKS) + len(by_hand)
