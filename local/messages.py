"""Renew the catalogues of translations: `python3 dev.py messages` (docs/translating.md).

Every message of the product's own code and templates is looked for, in the same way as Django
looks for them; what is new comes into each `.po` without a translation, what is gone leaves it, and
each `.mo` is made of its `.po`. `tests/config/test_translations.py` fails until all is translated.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils.translation import to_locale
from django.utils.translation.template import templatize

from local import po

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "platform" / "config" / "locale"
ARGUMENTS: Final = {
    "gettext": ("id",),
    "gettext_lazy": ("id",),
    "gettext_noop": ("id",),
    "kept": ("id",),
    "ngettext": ("id", "plural"),
    "ngettext_lazy": ("id", "plural"),
    "pgettext": ("context", "id"),
    "pgettext_lazy": ("context", "id"),
}
"""What marks a message, and what its first arguments are."""
MARKED_BY: Final = ("django.utils.translation", "common.told")
IN_TEMPLATE = re.compile(r" (n?gettext|pgettext)(?=\()")
HEADER: Final = (
    "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"
    "Language: {language}\nPlural-Forms: {plural}\n"
)
PLURALS: Final = {"zh-hans": (1, "nplurals=1; plural=0;")}
"""How many forms a language has, and which one stands at a number, as gettext says it."""


class Unreadable(Exception):
    """A message that is made while the program runs, so that nobody can translate it."""


def main() -> int:
    """Write the catalogue of each language, and say what is left to translate."""
    if not settings.configured:
        settings.configure(USE_I18N=True)
    found = messages()
    for language in PLURALS:
        path = po_of(language)
        kept = renewed(language, found)
        po.write(path, kept)
        path.with_suffix(".mo").write_bytes(po.compiled(kept))
        missing = [each for each in kept if not all(each.forms)]
        print(f"{path.relative_to(ROOT)}: {len(kept) - 1} messages, {len(missing)} to translate")
        for each in missing:
            print(f"  {each.places[0]}: {each.id!r}")
    return 0


def po_of(language: str) -> Path:
    """Return the file of a language's translations."""
    return FOLDER / to_locale(language) / "LC_MESSAGES" / "django.po"


def renewed(language: str, found: dict[po.Id, po.Entry]) -> list[po.Entry]:
    """Return a language's header and each message, with the translation that it has already."""
    path = po_of(language)
    known = po.read(path) if path.exists() else {}
    forms, plural = PLURALS[language]
    kept = [po.Entry("", forms=[HEADER.format(language=to_locale(language), plural=plural)])]
    for each in found.values():
        old = known.get(each.key)
        count = forms if each.plural else 1
        fits = old is not None and old.plural == each.plural
        each.forms = list(old.forms) if old is not None and fits else [""] * count
        each.flags = list(old.flags) if old is not None else []
        kept.append(each)
    return kept


def messages() -> dict[po.Id, po.Entry]:
    """Return each message of the product, with the files where it stands."""
    found: dict[po.Id, po.Entry] = {}
    for path in sources():
        for context, text, plural in of_file(path):
            entry = found.setdefault((context, text), po.Entry(text, context, plural))
            entry.plural = entry.plural or plural
            if (place := str(path.relative_to(ROOT))) not in entry.places:
                entry.places.append(place)
    return found


def sources() -> list[Path]:
    """Return the product's code and templates: what its wheel has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = (path for package in packages for path in (ROOT / package).rglob("*"))
    return sorted(path for path in files if path.suffix in {".py", ".html", ".txt"})


def of_file(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield context, message and plural of each call that marks one."""
    if path.suffix == ".py":
        tree = ast.parse(path.read_text())
        names = _marks(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if kind := names.get(node.func.id):
                yield _message(node, kind, path)
        return
    code = templatize(path.read_text(), origin=str(path))
    for mark in IN_TEMPLATE.finditer(code):
        yield _message(_call_at(code, mark.start() + 1), mark[1], path)


def _marks(tree: ast.AST) -> dict[str, str]:
    """Return what a module calls the functions that mark a message."""
    return {
        name.asname or name.name: name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in MARKED_BY
        for name in node.names
        if name.name in ARGUMENTS
    }


def _call_at(code: str, start: int) -> ast.Call:
    """Return the call that begins there: the shortest text that is one."""
    end = code.index(")", start)
    while True:
        try:
            call = ast.parse(code[start : end + 1], mode="eval").body
        except SyntaxError:
            end = code.index(")", end + 1)
        else:
            assert isinstance(call, ast.Call)
            return call


def _message(call: ast.Call, kind: str, path: Path) -> tuple[str, str, str]:
    given = dict(zip(ARGUMENTS[kind], call.args, strict=False))
    texts = {"context": "", "plural": ""}
    for name, node in given.items():
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            raise Unreadable(f"{where}: a message must be written out: {ast.unparse(call)}")
        texts[name] = node.value
    return texts["context"], texts["id"], texts["plural"]


if __name__ == "__main__":
    sys.exit(main())
