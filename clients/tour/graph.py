"""Makes a workflow that runs one node, from what a ComfyUI says of its nodes.

Each input has its default; what has none gets the least that makes sense: the first choice, a
sentence, the smallest number. What must come from another node comes from a loader of one of our
files, or from another paid node (a task to go on from). Where a node's own rules ask for more,
`hints.json` says it. What the node makes is saved, or looked at, so that it runs at all.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HINTS = json.loads((Path(__file__).parent / "hints.json").read_text(encoding="utf-8"))
WORDS = "a lighthouse on a cliff, evening light, run {run}"
DEPTH = 4
LOADERS = {
    "IMAGE": ("LoadImage", "image", "picture", 0),
    "MASK": ("LoadImage", "image", "picture", 1),
    "AUDIO": ("LoadAudio", "audio", "sound", 0),
    "VIDEO": ("LoadVideo", "file", "video", 0),
}
SINKS = {
    "IMAGE": ("SaveImage", "images"),
    "VIDEO": ("SaveVideo", "video"),
    "AUDIO": ("SaveAudio", "audio"),
}
GIVEN = frozenset(("IMAGE", "MASK", "AUDIO", "VIDEO"))
PLAIN = frozenset(("STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"))
WIDGETS = PLAIN | {"COMFY_DYNAMICCOMBO_V3"}
SAID = re.compile(r"(?!negative_|system_|structured_).*(prompt|text|instruction)\d*")
"""Inputs that want a sentence; a text of another name may stay empty."""


class Impossible(Exception):
    """No workflow can be made for the node; the message says what is missing."""


class Workflow:
    """Nodes of a prompt, in the API format."""

    def __init__(self, known: dict[str, dict], files: dict[str, str], run: int) -> None:
        self._known, self._files, self._run = known, files, run
        self.prompt: dict[str, dict] = {}

    def around(self, name: str) -> dict[str, dict]:
        """Return the workflow that runs the node `name`."""
        node = self._add(name, {}, DEPTH)
        kind = self._known[name]
        if not kind["output_node"]:
            made = kind["output"][0]
            sink, where = SINKS.get(made, ("PreviewAny", "source"))
            self._add(sink, {where: [node, 0]}, DEPTH)
        return self.prompt

    def _add(self, name: str, given: dict, depth: int) -> str:
        """Put a node into the prompt, and before it what it needs; return its number."""
        if name not in self._known:
            raise Impossible(f"this ComfyUI has no {name}")
        if depth == 0:
            raise Impossible(f"{name} needs too many nodes before it")
        inputs = dict(given)
        told = self._known[name]["input"]
        self._fill(inputs, told, HINTS.get(name, {}), "", depth)
        number = f"{len(self.prompt) + 1}"
        self.prompt[number] = {"class_type": name, "inputs": inputs}
        return number

    def _fill(self, inputs: dict, told: dict, hints: dict, prefix: str, depth: int) -> None:
        """Give each required input a value, and each optional one that a page would send.

        A page sends what has a widget; a link only where somebody drew one, which `hints` tell.
        """
        wanted = dict(told.get("required", {}))
        for name, kind in told.get("optional", {}).items():
            hinted = any(f"{each}.".startswith(f"{prefix}{name}.") for each in hints)
            if hinted or isinstance(kind[0], list) or kind[0] in WIDGETS:
                wanted[name] = kind
        for name, kind in wanted.items():
            path = prefix + name
            if path in inputs:
                continue
            self._value(inputs, path, kind, hints, depth)

    def _value(self, inputs: dict, path: str, kind: list, hints: dict, depth: int) -> None:
        sort, facts = kind[0], kind[1] if len(kind) > 1 else {}
        if isinstance(sort, list):  # As nodes of the first generation tell their choices.
            sort, facts = "COMBO", {**facts, "options": sort}
        if sort == "COMFY_DYNAMICCOMBO_V3":
            self._branch(inputs, path, facts, hints, depth)
        elif sort == "COMFY_AUTOGROW_V3":
            self._grow(inputs, path, facts["template"], hints, depth)
        elif path in hints and isinstance(hints[path], list):
            maker, output = hints[path]
            inputs[path] = [self._add(maker, {}, depth - 1), output]
        elif path in hints and hints[path] != "link":
            inputs[path] = self._worded(hints[path])
        elif sort in PLAIN:
            inputs[path] = self._plain(path, sort, facts)
        else:
            inputs[path] = self._link(path, sort, depth)

    def _branch(self, inputs: dict, path: str, facts: dict, hints: dict, depth: int) -> None:
        """Take one of the choices that bring inputs of their own."""
        branches = {each["key"]: each for each in facts["options"]}
        key = hints.get(path, facts.get("default") or next(iter(branches)))
        inputs[path] = key
        self._fill(inputs, branches[key]["inputs"], hints, f"{path}.", depth)

    def _grow(self, inputs: dict, path: str, template: dict, hints: dict, depth: int) -> None:
        """Give as many of a list as there must be, or as are hinted at."""
        count = hints.get(path, template["min"])
        names = template.get("names") or [f"{template['prefix']}{n}" for n in range(count)]
        ((_, kind),) = template["input"]["required"].items()
        for name in names[:count]:
            self._value(inputs, f"{path}.{name}", kind, hints, depth)

    def _plain(self, path: str, sort: str, facts: dict) -> object:
        default = facts.get("default")
        if sort == "STRING":
            is_told = SAID.fullmatch(path.rpartition(".")[2]) is not None
            return default or (self._worded(WORDS) if is_told else "")
        if path.rpartition(".")[2] in {"seed", "noise_seed"} and facts.get("max", 0) >= self._run:
            return self._run
        if sort == "COMBO":
            choices = facts.get("options") or []
            if default not in (None, "") or not choices:
                return default
            return choices[0]
        if default is not None:
            return default
        return False if sort == "BOOLEAN" else facts.get("min", 1)

    def _worded(self, value: object) -> object:
        return value.replace("{run}", f"{self._run}") if isinstance(value, str) else value

    def _link(self, path: str, sort: str, depth: int) -> list:
        """Return where a thing of that sort comes from."""
        sorts = sort.split(",")
        for each in sorts:
            if each in LOADERS:
                name, where, file, output = LOADERS[each]
                return [self._loaded(name, where, self._files[file]), output]
        if any(each.startswith("FILE_3D") for each in sorts):
            return self._model("fbx" if sorts[0] == "FILE_3D_FBX" else "model")
        makers = [
            (name, kind["output"].index(each))
            for each in sorts
            for name, kind in self._known.items()
            if each in kind["output"] and not kind.get("deprecated")
        ]
        makers.sort(key=lambda maker: self._needs(maker[0]))
        for name, output in makers:
            kept = dict(self.prompt)
            try:
                return [self._add(name, {}, depth - 1), output]
            except Impossible:
                self.prompt = kept
        raise Impossible(f"nothing makes {sort} for {path}")

    def _loaded(self, name: str, where: str, file: str) -> str:
        for number, node in self.prompt.items():
            if node == {"class_type": name, "inputs": {where: file}}:
                return number
        return self._add(name, {where: file}, DEPTH)

    def _model(self, file: str) -> list:
        name = "Load3DAdvanced" if "Load3DAdvanced" in self._known else "Load3D"
        given = {"model_file": self._files[file]}
        for each, kind in self._known[name]["input"]["required"].items():
            if kind[0] == "LOAD_3D":
                given[each] = {}
        outputs = self._known[name]["output"]
        output = next((n for n, each in enumerate(outputs) if each.startswith("FILE_3D")), None)
        if output is None:
            raise Impossible("this ComfyUI loads no models")
        return [self._add(name, given, DEPTH), output]

    def _needs(self, name: str) -> int:
        """Return how many inputs of a node cannot simply be given."""
        kinds = self._known[name]["input"].get("required", {}).values()
        linked = (kind[0] for kind in kinds if isinstance(kind[0], str))
        return sum(each in GIVEN if each in GIVEN | WIDGETS else 10 for each in linked)
