"""A ComfyUI of one's own, taken through every dialect: `python3 dev.py machine ADDRESS`.

A platform of its own starts on this machine with that ComfyUI as its only machine for runs, in a
folder that is thrown away; with --data the one of a running `up` is asked. It prints a table, and
its exit status is 0 where every line is right. For paid nodes the ComfyUI must be started with

    --comfy-api-base http://127.0.0.1:PORT          (PORT: 8100, or --port)

and lines that need our own node (clients/comfyui-demo-nodes) are left out where it has none.
COMFYUI_TOKEN is what it asks for, if it does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from local.proving.faces import Platform, Wrong
from local.proving.steps import STEPS, Ground

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
STARTED_IN_SECONDS = 600
EMAIL, DOLLARS = "proof@example.org", "5"


def main(arguments: Sequence[str] | None = None) -> int:
    """Take it through all; return 0 if all of it is right."""
    parser = argparse.ArgumentParser(prog="dev.py machine", description=__doc__.split("\n", 1)[0])
    parser.add_argument("address", help="of the ComfyUI, like http://127.0.0.1:8188")
    parser.add_argument("--port", type=int, default=8100, help="of the platform (8100)")
    parser.add_argument("--data", type=Path, help="of a running `up` that has it as a machine")
    parser.add_argument("--only", default="", help="only lines with this in their name")
    options = parser.parse_args(arguments)
    machine, token = options.address.rstrip("/"), os.environ.get("COMFYUI_TOKEN", "")
    with running(options.data, machine, options.port) as data:
        return asyncio.run(proved(machine, token, member(data), options.only))


async def proved(machine: str, token: str, who: dict[str, str], only: str) -> int:
    """Print a line for each step; return how the whole ended."""
    limit = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=limit) as session:
        ground = Ground(Platform(session, who["base_url"], who["api_key"]), machine, token)
        version = (await ground.ask("/system_stats"))["system"]["comfyui_version"]
        there = await ground.ask("/object_info")
        print(f"ComfyUI {version}, {len(there)} classes of nodes", flush=True)
        wrong = 0
        for step in (each for each in STEPS if only in each.name):
            begun = time.monotonic()
            missing = [each for each in step.needs if each not in there]
            if missing:
                print(f"  left out  {step.name:<28} no {', '.join(missing)}", flush=True)
                continue
            try:
                word, facts = "right", await step.work(ground)
            except (Wrong, aiohttp.ClientError, TimeoutError, LookupError) as why:
                word, facts, wrong = "WRONG", f"{type(why).__name__}: {why}"[:600], wrong + 1
            took = time.monotonic() - begun
            print(f"  {word:<8}  {step.name:<28} {facts}  ({took:.1f} s)", flush=True)
    print(f"{wrong} wrong" if wrong else "all right")
    return 1 if wrong else 0


@contextmanager
def running(data: Path | None, machine: str, port: int) -> Iterator[Path]:
    """Return the folder of an `up` with that machine: the given one, or one while this lasts."""
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="machine-") as made:
        words = [sys.executable, "-m", "local.up", "--port", f"{port}", "--data", made]
        told = {**os.environ, "COMFYUI_URL": machine}
        started = subprocess.Popen(words, cwd=ROOT, env=told, stdout=subprocess.DEVNULL)
        try:
            _wait(started, Path(made) / "demo.json")
            yield Path(made)
        finally:
            started.terminate()
            started.wait(60)


def member(data: Path) -> dict[str, str]:
    """Return where the platform is, and the key of a member who can pay for all of it."""
    kept = json.loads((data / "environment.json").read_text())

    def manage(*words: str) -> Any:
        command = [sys.executable, "manage.py", *words, "--json"]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **kept}, check=True, capture_output=True
        )
        return json.loads(done.stdout)

    why = ["--by", manage("member", "list", "--staff")[0]["email"], "--reason", "a proof"]
    scopes = (word for scope in ("proxy", "runs") for word in ("--scope", scope))
    words = ["member", "add", EMAIL, "--credits", DOLLARS, *why]
    key = manage(*words, "--key", "proof", *scopes)["api_key"]
    manage("member", "limit", EMAIL, "any", *why)
    base_url = json.loads((data / "demo.json").read_text())["base_url"]
    return {"base_url": base_url, "api_key": key}


def _wait(started: subprocess.Popen[bytes], file: Path) -> None:
    for _ in range(STARTED_IN_SECONDS):
        if file.exists():
            return
        if started.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit("machine: dev.py up did not start.")


if __name__ == "__main__":
    sys.exit(main())
