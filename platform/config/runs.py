"""The runner: `python -m config.runs`. One suffices; more share the workers, and one takes over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import django


def main() -> None:
    """Carry runs until told to stop; what works goes on, and the next program follows it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config import preflight

    preflight.require_settings("runs")
    django.setup()
    preflight.require_database("runs")
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run())


async def _run() -> None:
    from common import logs
    from runs.runner import Runner

    task = asyncio.current_task()
    assert task is not None, "asyncio.run began one"
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    logs.line(event="runner.ready")
    await Runner().run()


if __name__ == "__main__":
    main()
