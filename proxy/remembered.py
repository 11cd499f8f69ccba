"""The jobs that are remembered: found, asked for once in an interval, charged when they come late.

One row for each job (models.Job), from its acceptance until the vendor no longer keeps its result.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from proxy import sql
from proxy.dialect import Said
from proxy.phases import Settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.money import Micros
    from proxy.books import Books
    from proxy.catalogue import Asset

LATE_LEASE_SECONDS = 90
"""Longer than what is delivered may take to be measured (jobs.py)."""

CLAIM_ASK = """
    WITH claimed AS (
        UPDATE proxy_job SET asked_at = now()
         WHERE id = %s AND coalesce(asked_at <= now() - %s * interval '1 second', true)
     RETURNING id
    )
    SELECT EXISTS (SELECT 1 FROM claimed), said, said_status, said_type
      FROM proxy_job WHERE id = %s
"""
SAID = """
    UPDATE proxy_job SET said = %s, said_status = %s, said_type = %s
     WHERE id = %s AND (outcome <> 'delivered' OR %s)
"""
"""What is said of a delivered job is its result, or says nothing new."""
SAID_OF = "SELECT said, said_status, said_type FROM proxy_job WHERE id = %s AND said IS NOT NULL"
JOB = f"SELECT {sql.JOB_COLUMNS} FROM proxy_job job WHERE job.id = %s"  # noqa: S608
JOB_OF = f"""
    SELECT {sql.JOB_COLUMNS} FROM proxy_job job
     WHERE job.id = (SELECT call_id FROM proxy_asset
                      WHERE vendor = %s AND scope = %s AND asset = %s)
"""  # noqa: S608 - constants of our own
CLAIM_LATE = """
    UPDATE proxy_job SET late_at = now()
     WHERE id = %s AND outcome = 'expired'
       AND coalesce(late_at <= now() - %s * interval '1 second', true)
 RETURNING id
"""
UNCLAIM_LATE = "UPDATE proxy_job SET late_at = NULL WHERE id = %s"
CAME_LATE = """
    UPDATE proxy_job SET outcome = 'delivered', price_micros = %s
     WHERE id = %s AND outcome = 'expired'
"""
FIRST_CALL = """
    SELECT user_id::text, key_id::text, run_id, project, price_version, facts
      FROM usage_call WHERE id = %s LIMIT 1
"""


@dataclass(slots=True)
class FoundJob:
    """A job as its table has it; whoever settles it writes here how it ended."""

    id: str
    workspace: str
    vendor: str
    operation: str
    vendor_job_id: str
    vendor_request_id: str
    poll_url: str
    poll_method: str
    poll_body: dict[str, Any] | None
    price: int | None
    most: int
    inputs: dict[str, Any]
    outcome: str
    """Empty while it runs."""
    age_seconds: float
    account: str = "default"
    """Under which account the vendor has it."""
    said: Said | None = None
    """What the vendor said last, where that was read."""


def found(row: Sequence[Any]) -> FoundJob:
    """Return the job of a row of `sql.JOB_COLUMNS`."""
    job = FoundJob(*row)
    for name in ("poll_body", "inputs"):  # Django's connection gives JSON as text.
        if isinstance(text := getattr(job, name), str):
            setattr(job, name, orjson.loads(text))
    return job


def _said(body: Any, status: int | None, content_type: str) -> Said | None:
    return None if body is None else Said(status or 0, bytes(body), content_type)


async def read(books: Books, job_id: str) -> FoundJob | None:
    """Return the job of a call, None if it is forgotten."""
    rows = await books.query(JOB, job_id)
    return found(rows[0]) if rows else None


async def job_of(books: Books, vendor: str, asset: Asset) -> FoundJob | None:
    """Return the job that made an id of the vendor's, None if none did."""
    rows = await books.query(JOB_OF, vendor, *asset)
    return found(rows[0]) if rows else None


async def claim_ask(books: Books, job: FoundJob, interval_seconds: float) -> bool:
    """Whether we are the one who asks the vendor now; else `job.said` is what it said last."""
    rows = await books.query(CLAIM_ASK, job.id, interval_seconds, job.id)
    if not rows:
        return False
    claimed, *said = rows[0]
    job.said = _said(*said)
    return bool(claimed)


async def note(books: Books, job: FoundJob, said: Said, *, is_result: bool) -> None:
    """Write down what the vendor said, for every process; nothing takes a result's place."""
    await books.query(SAID, said.body, said.status, said.content_type[:100], job.id, is_result)


async def said_of(books: Books, job_id: str) -> Said | None:
    """Return what the vendor said last of a job, None if nothing was written down."""
    rows = await books.query(SAID_OF, job_id)
    return _said(*rows[0]) if rows else None


async def claim_late(books: Books, job: FoundJob) -> bool:
    """Whether we are the one who charges a result that came late; others are told to wait."""
    return bool(await books.query(CLAIM_LATE, job.id, LATE_LEASE_SECONDS))


async def charge_late(
    books: Books, job: FoundJob, price: Micros, details: dict[str, Any]
) -> int | None:
    """Charge a result that came after its hold had ended; None if it cannot be paid for now.

    It is a call of its own, whose id follows from the job's: who does it again, after a crash,
    finds it done.
    """
    late = str(uuid.uuid5(uuid.UUID(job.id), "late"))
    charged = await books.charged(late) if price else 0
    if charged is None:
        charged = await _charge(books, job, late, price, details)
    if charged is not None:
        await books.query(CAME_LATE, charged, job.id)
    else:
        await books.query(UNCLAIM_LATE, job.id)
    return charged


async def _charge(
    books: Books, job: FoundJob, late: str, price: Micros, details: dict[str, Any]
) -> int | None:
    rows = await books.query(FIRST_CALL, job.id)
    user, key, run, project, version, facts = rows[0] if rows else (None, None, "", "", "", {})
    memo = {
        "vendor": job.vendor,
        "operation": job.operation,
        "run": run,
        "project": project,
        "quoted": price,
        "price": version,
        "user": user,
        "key": key,
        "facts": {**facts, "late_of": job.id},
    }
    if not await books.place_for(job.workspace, hold=late, amount=price, memo=memo):
        return None
    settled = await books.settle(
        Settle(
            hold=late,
            wallet=job.workspace,
            outcome="delivered",
            charged=price,
            status=200,
            vendor_job_id=job.vendor_job_id[:200],
            vendor_request_id=job.vendor_request_id,
            details=details,
        )
    )
    return settled.charged if settled else None
