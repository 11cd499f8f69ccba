"""A run as ComfyUI tells it: in its queue, in its history, and by its messages.

What a worker said is told with our ids. A run that ended without a word of its worker's (lost,
expired, called off while it waited) is given ComfyUI's words by us, so no script waits for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.money import credits_text
from runs import assets, reading
from runs.faces import partial
from runs.models import ENDED, Output, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runs.models import Run

CLIENT: Final = "client_id"
MOST_TEXTS: Final = 8 << 20
KEPT: Final = ("extra_pnginfo", "preview_method")
TYPES: Final = {
    "worker_lost": "WorkerLost",
    "queue_expired": "QueueExpired",
    "insufficient_credits": "InsufficientFundsError",
    "max_credits_reached": "InsufficientFundsError",
    "run_timeout": "RunTimeout",
    "invalid_workflow": "ValidationError",
    "input_download_failed": "ImageDownloadError",
}
"""What a script reads as `exception_type` where no node failed."""


def number(run: Run) -> int:
    """Return its place in the order of all runs."""
    return int(run.created_at.timestamp() * 1000)


def item(run: Run) -> list[Any]:
    """Return it as a queue has it."""
    graph = run.graph or {}
    kept = {name: run.extra[name] for name in (*KEPT, CLIENT) if run.extra.get(name)}
    return [number(run), run.name, graph, kept, partial.ends(graph)]


class Room:
    """How many bytes of texts that nodes showed one answer has room for still."""

    def __init__(self) -> None:
        self._left = MOST_TEXTS

    def has(self, size: int) -> bool:
        """Whether so many more fit; then they are taken."""
        if size > self._left:
            return False
        self._left -= size
        return True


def entry(run: Run, made: Iterable[Output], room: Room | None = None) -> dict[str, Any]:
    """Return it as the history has it, with what it cost."""
    is_good = run.state == State.SUCCEEDED
    return {
        "prompt": item(run),
        "outputs": outputs(made, room or Room()),
        "status": {
            "status_str": "success" if is_good else "error",
            "completed": is_good,
            "messages": messages(run),
        },
        "meta": {},
        "run": {"credits": credits_text(run.charged_micros), "gpu_ms": run.gpu_ms},
    }


def outputs(made: Iterable[Output], room: Room) -> dict[str, dict[str, list[Any]]]:
    """Return what a run made, by node and section; of texts as many as there is room for."""
    found: dict[str, dict[str, list[Any]]] = {}
    for each in made:
        section = found.setdefault(each.node_id, {}).setdefault(each.section, [])
        if each.kind == Output.Kind.TEXT:
            section.append(_text(each) if room.has(each.size_bytes) else "")
        else:
            named = {"filename": each.name, "subfolder": each.subfolder, "type": each.kind}
            section.append(named)
    return found


def messages(run: Run) -> list[list[Any]]:
    """Return what its worker said of it, and how it ended, last."""
    said = [each for each in run.messages if isinstance(each, list) and len(each) == 2]
    told = [[name, _whole(name, data)] for name, data in said]
    if run.state in ENDED and not any(name in reading.ENDS for name, _ in told):
        told.append(last(run))
    return told


def last(run: Run) -> list[Any]:
    """Return the message of how a run ended."""
    for name, data in run.messages:
        if name in reading.ENDS:
            return [name, _whole(name, data)]
    about: dict[str, Any] = {"prompt_id": run.name, "timestamp": _ms(run)}
    if run.state == State.SUCCEEDED:
        return ["execution_success", about]
    about |= {"node_id": run.error_node, "node_type": run.error_class, "executed": []}
    if run.state == State.CANCELED and run.error_code == "canceled":
        return ["execution_interrupted", about]
    kind = TYPES.get(run.error_code, "Exception")
    error = {"exception_message": run.error_message, "exception_type": kind}
    return ["execution_error", _whole("execution_error", {**about, **error})]


def _whole(name: str, data: dict[str, Any]) -> dict[str, Any]:
    if name != "execution_error":
        return data
    return {**data, "traceback": [], "current_inputs": {}, "current_outputs": []}


def _ms(run: Run) -> int:
    return int((run.ended_at or run.created_at).timestamp() * 1000)


def _text(output: Output) -> str:
    """Return a text that a node showed; of one whose file is gone nothing."""
    try:
        with assets.opened(output) as content:
            return content.read(reading.MOST_TEXT * 4).decode(errors="replace")
    except OSError:
        return ""
