"""`manage.py`, loaded once: a line of JSON is a command, which a fork of this program carries out.

A command of its own loads all of Django first: two seconds of a processor, some hundred times.
"""

import json
import os
import runpy
import sys
import traceback

import django

django.setup()


def carry_out(words, said):
    """Be `manage.py` with those words; write what it says to a file, and end with its status."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(os.open(said[stream], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["manage.py", *words]
    status = 0
    try:
        runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


for line in sys.stdin:
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        carry_out(asked["words"], ["", asked["out"], asked["err"]])
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
