"""All that is known of somebody as one file: each table as JSON and as CSV, and a README.

It is written as it is read, some rows at a time, so its size costs no memory.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import IO, TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils import timezone

from common.personal import Fate
from common.tables import harmless
from privacy import registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from common.personal import Known, Person

README: Final = """What {platform} knows of {name}, {email}, on {now:%Y-%m-%d %H:%M} UTC.

Each table is here twice: as JSON, a list of objects, and as CSV. Amounts that end in _micros are
millionths of a dollar; those that end in _cents are cents. Times are UTC. In the CSV a cell that
begins with a sign by which spreadsheets calculate has a quote before it.

What is not here: passwords, keys, codes and secrets, of which we have digests or sealed boxes that
say nothing; files that nodes put here for vendors, which are deleted within {hours} hours; what
others did in teams that you belong to.

What becomes of each table's rows if you delete your account stands behind its name.

{tables}
"""


def write(person: Person, out: IO[bytes]) -> None:
    """Write the archive of somebody."""
    tables = [each for each in registry.known() if each.shown and each.fate != Fate.NOTHING]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr("README.txt", _readme(person, tables))
        for known in tables:
            name = known.model.lower().replace(".", "-")
            with archive.open(f"{name}.json", "w", force_zip64=True) as member:
                _as_json(known.told(person), member)
            with archive.open(f"{name}.csv", "w", force_zip64=True) as member:
                _as_csv(known.told(person), known.shown, member)


def _readme(person: Person, tables: Iterable[Known]) -> str:
    lines = [
        f"{each.model.lower().replace('.', '-')} ({each.fate})\n    {each.why}" for each in tables
    ]
    return README.format(
        platform=settings.PLATFORM_NAME,
        name=person.name,
        email=person.emails[0],
        now=timezone.now(),
        hours=settings.UPLOADS_HOURS,
        tables="\n".join(lines),
    )


def _as_json(rows: Iterable[Mapping[str, Any]], out: IO[bytes]) -> None:
    before = b"[\n"
    for row in rows:
        out.write(before + json.dumps(row, default=str, ensure_ascii=False).encode())
        before = b",\n"
    out.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _as_csv(rows: Iterable[Mapping[str, Any]], names: tuple[str, ...], out: IO[bytes]) -> None:
    out.write(_line(names))
    for row in rows:
        out.write(_line([_cell(row[name]) for name in names]))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    text = str(value)
    is_number = isinstance(value, int | float)
    return text if is_number else harmless(text)


def _line(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
