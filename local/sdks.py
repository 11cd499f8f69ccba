"""Vendors' own libraries against the sandbox and the platform: `python3 dev.py sdks`.

They are a group of pyproject.toml, locked in `tests/sdks/requirements.lock`, and live in
`.sdks`: no other command installs or imports them. One is for JavaScript: it comes by npm, if that
is here, from `tests/sdks/node`, and is left out where it is not. What runs is a `dev.py up` of its
own, in a folder that is thrown away, or the one whose folder is given (`--data`). Further arguments
go to pytest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local import passing, processes
from sandbox import tour

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "sdks"
LOCK = FOLDER / "requirements.lock"
SCRIPTS = FOLDER / "node"
PLACE = ROOT / ".sdks"
NODE = PLACE / "node"
PYTHON = PLACE / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main(arguments: Sequence[str] | None = None) -> int:
    """Install what is locked, have something run, and run the tests; return pytest's status."""
    parser = argparse.ArgumentParser(prog="dev.py sdks", description=__doc__)
    parser.add_argument("--data", type=Path, help="of a running `up`")
    options, words = parser.parse_known_args(arguments)
    install()
    install_scripts()
    with passing.running(options.data, port=processes.free_port()) as data:
        command = [str(PYTHON), "-m", "pytest", "-c", str(FOLDER / "pytest.ini")]
        command += ["--confcutdir", str(FOLDER), "--rootdir", str(FOLDER), *words]
        return subprocess.run(command, env=told(data), cwd=FOLDER, check=False).returncode


def install() -> None:
    """Have `.sdks` hold exactly the lock."""
    stamp, wanted = PLACE / ".installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {LOCK.relative_to(ROOT)} into {PLACE.name} ...", flush=True)
    uv = os.environ.get("UV")
    if uv is None:
        raise SystemExit("sdks: uv is needed, which dev.py brings.")
    made = [uv, "venv", "-q", "--clear", "--python", sys.executable, str(PLACE)]
    subprocess.run(made, check=True)
    sync = [uv, "pip", "sync", "-q", "--python", str(PYTHON), "--require-hashes", str(LOCK)]
    subprocess.run(sync, check=True)
    stamp.write_text(wanted)


def install_scripts() -> None:
    """Have the scripts in `.sdks`, beside exactly what their lock says, where npm is here."""
    npm = shutil.which("npm")
    if npm is None:
        return
    shutil.rmtree(NODE, ignore_errors=True)
    shutil.copytree(SCRIPTS, NODE)
    subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True)


def told(data: Path) -> dict[str, str]:
    """Return the environment of the tests: where what is, and by which keys."""
    kept = json.loads((data / "environment.json").read_text())
    base_url = json.loads((data / "demo.json").read_text())["base_url"]
    kept.pop("PROMETHEUS_MULTIPROC_DIR", None)
    return {
        **os.environ,
        "SDK_SANDBOX": kept["VENDOR_BASE_URL"],
        "SDK_SANDBOX_KEY": kept["SANDBOX_KEY"],
        "SDK_GOOGLE": kept["SANDBOX_SERVICE_ACCOUNT"],
        "SDK_PROXY": f"{base_url}/proxy/{{vendor}}",
        "SDK_SCRIPTS": str(NODE) if (NODE / "node_modules").exists() else "",
        "SDK_PROXY_KEY": tour.payer({**os.environ, **kept}),
        "SDK_RUNS": base_url,
        "SDK_RUNS_KEY": tour.payer({**os.environ, **kept}, "runs"),
    }


if __name__ == "__main__":
    sys.exit(main())
