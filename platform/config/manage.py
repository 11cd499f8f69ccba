"""Django's commands and ours: `python -m config.manage`, which `manage.py` of a clone is, too.

What an operator can mend is one line and status 1: a setting, a database that is away or not
migrated. `--traceback` shows where it came from.
"""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from config import preflight

NAME = "manage.py"
NEEDS_NO_SETTINGS = {"help", "--help", "-h", "--version", "version"}
NEEDS_A_DATABASE = {"migrate", "showmigrations", "shell", "dbshell", "dumpdata", "loaddata"}
"""Of Django's own commands; of ours each says so (management/arguments.py)."""


def main() -> None:
    """Do what the command line asks for."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command not in NEEDS_NO_SETTINGS:
        preflight.require_settings(NAME)
    if command in NEEDS_A_DATABASE and (problem := preflight.unreachable()):
        preflight.stop(NAME, problem)

    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    try:
        execute_from_command_line([NAME, *sys.argv[1:]])
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has seen enough (`| head`); nothing more is written, at our end neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (DatabaseError, ImproperlyConfigured) as exc:
        reason = preflight.reason(exc)
        if not reason or "--traceback" in sys.argv:
            raise
        preflight.stop(NAME, reason)


if __name__ == "__main__":
    main()
