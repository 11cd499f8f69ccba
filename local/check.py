"""All that is checked about the code without running it: `python3 dev.py check`.

Every check runs even if another has failed, so one run shows everything there is to mend.
"""

from __future__ import annotations

import concurrent.futures
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from local import advisories, licences, scratch, wheels

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
TOOLS = Path(sys.executable).parent
UNTYPED = {"tests", "clients"}
"""Tests, and what runs inside a ComfyUI, whose modules are not here."""

Outcome = tuple[bool, str]
"""Whether it is as it should be, and what is wrong; or of what it warns."""


def main() -> int:
    """Run every check; return 1 if one failed."""
    os.chdir(ROOT)
    os.environ.setdefault("DATABASE_URL", scratch.NOT_A_DATABASE)
    with tempfile.TemporaryDirectory() as data:
        scratch.set_placeholders(Path(data))
        checks: dict[str, Callable[[], Outcome]] = {
            "format": lambda: tool("ruff", "format", "--check", "."),
            "lint": lambda: tool("ruff", "check", "."),
            "types": types,
            "imports": lambda: tool("lint-imports"),
            "bandit": bandit,
            "migrations": migrations,
            "expand": expand,
            "templates": templates,
            "lock": lock,
            "wheel": wheel,
            "licences": licences.check,
            "advisories": advisories.check,
        }
        failed = False
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            running = {name: pool.submit(check) for name, check in checks.items()}
            for name, outcome in running.items():
                good, said = outcome.result()
                print(f"{name:<12}{'ok' if good else 'FAILED'}", flush=True)
                if said.strip():
                    print(said.strip(), flush=True)
                failed |= not good
    return int(failed)


def run(*command: str) -> Outcome:
    """Run one command; it is right when it exits with 0."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return False, f"{command[0]}: {error.strerror}"
    return (False, done.stdout + done.stderr) if done.returncode else (True, "")


def tool(name: str, *arguments: str) -> Outcome:
    """Run a tool of this environment."""
    return run(str(TOOLS / name), *arguments)


def types() -> Outcome:
    """Run mypy over every folder at the top that holds Python, and the programs beside them."""
    folders = sorted(
        path.name
        for path in ROOT.iterdir()
        if path.is_dir()
        and not path.name.startswith(".")
        and path.name not in UNTYPED
        and next(path.rglob("*.py"), None)
    )
    programs = sorted(path.name for path in ROOT.glob("*.py"))
    return tool("mypy", "--config-file", "pyproject.toml", *folders, *programs)


def bandit() -> Outcome:
    """See that bandit finds nothing in the product of medium weight and confidence, or more."""
    return tool("bandit", "-q", "-r", "-ll", "-ii", *map(str, wheels.packages()))


def migrations() -> Outcome:
    """See that the migrations make what the models say; no database is asked."""
    django = (sys.executable, "-W", "ignore::RuntimeWarning", "manage.py")
    return run(*django, "makemigrations", "--check", "--dry-run")


def expand() -> Outcome:
    """See that what runs can take the new migrations (expand.py); no database is asked."""
    return run(sys.executable, "-W", "ignore::RuntimeWarning", "-m", "local.expand")


def templates() -> Outcome:
    """See to the format of the templates, if there are any."""
    folders = [
        str(path.relative_to(ROOT))
        for path in ROOT.glob("[!.]*/**/templates")
        if next(path.rglob("*.html"), None)
    ]
    return tool("djlint", "--check", "--quiet", *folders) if folders else (True, "")


def lock() -> Outcome:
    """See that the lock is what pyproject.toml resolves to, and names no address."""
    text = LOCK.read_text()
    if "://" in text:
        return False, "requirements.lock holds an address: compile it with --no-emit-index-url."
    if (uv := the_uv()) is None:
        return False, "uv is needed to check the lock, and is not here."
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / LOCK.name
        copy.write_text(text)  # What it holds is kept wherever pyproject.toml still allows it.
        options = ("--universal", "--generate-hashes", "--no-emit-index-url", "--no-header")
        good, said = run(
            *(uv, "pip", "compile", "-q", "--python", sys.executable, *options),
            *("--group", "dev", "pyproject.toml", "-o", str(copy)),
        )
        fresh = copy.read_text().splitlines()
    if not good:
        return False, said
    difference = list(
        difflib.unified_diff(text.splitlines(), fresh, "requirements.lock", "resolved", lineterm="")
    )
    return not difference, "\n".join(difference[:60])


def the_uv() -> str | None:
    """Return the program uv, if there is one."""
    return os.environ.get("UV") or shutil.which("uv")


def wheel() -> Outcome:
    """Build the wheel, and see that it holds the product, whose programs start from it alone."""
    if (uv := the_uv()) is None:
        return False, "uv is needed to build the wheel, and is not here."
    with tempfile.TemporaryDirectory() as folder:
        good, said = run(uv, "build", "-q", "--wheel", "-o", folder, "--clear", str(ROOT))
        if not good:
            return False, said
        (made,) = Path(folder).glob("*.whl")
        return wheels.problems(made, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
