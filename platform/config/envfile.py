"""The file of environment variables that units and shells read, changed line by line.

A line is `NAME=value`, with or without quotes around it. What is not named stays as it is; the file
is replaced as a whole, and keeps its owner and rights: who reads it meanwhile reads the old one or
the new one.

    python -m config.envfile FILE < lines of NAME=value
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE = re.compile(r"""\s*(?:export\s+)?([A-Z][A-Z0-9_]*)=("[^"]*"|'[^']*'|[^\s#]*)\s*""")


class EnvironmentFile:
    """One such file. Raises InvalidRequest where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidRequest(f"{path} cannot be read: {exc}.") from exc

    def get(self, name: str) -> str:
        """Return a variable's value; empty if it has none. The last line of a name counts."""
        value = ""
        for line in self._lines:
            if (found := LINE.fullmatch(line)) and found[1] == name:
                value = found[2].strip("\"'")
        return value

    def write(self, changes: Mapping[str, str]) -> None:
        """Give variables these values, in their own lines or in new ones at the end; on disk."""
        left, lines = dict(changes), []
        for line in self._lines:
            found = LINE.fullmatch(line)
            if not found or found[1] not in changes:
                lines.append(line)
            elif found[1] in left:  # A second line of the name would count, and goes.
                lines.append(f"{found[1]}={left.pop(found[1])}")
        lines += [f"{name}={value}" for name, value in left.items()]
        try:
            self._replace("\n".join(lines) + "\n")
        except OSError as exc:
            raise InvalidRequest(f"{self.path} cannot be written: {exc.strerror}.") from exc
        self._lines = lines

    def _replace(self, text: str) -> None:
        old = self.path.stat()
        number, name = tempfile.mkstemp(dir=self.path.parent, prefix=".environment-")
        try:
            with os.fdopen(number, "w") as file:
                os.fchmod(number, old.st_mode & 0o777)
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(number, old.st_uid, old.st_gid)
                file.write(text)
                file.flush()
                os.fsync(number)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def main() -> int:
    """Write what standard input says into the file that the command line names."""
    if len(sys.argv) != 2:
        sys.stderr.write("config.envfile: name one file; lines of NAME=value come by stdin.\n")
        return 2
    lines = [line for line in sys.stdin.read().splitlines() if line.strip()]
    given = [LINE.fullmatch(line) for line in lines]
    if None in given:
        sys.stderr.write(f"config.envfile: line {given.index(None) + 1} is not NAME=value.\n")
        return 1
    try:
        file = EnvironmentFile(Path(sys.argv[1]))
        file.write({found[1]: found[2] for found in given if found is not None})
    except InvalidRequest as exc:
        sys.stderr.write(f"config.envfile: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
