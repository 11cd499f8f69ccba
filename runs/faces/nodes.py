"""What a member may know of the workers' nodes: of all that their runs may go to, as one machine.

Nothing of other workspaces is in it: names of files are the workspace's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runs import assets, isolation, workers
from runs import graph as graphs
from runs.models import WorkerNodes

if TYPE_CHECKING:
    from uuid import UUID


def shown(workspace_id: UUID, name: str | None = None) -> dict[str, Any]:
    """Return `/object_info` for a workspace, of one class or of all."""
    found: dict[str, Any] = {}
    machines = [each for each in workers.open_to(workspace_id) if hasattr(each, "nodes")]
    shared = {file for each in machines for file in each.shared_inputs}
    own = assets.living(workspace_id).values_list("file_path", flat=True)
    files = sorted({*own, *shared})
    for machine in machines:
        info = workers.object_info(machine)
        for each in info if name is None else [name] if name in info else []:
            if each not in found and not workers.is_denied(each, machine):
                found[each] = _class(info[each], files)
    return found


def folders(workspace_id: UUID) -> dict[str, list[str]]:
    """Return the folders of models, and the names of the files in each."""
    found: dict[str, set[str]] = {}
    known = WorkerNodes.objects.filter(worker__in=workers.open_to(workspace_id))
    for of_machine in known.values_list("folders", flat=True):
        for folder, names in of_machine.items():
            found.setdefault(folder, set()).update(names)
    return {folder: sorted(found[folder]) for folder in sorted(found)}


def _class(said: dict[str, Any], files: list[str]) -> dict[str, Any]:
    parts = said.get("input")
    if not isinstance(parts, dict):
        return said
    shown_parts = {
        part: {name: _input(each, files) for name, each in inputs.items()}
        if isinstance(inputs, dict)
        else inputs
        for part, inputs in parts.items()
    }
    return {**said, "input": shown_parts}


def _input(said: Any, files: list[str]) -> Any:
    if not isinstance(said, (list, tuple)) or not said:
        return said
    kind, rest = said[0], list(said[1:])
    options = rest[0] if rest and isinstance(rest[0], dict) else {}
    is_of_files = any(options.get(each) for each in graphs.UPLOADS)
    if isinstance(kind, list):
        kind = files if is_of_files else isolation.common(kind)
    if isinstance(options.get("options"), list):
        known = files if is_of_files else isolation.common(options["options"])
        rest = [{**options, "options": known}, *rest[1:]]
    return [kind, *rest]
