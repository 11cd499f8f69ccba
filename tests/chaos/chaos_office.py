"""Staff at work: `staff_process.py`, asked from here."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.chaos.chaos_house import House

AGAIN = 40
"""So often something is asked again that must be so before we go on."""


class Office:
    """Staff at work, one command after the other."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._process: subprocess.Popen[str] | None = None
        self._turn = asyncio.Lock()
        self.faults: list[str] = []

    async def ask(self, work: str, **values: Any) -> tuple[str, Any]:
        """Return how it ended, and what was said."""
        async with self._turn:
            status, said = await asyncio.to_thread(self._exchange, {"work": work, **values})
        if status == "wrong":
            self.faults.append(f"{work} {values.get('words', '')}: {said[-1500:]}")
        return status, said

    async def manage(self, *words: str) -> tuple[str, Any]:
        return await self.ask("manage", words=list(words))

    async def told(self, *words: str) -> tuple[str, Any]:
        """Return how a command of staff ended, and its JSON where it was done."""
        status, said = await self.manage(*words, "--json")
        return status, json.loads(said) if status == "done" else said

    async def insist(self, work: str, **values: Any) -> None:
        """Have it be so, however often it has to be asked."""
        for _ in range(AGAIN):
            if (await self.ask(work, **values))[0] in ("done", "refused"):
                return
            await asyncio.sleep(0.5)
        self.faults.append(f"{work} {values} was never answered")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=30)

    def _exchange(self, asked: dict[str, Any]) -> tuple[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._process = self._begin()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"status":"wrong","said":"ended"}')
        return answer["status"], answer["said"]

    def _begin(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("staff_process.py")
        with (self._house.folder / "office.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(script)], cwd=self._house.code, text=True, stderr=log,
                env={**self._house.environment, "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
