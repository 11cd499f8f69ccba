"""What each page of members costs: `python -m bench.pages --data .demo [--tries N]`.

Asks every page of a member N times in this process, against the database of a running `up --demo`
(or of DATABASE_URL), and prints the CPU of the server for one page, in milliseconds: median and
worst, and how many questions the database is asked. PostgreSQL's own CPU is not in it. A page that
takes more than BUDGET is marked, and then the status is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

ROOT = Path(__file__).resolve().parent.parent
BUDGET: Final = 50.0
"""Milliseconds of CPU for one page (issue: each page at most so much)."""
OK: Final = 200
INSIDE: Final = "BENCH_PAGES_INSIDE"
WHO: Final = "mina@example.org"


def main() -> int:
    """Run it in a process of its own, with the settings of what is measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--data", type=Path, help="of a running `up --demo`")
    parser.add_argument("--who", default=WHO, help="whose pages, by mail address")
    parser.add_argument("--tries", type=int, default=20)
    options = parser.parse_args()
    if INSIDE in os.environ:
        return measure(options.who, options.tries)
    told = json.loads((options.data / "environment.json").read_text()) if options.data else {}
    environment = {
        **os.environ,
        **told,
        INSIDE: "1",
        "DEBUG": "0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
    }
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)  # The metrics are the web processes' own.
    command = [sys.executable, "-m", "bench.pages", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def measure(who: str, tries: int) -> int:
    """Print what each page costs; return 1 if one is above the budget."""
    import django

    django.setup()
    browser, workspace_id = come_in(who)
    above = 0
    print(f"{'page':<58} {'median':>8} {'worst':>8} {'questions':>10}")
    for path in pages(workspace_id):
        if take(browser, path) != OK:
            continue  # What is only done, a file, or leads on.
        times, questions = of_page(browser, path, tries)
        median = statistics.median(times)
        above += median > BUDGET
        mark = "  above the budget" if median > BUDGET else ""
        print(f"{path:<58} {median:8.1f} {max(times):8.1f} {questions:10}{mark}")
    return 1 if above else 0


def come_in(who: str) -> tuple[Client, Any]:
    """Return a browser in which that person acts for the largest workspace that they are in."""
    from django.test import Client

    from accounts import teams
    from accounts.models import User
    from usage.models import Summed

    user = User.objects.get(email=who)
    mine = [seat.workspace_id for seat in teams.of(user.pk)]
    largest = Summed.objects.filter(pk__in=mine).order_by("-number").values_list("pk", flat=True)
    workspace_id = largest.first() or mine[0]
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    browser.post("/my/workspace", {"workspace": workspace_id})
    return browser, workspace_id


def pages(workspace_id: Any) -> Iterator[str]:
    """Yield the address of each page of the table, where the workspace has what it hangs on."""
    from dashboard.urls import urlpatterns

    found = examples(workspace_id)
    for each in urlpatterns:
        route = str(each.pattern)
        names = re.findall(r"<\w+:(\w+)>", route)
        if route.startswith("my/") and all(found.get(name) for name in names):
            yield "/" + re.sub(r"<\w+:(\w+)>", lambda name: f"{found[name[1]]}", route)


def examples(workspace_id: Any) -> dict[str, Any]:
    """Return what stands for each name in a route."""
    from accounts.models import Membership
    from apikeys.models import ApiKey
    from runs.models import Run, Workflow
    from usage.models import Call
    from webhooks.models import Endpoint

    mine = {"workspace_id": workspace_id}
    calls = Call.objects.filter(**mine).order_by("-number").values_list("pk", flat=True)
    runs = Run.objects.filter(**mine, state="succeeded").values_list("pk", flat=True)
    return {
        "call_id": calls.first(),
        "run_id": runs.first(),
        "key_id": ApiKey.objects.filter(**mine, run_id=None).values_list("pk", flat=True).first(),
        "workflow_id": Workflow.objects.filter(**mine).values_list("pk", flat=True).first(),
        "endpoint_id": Endpoint.objects.filter(**mine).values_list("pk", flat=True).first(),
        "user": Membership.objects.filter(**mine).values_list("user_id", flat=True).last(),
        "kind": "workspace",
        "name": "bfl/flux-pro-1.1-ultra/generate",
    }


def of_page(browser: Client, path: str, tries: int) -> tuple[list[float], int]:
    """Return the CPU of each try in milliseconds, and the questions of one."""
    from django.core.cache import cache
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    take(browser, path)  # What is worked out once for a process is worked out.
    times = []
    for _ in range(tries):
        cache.clear()  # Nobody is refused for asking often.
        began = time.process_time()
        take(browser, path)
        times.append((time.process_time() - began) * 1000)
    with CaptureQueriesContext(connection) as asked:
        take(browser, path)
    return times, len(asked)


def take(browser: Client, path: str) -> int:
    """Ask for a page; return its status, 0 for a file and what goes on for ever."""
    answer = browser.get(path)
    answer.close()
    return 0 if answer.streaming else int(answer.status_code)


if __name__ == "__main__":
    sys.exit(main())
