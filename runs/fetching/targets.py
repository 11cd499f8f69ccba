"""Where a file of a run may go on a worker: below /input/, and folders that the operator named.

A path is read once, here, and is from then on a tuple of names, none of which means anything to a
file system. What two systems could read differently (case, forms of one letter, devices of Windows)
is refused, not repaired.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from common.errors import InvalidFileUrl
from common.outside import guard

if TYPE_CHECKING:
    from common.outside.guard import Target

MOST_FILES: Final = 20
LONGEST_PATH: Final = 1000
LONGEST_NAME: Final = 200
"""In bytes: file systems take 255, and what writes beside a file needs some of them."""
MOST_FOLDERS: Final = 10
ODD: Final = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
MARKED: Final = re.compile(r"\[(?:input|output|temp)\]\s*$", re.IGNORECASE)
"""ComfyUI reads these behind a name as another folder (runs.md 1)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a run names: from where, and whither."""

    target: Target
    names: tuple[str, ...]
    """Like ("input", "faces", "a.png"), or ("models", "loras", "b.safetensors")."""

    @property
    def is_model(self) -> bool:
        """Whether it goes where models are: then it must be one that holds no program."""
        return self.names[0] == "models"

    @property
    def path(self) -> str:
        """Return whither, as its member writes it."""
        return "/" + "/".join(self.names)


def read(files: Any) -> list[Wanted]:
    """Read the `files` of a run (path -> address); raise InvalidFileUrl, naming the one it is.

    Nothing is looked up, and nothing fetched. No two of them go to one place, nor one into another.
    """
    if not isinstance(files, dict) or not all(isinstance(each, str) for each in files.values()):
        raise InvalidFileUrl('files: write them as {"/input/a.png": "https://…"}.')
    if len(files) > MOST_FILES:
        raise InvalidFileUrl(f"files: a run takes at most {MOST_FILES}.")
    wanted = [Wanted(_target(path, url), _names(path)) for path, url in files.items()]
    _require_apart(wanted)
    return wanted


def _target(path: str, url: str) -> Target:
    try:
        return guard.read(url)
    except guard.NotAllowed as refusal:
        raise InvalidFileUrl(f"files: the address of {path[:100]!r} {refusal}.") from None


def _names(path: str) -> tuple[str, ...]:
    said = f"files: {path[:100]!r}"
    names = tuple(path.removeprefix("/").split("/"))
    if len(path) > LONGEST_PATH or len(names) > MOST_FOLDERS:
        raise InvalidFileUrl(f"{said} is too long, or too deep.")
    if MARKED.search(path) or not all(_is_plain(each) for each in names):
        raise InvalidFileUrl(f"{said} holds a name that cannot be a file's on every system.")
    if names[0] == "input" and len(names) > 1:
        return names
    if names[0] == "models" and len(names) > 2 and names[1] in settings.RUN_MODEL_FOLDERS:
        return names
    allowed = ", ".join(["/input/", *(f"/models/{each}/" for each in settings.RUN_MODEL_FOLDERS)])
    raise InvalidFileUrl(f"{said} does not lie below {allowed}.")


def _is_plain(name: str) -> bool:
    return bool(
        name
        and name not in (".", "..")
        and name == name.strip()
        and not name.endswith(".")
        and not name.startswith("~")
        and not ODD.search(name)
        and not DEVICE.fullmatch(name)
        and unicodedata.is_normalized("NFC", name)
        and not any(unicodedata.category(letter) in INVISIBLE for letter in name)
        and len(name.encode("utf-8", "replace")) <= LONGEST_NAME
    )


def _require_apart(wanted: list[Wanted]) -> None:
    places = [tuple(name.casefold() for name in each.names) for each in wanted]
    taken = set(places)
    for each, place in zip(wanted, places, strict=True):
        inside = any(place[:n] in taken for n in range(1, len(place)))
        if inside or places.count(place) > 1:
            raise InvalidFileUrl(f"files: two of them go to one place, {each.path[:100]!r}.")
