"""Connections of lanes that outlive a test, as in a process that lives for months.

A new one has every statement of the books to parse and to plan, which costs more than the calls
of a test. One is kept only as whole as it came, and given again only where nothing that it was
made by has changed.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from django.db import connections
from psycopg.pq import TransactionStatus

from common import db

MOST = 24
_connect = db.connect


class Kept:
    """The connections that nobody uses now."""

    def __init__(self) -> None:
        self._idle: list[tuple[Any, db.Db]] = []
        self._one_at_a_time = threading.Lock()  # A worker's task has a thread and lanes of its own.

    async def connect(self) -> db.Db:
        """Be `common.db.connect`: return a kept connection, or a new one that will be kept."""
        made_by = _made_by()
        with self._one_at_a_time:
            self._forget_broken()
            for at, (its, connection) in enumerate(self._idle):
                if its == made_by:
                    del self._idle[at]
                    connection.lock = asyncio.Lock()  # The loop of the test before is gone.
                    return connection
        connection = await _connect()
        really_close = connection.close

        async def close() -> None:
            with self._one_at_a_time:
                if any(each is connection for _, each in self._idle):
                    return
                clean = connection.info.transaction_status == TransactionStatus.IDLE
                if clean and len(self._idle) < MOST:
                    self._idle.append((made_by, connection))
                    return
            await really_close()

        connection.close = close
        return connection

    def _forget_broken(self) -> None:
        for each in [each for each in self._idle if db.has_said(each[1])]:
            self._idle.remove(each)
            each[1].pgconn.finish()

    def end(self) -> None:
        """Close all; nobody uses one."""
        while self._idle:
            self._idle.pop()[1].pgconn.finish()


def _made_by() -> Any:
    """Return what decides what a new connection would be."""
    given = connections["default"].get_connection_params()
    options = {name: value for name, value in given.items() if name not in db.OF_DJANGO}
    return options, db.SESSION
