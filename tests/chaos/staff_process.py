"""Staff at work: a process that carries out `manage.py`'s commands, one for each line of JSON.

So Django is loaded once. Each answer is a line: `done`, `refused` (nothing was changed), `unknown`
(the books were away meanwhile: it may have come about), or `wrong`, which is a fault of ours.
"""

import io
import json
import os
import sys
import traceback
import uuid

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - Django first
from django.core.management.base import CommandError  # noqa: E402
from django.db import DatabaseError, connections  # noqa: E402

from accounts.models import User  # noqa: E402
from apikeys import allowances  # noqa: E402
from common import db  # noqa: E402
from common.errors import PlatformError, Unavailable  # noqa: E402
from privacy import deletion  # noqa: E402
from proxy import tasks  # noqa: E402


def manage(words):
    """Do what `manage.py` does; return what it says."""
    said = io.StringIO()
    try:
        call_command(*words, stdout=said, stderr=said)
    except SystemExit as ended:
        said.write(f"exit status {ended.code}")
    return said.getvalue()


def budget(member, micros):
    """Have a member's workspace spend at most so much in this day; None: no such rule."""
    who = uuid.UUID(member["user_id"])
    workspace = uuid.UUID(member["workspace_id"])
    allowances.set_rule(workspace, "workspace", "", "day", micros, by=who)


def ask_deletion(member):
    """Ask to be deleted, as its page does; return the wish."""
    user = User.objects.get(pk=member["user_id"])
    return str(deletion.ask(user, base_url="http://127.0.0.1").pk)


def confirm_deletion(wish):
    """Follow the link of the mail."""
    deletion.confirm(uuid.UUID(wish))


def cancel_deletion(wish):
    """Stay after all."""
    deletion.cancel(uuid.UUID(wish))


def sweep():
    """Free what nobody ends, until there is no more."""
    while tasks.sweep_holds():
        pass


WORKS = {
    "manage": manage, "budget": budget, "ask_deletion": ask_deletion, "sweep": sweep,
    "confirm_deletion": confirm_deletion, "cancel_deletion": cancel_deletion,
}  # fmt: skip


def do(asked):
    """Do it; return how that ended, and what was said."""
    try:
        return "done", WORKS[asked.pop("work")](**asked)
    except (Unavailable, DatabaseError) as away:
        return ("unknown", str(away)) if passing(away) else ("wrong", traceback.format_exc())
    except CommandError as refused:
        away = isinstance(refused.__cause__, DatabaseError)
        return "unknown" if away else "refused", str(refused)
    except PlatformError as refused:
        return "refused", str(refused)
    except Exception as error:
        away = db.is_cache_away(error)
        return ("unknown", str(error)) if away else ("wrong", traceback.format_exc())
    finally:
        connections.close_all()


def passing(error):
    """Whether it is only that the database can do nothing just now."""
    cause = error.__cause__ or error
    return isinstance(error, Unavailable) or db.is_passing(cause) or db.is_away(cause)


for line in sys.stdin:
    status, said = do(json.loads(line))
    sys.stdout.write(json.dumps({"status": status, "said": said}) + "\n")
    sys.stdout.flush()
