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
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from local import passing
from local.proving.faces import Platform, Wrong
from local.proving.steps import STEPS, Ground
from sandbox import tour

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Take it through all; return 0 if all of it is right."""
    parser = argparse.ArgumentParser(prog="dev.py machine", description=__doc__.split("\n", 1)[0])
    parser.add_argument("address", help="of the ComfyUI, like http://127.0.0.1:8188")
    parser.add_argument("--port", type=int, default=8100, help="of the platform (8100)")
    parser.add_argument("--data", type=Path, help="of a running `up` that has it as a machine")
    parser.add_argument("--only", default="", help="only lines with this in their name")
    options = parser.parse_args(arguments)
    machine, token = options.address.rstrip("/"), os.environ.get("COMFYUI_TOKEN", "")
    with passing.running(
        options.data, port=options.port, is_quiet=True, COMFYUI_URL=machine
    ) as data:
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


def member(data: Path) -> dict[str, str]:
    """Return where the platform is, and the key of a member who can pay for all of it."""
    kept = json.loads((data / "environment.json").read_text())
    base_url = json.loads((data / "demo.json").read_text())["base_url"]
    return {"base_url": base_url, "api_key": tour.payer({**os.environ, **kept}, "proxy", "runs")}


if __name__ == "__main__":
    sys.exit(main())
