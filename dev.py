"""The two commands of this project, on a machine that has nothing but Python 3.11.

    python3 dev.py up       everything on this machine, and one metered call (--help lists flags)
    python3 dev.py test     all tests, on a throw-away PostgreSQL; arguments go to pytest
                            (--no-browser: without those that need Chromium; --quick: without
                            those that start programs or are slow, one case of each; --cov:
                            and which branches of credits/ and proxy/ they took)
    python3 dev.py mutate   break each money rule in a copy: some test must fail (NAME: only that)
    python3 dev.py check    format, lint, types, import contracts, migrations, templates, lock
    python3 dev.py bench    the speed table
    python3 dev.py cluster  three machines on one; --prove kills one after the other, under load
    python3 dev.py chaos    programs die, disks fill, people move money, while members call
    python3 dev.py manage   manage.py, on what a running `up` works on
    python3 dev.py code     the second factor of somebody of `up --demo`'s staff, now
    python3 dev.py licences write THIRD_PARTY.md from the lock
    python3 dev.py advisories   renew what is known of vulnerabilities in it (needs a network)
    python3 dev.py sdks     vendors' own libraries against what `up` starts (installed apart)
    python3 dev.py vendors  write the documents' tables of what can be called
    python3 dev.py messages renew the catalogues of translations (docs/translating.md)
    python3 dev.py machine  take a ComfyUI that is there through every dialect of runs

It uses the standard library only, because it is what brings the rest: uv into `.boot`, and the
hash-checked `requirements.lock` into `.venv`. Then it becomes the command that was asked for, in
the same process, so a Ctrl-C reaches that command once and its exit status is ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
BOOT = ROOT / ".boot"
STAMP = VENV / ".installed"
UV = "uv==0.13.8"
COMMANDS = {
    "up": ["-m", "local.up"],
    "test": ["-m", "local.testing"],
    "check": ["-m", "local.check"],
    "mutate": ["-m", "local.mutate"],
    "bench": ["-m", "bench"],
    "cluster": ["-m", "local.cluster"],
    "chaos": ["-m", "tests.chaos"],
    "manage": ["-m", "local.manage"],
    "code": ["-m", "local.code"],
    "licences": ["-m", "local.licences"],
    "advisories": ["-m", "local.advisories"],
    "sdks": ["-m", "local.sdks"],
    "vendors": ["-m", "local.vendors"],
    "messages": ["-m", "local.messages"],
    "machine": ["-m", "local.proving"],
}


class Unprepared(Exception):
    """The environment could not be made; the message is the one line that says why."""


def main() -> int:
    """Run the command that was asked for; never return when that succeeds."""
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name not in COMMANDS:
        print(__doc__, file=sys.stdout if name in {"-h", "--help"} else sys.stderr)
        return 0 if name in {"-h", "--help"} else 2
    if sys.version_info < (3, 11):  # noqa: UP036  An older Python deserves a sentence.
        print("dev.py: Python 3.11 or newer is needed.", file=sys.stderr)
        return 1

    os.chdir(ROOT)
    try:
        environment = prepare()
    except Unprepared as why:
        print(f"dev.py: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.flush()
    python = str(interpreter())
    os.execve(python, [python, *COMMANDS[name], *arguments], environment)  # noqa: S606  No shell.
    raise AssertionError  # What became another program does not come back.


def prepare() -> dict[str, str]:
    """Make `.venv` hold exactly the lock, and return the environment to run in.

    When the stamp says that it already does, nothing is looked at or asked for.
    """
    environment = {
        **os.environ,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        # Kept, but not beside the code: where nothing is kept, each process starts seconds later.
        "PYTHONPYCACHEPREFIX": str(BOOT / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    uv = shutil.which("uv") or shutil.which("uv", path=str(BOOT / "bin"))
    stamp = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {version_of(Path(sys.executable))}"
    if not (interpreter().exists() and STAMP.exists() and STAMP.read_text() == stamp):
        require_writable()
        uv = uv or bring_uv()
        install(uv, environment)
        put_on_path()
        STAMP.write_text(stamp)
    if uv:
        environment["UV"] = uv
    return environment


def interpreter() -> Path:
    """Return the Python of `.venv`, whether or not it exists yet."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def version_of(python: Path) -> str:
    """Return what `python` calls itself, or nothing if it does not run."""
    if python == Path(sys.executable):
        return sys.version
    command = [str(python), "-c", "import sys; sys.stdout.write(sys.version)"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def require_writable() -> None:
    """Refuse, in a sentence, a folder into which nothing can be installed."""
    try:
        VENV.mkdir(exist_ok=True)
        BOOT.mkdir(exist_ok=True)
        STAMP.unlink(missing_ok=True)
        (BOOT / ".written").write_text("")
    except OSError as error:
        raise Unprepared(
            f"{ROOT} must be writable to install into it ({error.strerror})."
        ) from None


def bring_uv() -> str | None:
    """Put uv into `.boot`; None where pip cannot get it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        run([*pip, "--target", str(BOOT), "--upgrade", UV], dict(os.environ))
    except Unprepared:
        return None
    return shutil.which("uv", path=str(BOOT / "bin"))


def install(uv: str | None, environment: dict[str, str]) -> None:
    """Make `.venv` hold the lock: by uv, or by pip where uv is missing or cannot."""
    print("Installing requirements.lock into .venv ...", flush=True)
    fresh = version_of(interpreter()) != sys.version
    problem = ""
    if uv:
        try:
            if fresh:
                run([uv, "venv", "-q", "--clear", "--python", sys.executable, ".venv"], environment)
            sync = [uv, "pip", "sync", "-q", "--python", str(interpreter())]
            run([*sync, "--require-hashes", LOCK.name], environment)
        except Unprepared as why:
            problem = f" (uv: {why})"
        else:
            return
    try:
        if fresh:
            venv = [sys.executable, "-m", "venv", "--clear", "--without-pip", ".venv"]
            run(venv, environment)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        pip += ["--python", str(interpreter()), "install", "--quiet"]
        run([*pip, "--require-hashes", "-r", LOCK.name], environment)
    except Unprepared as why:
        raise Unprepared(f"the environment could not be installed: {why}{problem}") from None


def put_on_path() -> None:
    """Have `.venv` find the product's packages here, from whatever folder its Python is started."""
    wanted = [path for path in VENV.glob("[Ll]ib/**/site-packages") if path.is_dir()]
    for folder in wanted:
        (folder / "comfy-platform.pth").write_text(f"{ROOT}\n{ROOT / 'platform'}\n")


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a step of the installation quietly; raise its last line if it fails."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise Unprepared(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")]
        raise Unprepared((errors or said or [f"exit status {done.returncode}"])[-1])


if __name__ == "__main__":
    sys.exit(main())
