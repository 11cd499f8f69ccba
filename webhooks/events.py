"""Tell what happened: rows in the transaction in which it did, so both are there or neither.

Whoever knows that something happened calls `emit` (or, where there is no Django, runs `EMIT`) and
need not know whether anybody listens: where no endpoint has subscribed, nothing is written. The
worker sends what waits (sending.py). A receiver may get a message twice, and not in the order of
what happened. `key` names the happening: again under it is nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from django.db import connection, transaction
from django.utils import timezone

from webhooks import signing
from webhooks.models import TYPES, Delivery, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

LONGEST_KEY: Final = 200
MOST_BYTES: Final = 256 << 10
EMIT: Final = """
    INSERT INTO webhooks_delivery (id, endpoint_id, key, type, body)
    SELECT gen_random_uuid(), endpoint.id, asked.key, asked.type, asked.body
      FROM (SELECT %s::uuid AS workspace, %s::text AS key, %s::text AS type, %s::text AS body) asked
      JOIN webhooks_endpoint endpoint ON endpoint.workspace_id = asked.workspace
     WHERE endpoint.off_at IS NULL AND endpoint.url <> ''
       AND endpoint.events @> ARRAY[asked.type]::varchar[]
        ON CONFLICT (endpoint_id, key) DO NOTHING
"""
"""Takes what `asked` returns."""


def asked(
    workspace_id: UUID | str, type_: str, data: Mapping[str, Any], *, key: str
) -> tuple[str, str, str, str]:
    """Return the parameters of `EMIT`, in their order."""
    assert type_ in TYPES
    assert 0 < len(key) <= LONGEST_KEY
    return str(workspace_id), key, type_, message(type_, data)


def message(type_: str, data: Mapping[str, Any]) -> str:
    """Return the body of a message: what happened, when, and to what."""
    body = json.dumps(
        {"type": type_, "timestamp": _now(), "data": data},
        ensure_ascii=False,
        separators=(",", ":"),
        default=str,
    )
    return _fitting(body)


def emit(workspace_id: UUID | str, type_: str, data: Mapping[str, Any], *, key: str) -> int:
    """Have each endpoint that subscribed be told, once; return how many there are.

    Takes part in the caller's transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(EMIT, asked(workspace_id, type_, data, key=key))
        return int(cursor.rowcount)


@transaction.atomic
def emit_to(workspace_id: UUID, url: str, type_: str, body: str, *, key: str) -> None:
    """Have an address that a run names be told, in the run's own dialect; again: nothing.

    The address was read by `addresses.require` when the run was taken. What is sent is signed by
    the workspace's secret for runs.
    """
    assert url
    assert 0 < len(key) <= LONGEST_KEY
    endpoint = for_runs(workspace_id)
    Delivery.objects.get_or_create(
        endpoint=endpoint,
        key=key,
        defaults={"type": type_, "url": url, "body": _fitting(body)},
    )


def for_runs(workspace_id: UUID) -> Endpoint:
    """Return what stands for the addresses that runs of a workspace name; two at once make one."""
    found, _ = Endpoint.objects.get_or_create(
        workspace_id=workspace_id,
        url="",
        defaults={"secret": signing.seal(signing.new_secret())},
    )
    return found


def _fitting(body: str) -> str:
    assert len(body.encode()) <= MOST_BYTES, "what is larger is told by its ids"
    return body.replace("\0", "\ufffd")


def _now() -> str:
    return timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
