"""Catalogues of messages as files: read and written as `.po`, compiled to `.mo`.

In Python, so that no machine that tests or builds needs GNU gettext. Only what this project's
catalogues hold is known; anything else is refused with the line where it stands.
"""

from __future__ import annotations

import ast
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Id = tuple[str, str]
"""A context (mostly empty) and a message: what a translation is looked up by."""
LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d)\])? )?(".*")')
MAGIC = 0x950412DE


class NotACatalogue(Exception):
    """A line that no catalogue of ours has."""


@dataclass(slots=True)
class Entry:
    """A message, where it stands, and its translation: one form for each plural."""

    id: str
    context: str = ""
    plural: str = ""
    forms: list[str] = field(default_factory=lambda: [""])
    places: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    @property
    def key(self) -> Id:
        """Return by what it is looked up."""
        return self.context, self.id


def read(path: Path) -> dict[Id, Entry]:
    """Return the entries of a file, its header among them (the message is empty).

    Raise NotACatalogue for a line of another form, or a message that stands there twice.
    """
    found: dict[Id, Entry] = {}
    for block in path.read_text().strip().split("\n\n"):
        entry = _entry(block, path)
        if entry.key in found:
            raise NotACatalogue(f"{path}: {entry.id!r} stands there twice.")
        found[entry.key] = entry
    return found


def _entry(block: str, path: Path) -> Entry:
    texts: dict[str, str] = {}
    entry, name = Entry(""), ""
    for line in block.splitlines():
        if line.startswith("#: "):
            entry.places.append(line[3:])
        elif line.startswith("#, "):
            entry.flags += line[3:].split(", ")
        elif matched := LINE.fullmatch(line):
            name = (matched[1] + (matched[2] or "")) if matched[1] else name
            texts[name] = texts.get(name, "") + ast.literal_eval(matched[3])
        elif not line.startswith("# "):
            raise NotACatalogue(f"{path}: {line!r} is not understood.")
    entry.id, entry.context = texts.pop("msgid"), texts.pop("msgctxt", "")
    entry.plural = texts.pop("msgid_plural", "")
    entry.forms = [texts[each] for each in sorted(texts)]
    return entry


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Write a file: the same entries give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(map(_block, entries)) + "\n")


def _block(entry: Entry) -> str:
    lines = [f"#: {place}" for place in entry.places]
    lines += [f"#, {', '.join(entry.flags)}"] if entry.flags else []
    lines += [f"msgctxt {_quoted(entry.context)}"] if entry.context else []
    lines.append(f"msgid {_quoted(entry.id)}")
    if entry.plural:
        lines.append(f"msgid_plural {_quoted(entry.plural)}")
        lines += [f"msgstr[{n}] {_quoted(form)}" for n, form in enumerate(entry.forms)]
    else:
        lines.append(f"msgstr {_quoted(entry.forms[0])}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    parts = [f'"{part}"' for part in escaped.replace("\n", "\\n\n").split("\n") if part]
    return "\n".join(['""', *parts] if len(parts) > 1 else parts or ['""'])


def compiled(entries: Iterable[Entry]) -> bytes:
    """Return the `.mo` of entries: what has no translation is left out, and shown as it is."""
    pairs = sorted((_original(each), "\0".join(each.forms)) for each in entries if all(each.forms))
    originals = [one.encode() for one, _ in pairs]
    translated = [other.encode() for _, other in pairs]
    at = 7 * 4 + 16 * len(pairs)
    tables = b""
    for texts in (originals, translated):
        for text in texts:
            tables += struct.pack("<II", len(text), at)
            at += len(text) + 1
    head = struct.pack("<7I", MAGIC, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables + b"".join(text + b"\0" for text in originals + translated)


def _original(entry: Entry) -> str:
    context = f"{entry.context}\x04" if entry.context else ""
    return context + entry.id + (f"\0{entry.plural}" if entry.plural else "")
