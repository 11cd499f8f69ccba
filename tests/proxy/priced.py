"""Versions of the price book for tests: published in a moment, and taken away afterwards.

The table refuses that, so its guards are down meanwhile.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GUARDS = ("version_append_only", "version_append_only_whole")


def publish(db: Any, *written: dict[str, Any], seconds: float = 0.2) -> None:
    """Have these terms hold in a moment, as the newest version."""
    (draft,) = db.execute(
        "INSERT INTO prices_draft (terms, based_on, by, reason) VALUES (%s, 0, %s, 'test')"
        " RETURNING id",
        (json.dumps(written), uuid.uuid4()),
    ).fetchone().values()  # fmt: skip
    db.execute(
        "INSERT INTO prices_version (number, effective_at, terms, draft_id, by, reason)"
        " SELECT coalesce(max(number), 0) + 1, clock_timestamp() + %s * interval '1 second',"
        " %s, %s, %s, 'test' FROM prices_version",
        (seconds, json.dumps(written), draft, uuid.uuid4()),
    )
    db.execute("SELECT pg_sleep(%s)", (seconds,))


@contextmanager
def an_empty_book(db: Any) -> Iterator[None]:
    """Leave no version behind."""
    try:
        yield
    finally:
        for guard in GUARDS:
            db.execute(f"ALTER TABLE prices_version DISABLE TRIGGER {guard}")
        db.execute("DELETE FROM prices_version")
        db.execute("DELETE FROM prices_draft")
        for guard in GUARDS:
            db.execute(f"ALTER TABLE prices_version ENABLE ALWAYS TRIGGER {guard}")
