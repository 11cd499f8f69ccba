"""What members do in tests of privacy, and a search that nothing escapes."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

ADDRESS, AGENT = "203.0.113.77", "Hapax-Browser/7"
PASSWORD = "four plain words of mine"


def buy(stripe: Any, member: Any, dollars: str = "25.00") -> Any:
    """Buy credits, and come back from the page."""
    from common.money import usd
    from credits.payments import topups

    top_up = topups.start(
        member.workspace_id, amount=usd(dollars), email=member.user.email,
        user_id=member.user.pk, base_url="http://us.example",
    )  # fmt: skip
    stripe.post(f"sessions/{top_up.session_id}/pay", card="visa")
    return topups.refresh(top_up.pk)


def hear_all() -> None:
    """Learn of everything that happened at Stripe, by listing."""
    from credits.payments import webhooks

    webhooks.catch_up()
    for event_id in webhooks.due():
        webhooks.process(event_id)


def call_of(member: Any, **fields: Any) -> Any:
    """Write a call of theirs into the history of their workspace."""
    from django.db import connection
    from django.utils import timezone

    from usage.models import Call

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_account SET events = events + 1 WHERE id = %s RETURNING events",
            [member.workspace_id],
        )
        (number,) = cursor.fetchone()
    now = timezone.now()
    about = {
        "user_id": member.user.pk, "key_id": member.api_key_record.pk, "vendor": "bfl",
        "operation": "flux-pro", "outcome": "delivered", "status": 200, "quoted_micros": 0,
        "held_micros": 0, "charged_micros": 0, "price_version": "1", "attempts": 1,
        "facts": {"title": "Flux Pro"}, "started_at": now - timedelta(seconds=2),
        "settled_at": now,
    }  # fmt: skip
    return Call.objects.create(
        id=uuid.uuid4(), workspace_id=member.workspace_id, number=number, **(about | fields)
    )


def traces(words: list[str]) -> dict[str, list[str]]:
    """Search all tables, whatever is in them; return the words by the tables that have them."""
    from django.db import connection

    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        assert len(tables) > 60
        for table in tables:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
                " AND data_type = 'bytea' AND table_schema = current_schema()",
                [table],
            )
            binary = [name for (name,) in cursor.fetchall()]
            for word in words:
                raw = "".join(
                    f" OR position(convert_to(%(word)s, 'UTF8') IN \"{name}\") > 0"
                    for name in binary
                )
                cursor.execute(
                    f'SELECT count(*) FROM "{table}" AS t'
                    f" WHERE strpos(lower(t::text), lower(%(word)s)) > 0{raw}",
                    {"word": word},
                )
                if cursor.fetchone()[0]:
                    found.setdefault(table, []).append(word)
    return found


def traces_in_files(folder: Any, words: list[str]) -> list[str]:
    """Search all files, and what is packed in them."""
    import zipfile

    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                contents += [packed.read(name) for name in packed.namelist()]
        if any(word.encode() in content for word in words for content in contents):
            found.append(str(path.relative_to(folder)))
    return found
