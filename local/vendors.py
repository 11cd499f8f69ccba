"""What can be called, in two documents made from the catalogue: `python3 dev.py vendors`.

- docs/vendors.md, between its marks: a line for each vendor, and how it takes files along.
- docs/catalogue.md: every route, the nodes that call it, and what its price is made of.

The nodes are those of `proxy/vendors/routes.json`: every API node of stock ComfyUIs from October
2025 to August 2026. The rest is said by the vendors' own files; a test fails where a document is
stale.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.pricing import Flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.along import How
    from proxy.catalogue import Operation, Vendor

ROOT = Path(__file__).resolve().parent.parent
ROUTES = ROOT / "proxy" / "vendors" / "routes.json"
OVERVIEW, LISTING = ROOT / "docs" / "vendors.md", ROOT / "docs" / "catalogue.md"
BEGIN, END = "<!-- made by: python3 dev.py vendors -->\n", "<!-- until here -->\n"
FILES = "<!-- files along, made by: python3 dev.py vendors -->\n"
KINDS = ("image", "video", "audio", "model")
FETCHES = "must fetch it"
SOURCES = re.compile(r"Sources?:\s(.+?)\.(?=\s+[A-Z]|\s*$)", re.DOTALL)
HEAD = """# Every route

Made from the catalogue by `python3 dev.py vendors`. Paths are below this platform's address; the
nodes are those of stock ComfyUIs from October 2025 to August 2026. What a price is made of stands
in words; the figures are in the vendor's file, and a call's record has the version and the inputs
of its price.

No route of this list was ever tried against the real vendor: each vendor's file names the
documents and libraries that it was written from, and the sandbox stands in for the vendor.
"""


def routes() -> list[dict[str, Any]]:
    """Return every route that a node calls: `route`, `kind`, `nodes`."""
    found: list[dict[str, Any]] = json.loads(ROUTES.read_text())
    return found


def nodes() -> dict[str, list[str]]:
    """Return the nodes of a route, by its method and its path without names."""
    return {_unnamed(each["route"]): each["nodes"] for each in routes()}


def _unnamed(route: str) -> str:
    return re.sub(r"\{\w+\}", "{}", route)


def _module(vendor: Vendor) -> Any:
    """Return the module that a vendor stands in."""
    return next(
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("proxy.vendors.") and vendor in vars(module).values()
    )


def sources(vendor: Vendor) -> str:
    """Return where a vendor's file says that its facts are from; empty if it does not."""
    found = SOURCES.search(_module(vendor).__doc__ or "")
    return " ".join(found[1].split()) if found else ""


def words(operation: Operation) -> str:
    """Return what a price is made of: the amount, or the first line of its rule."""
    price: Any = operation.price
    if isinstance(price, Flat):
        return f"{Decimal(price.amount).scaleb(-6).normalize():f} USD"
    told: str = getattr(price, "rule", type(price)).__doc__ or ""
    told = told.partition("\n")[0].rstrip(".").removeprefix("Price ")
    return told[:1].upper() + told[1:] or "As the request says"


def settings(vendor: Vendor) -> str:
    """Return the settings that switch a vendor on."""
    schemes = [vendor.credential, *(o.credential for o in vendor.operations if o.credential)]
    named: dict[str, None] = {}
    for scheme in schemes:
        named.update(dict.fromkeys(scheme.required or scheme.optional))
    return ", ".join(f"`VENDOR_{vendor.name.upper()}_{name}`" for name in named)


def overview(vendors: tuple[Vendor, ...]) -> str:
    """Return the table of vendors."""
    lines = [
        "| vendor | file | settings | calls | nodes | facts are from |",
        "|---|---|---|---|---|---|",
    ]
    known = nodes()
    for vendor in sorted(vendors, key=lambda each: each.display.lower()):
        kinds = Counter(each.kind.value for each in vendor.operations)
        file = _module(vendor).__name__.rpartition(".")[2] + ".py"
        calling = {node for each in vendor.operations for node in known.get(_route(each), [])}
        calls = f"{kinds['sync'] + kinds['submit']} of {len(vendor.operations)} routes"
        cells = vendor.display, f"`{file}`", settings(vendor), calls, len(calling), sources(vendor)
        lines.append("| " + " | ".join(f"{cell}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def along(vendors: tuple[Vendor, ...]) -> str:
    """Return the table of how vendors take files that they cannot fetch here."""
    lines = ["| vendor | an image | a film | a sound | a model |", "|---|---|---|---|---|"]
    others = []
    for vendor in sorted(vendors, key=_by_name):
        differing = [each for each in vendor.operations if each.along is not None]
        if not vendor.along and not any(each.along for each in differing):
            others.append(vendor.display)
            continue
        lines.append(_taken(vendor.display, vendor.along))
        by_what: dict[str, list[str]] = {}
        for each in differing:
            row = _taken("", each.along or {})
            by_what.setdefault(row, []).append(f"`{each.path}`")
        lines += [f"| - {', '.join(paths)} {row}" for row, paths in by_what.items()]
    named = ", ".join(others)
    told = f"With all others clients send files themselves, or they must be fetched: {named}."
    return "\n".join([*lines, "", told]) + "\n"


def _taken(name: str, takes: Mapping[str, How]) -> str:
    cells = [f"{takes[kind]}" if kind in takes else FETCHES for kind in KINDS]
    return f"| {name} | {' | '.join(cells)} |" if name else f"| {' | '.join(cells)} |"


def _route(operation: Operation) -> str:
    return _unnamed(f"{operation.method} /proxy/{operation.path}")


def listing(vendors: tuple[Vendor, ...]) -> str:
    """Return every route of every vendor."""
    return "\n".join([HEAD, *(_listed(each) for each in sorted(vendors, key=_by_name))])


def _by_name(vendor: Vendor) -> str:
    return vendor.display.lower()


def _listed(vendor: Vendor) -> str:
    return "\n".join(
        [
            f"## {vendor.display}",
            "",
            f"{settings(vendor)}; facts from {sources(vendor)}.",
            "",
            "| route | kind | price | nodes |",
            "|---|---|---|---|",
            *_rows(vendor),
            "",
        ]
    )


def _rows(vendor: Vendor) -> Iterator[str]:
    known = nodes()
    for each in sorted(vendor.operations, key=lambda one: (one.path, one.method)):
        price = f"{words(each)} (`{each.price_version}`)" if each.price_version else ""
        called = ", ".join(known.get(_route(each), []))
        yield f"| `{each.method} /proxy/{each.path}` | {each.kind.value} | {price} | {called} |"


def files() -> dict[Path, str]:
    """Return each document's text as it must be."""
    from proxy.vendors import VENDORS

    text = _between(BEGIN, overview(VENDORS), OVERVIEW.read_text())
    text = _between(FILES, along(VENDORS), text)
    return {OVERVIEW: text, LISTING: listing(VENDORS)}


def _between(mark: str, table: str, text: str) -> str:
    """Return a text with a table between a mark and the next end."""
    before, _, rest = text.partition(mark)
    _, _, after = rest.partition(END)
    return f"{before}{mark}{table}{END}{after}"


def main() -> int:
    """Write both documents."""
    import django

    from local import scratch

    with tempfile.TemporaryDirectory() as data:
        scratch.set_placeholders(Path(data))
        os.environ.setdefault("DATABASE_URL", scratch.NOT_A_DATABASE)
        django.setup()
        for file, text in files().items():
            file.write_text(text)
            print(f"wrote {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
