"""A move in a process of its own, which may be killed at a named place."""

import uuid

import django

django.setup()

from config.cells import moving  # noqa: E402 - Django first
from django.db import connection  # noqa: E402

from tests import forks  # noqa: E402

STAFF = uuid.UUID(int=1)


def do(asked):
    """Move, or call back."""
    connection.settings_dict["NAME"] = asked["database"]
    wallet, url = uuid.UUID(asked["wallet"]), asked["url"]
    if asked["work"] == "abort":
        moving.abort(wallet, url, by=STAFF, reason="back")
    else:
        moving.move(wallet, url, by=STAFF, reason="room", wait_seconds=asked["wait"])


if __name__ == "__main__":
    forks.serve(do)
