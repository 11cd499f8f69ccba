"""The machine that runs of the demonstration go to: one of the sandbox, or a ComfyUI that is there.

COMFYUI_URL names a ComfyUI of one's own (COMFYUI_TOKEN: what it asks for); without it the sandbox's
demo worker is started. Either is registered by `manage.py worker`, as an operator does it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from local.demo import Manage, of_staff

OWN, DEMO = "comfyui", "demo"
ACCELERATOR = {OWN: "own", DEMO: "demo"}
PER_SECOND, PER_OUTPUT = "0.0004", "0.002"
"""Dollars: about what such a machine costs where one rents it."""
REASON = "demonstration"


@dataclass(frozen=True)
class Machine:
    """A machine, as `up` starts it or finds it."""

    name: str
    url: str
    token: str = ""
    port: int = 0
    """Where the sandbox's listens; 0: it is somebody's own, and runs already."""

    @property
    def is_ours(self) -> bool:
        """Whether it is to be started, and has the nodes of the demonstration."""
        return bool(self.port)

    def words(self, api_base: str) -> list[str]:
        """Return the words that start it; its paid nodes ask that address."""
        return ["sandbox.comfy_worker", "--port", str(self.port), "--api-base", api_base]


def of(environment: Mapping[str, str], *, port: int) -> Machine:
    """Return the one that is named, or the sandbox's, listening at that port."""
    if url := environment.get("COMFYUI_URL", "").strip().rstrip("/"):
        return Machine(OWN, url, environment.get("COMFYUI_TOKEN", ""))
    token = environment.get("COMFY_WORKER_TOKEN", "") or secrets.token_hex(16)
    return Machine(DEMO, f"http://127.0.0.1:{port}", token, port)


def register(machine: Machine, manage: Manage) -> bool:
    """Have it be a worker; False if it was one. One of an earlier start is taken away before."""
    by = ("--by", of_staff(manage), "--reason", REASON)
    known = {each["name"]: each["url"] for each in json.loads(manage("worker", "list", "--json"))}
    if known.get(machine.name) == machine.url and not machine.is_ours:
        return False
    for name in (OWN, DEMO):  # The sandbox's has another port and another token at each start.
        if name in known:
            manage("worker", "remove", name, *by)
    words = [
        "worker", "add", machine.name, machine.url, "--accelerator", ACCELERATOR[machine.name],
        "--per-second", PER_SECOND, "--per-output", PER_OUTPUT, *by,
    ]  # fmt: skip
    if machine.token:
        manage(*words, "--token", given=machine.token + "\n")  # Where no list of processes has it.
    else:
        manage(*words)
    return True
