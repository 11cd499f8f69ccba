"""Which programs an installation of chaos has, and how each is started."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local.up import worker
from tests.chaos.draws import STEPPED

if TYPE_CHECKING:
    from tests.chaos.chaos_house import House

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
STEPPED_SLEEP = Path(__file__).with_name("stepped")


@dataclass
class Program:
    """A program that is ours to start and to end, with all processes of its own."""

    name: str
    words: list[str]
    port: int = 0
    more: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = False
    """Whether it should run now."""
    starts: int = 0


def all_of(house: House) -> list[Program]:
    """Return them, each after those that it asks; Redis only where there is one."""
    web = ["-m", "config.web", "--grace", "5", "--port"]
    beat = ["-m", "celery", "-A", "config.celery", "beat", "-s", str(house.folder / "beat")]
    machine = ["-m", "sandbox.comfy_worker", "--port", str(house.machine_port)]
    machine += ["--api-base", house.url, "--home", str(house.folder / "home")]
    vendors = ["-m", "sandbox", "--port", str(house.sandbox_port)]
    stripe = ["-m", "sandbox.stripe", "--port", str(house.stripe_port)]
    found = [
        Program("vendors", vendors, house.sandbox_port),
        Program("stripe", stripe, house.stripe_port),
        Program("web1", [*web, str(house.port)], house.port),
        Program("web2", [*web, str(house.other_port)], house.other_port),
        Program("worker", ["-m", *worker("default,beat,calls,money")]),
        Program("jobs", ["-m", *worker("jobs", "-n", "jobs@%h")]),
        Program("beat", beat),
        Program("machine", machine, house.machine_port),
        Program("runner", ["-m", "config.runs"]),
    ]
    if "CACHE_URL" in house.environment:
        found.insert(0, Program("redis", [], house.redis_port))
    for each in found:
        if each.name == STEPPED and FAKETIME.exists():
            each.more = stepped(house)
    return found


def stepped(house: House) -> dict[str, str]:
    """Return what has a program read its clock through a file that says how wrong it is."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "PYTHONPATH": os.pathsep.join([str(STEPPED_SLEEP), house.environment["PYTHONPATH"]]),
        "FAKETIME_TIMESTAMP_FILE": str(house.clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def children(parent: int) -> list[int]:
    """Return the processes that this one started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found
