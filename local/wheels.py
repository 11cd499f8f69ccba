"""What an installed wheel must hold, and whether its programs start where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("config.web", "config.manage")
FILES = {".py", ".html", ".css", ".js", ".txt", ".json", ".svg", ".woff2", ".mo"}


def packages() -> list[Path]:
    """Return the folders that pyproject.toml packs."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [ROOT / name for name in told["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


def problems(wheel: Path, folder: Path) -> tuple[bool, str]:
    """Return whether the wheel is whole and works, and what is wrong."""
    with zipfile.ZipFile(wheel) as packed:
        held = set(packed.namelist())
        packed.extractall(folder / "installed")
    missing = sorted(needed() - held)
    if missing:
        return False, "the wheel lacks " + ", ".join(missing[:20])
    said = [f"{name}: {wrong}" for name in PROGRAMS if (wrong := started(name, folder))]
    return not said, "\n".join(said)


def needed() -> set[str]:
    """Return the name in the wheel of each file of the product."""
    return {
        str(file.relative_to(package.parent))
        for package in packages()
        for file in package.rglob("*")
        if file.suffix in FILES and "__pycache__" not in file.parts
    }


def started(module: str, folder: Path) -> str:
    """Start a program with the wheel alone, and no settings; return what is wrong with it."""
    libraries = sysconfig.get_path("purelib")
    done = subprocess.run(
        [sys.executable, "-S", "-m", module, *(["migrate"] if module == "config.manage" else [])],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{folder / 'installed'}:{libraries}"},
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = "DATABASE_URL is missing"
    if done.returncode == 1 and wanted in done.stderr and "Traceback" not in done.stderr:
        return ""
    return f"exit status {done.returncode}, {(done.stderr or done.stdout).strip()[-500:]}"
