"""The proxy's pen: what a settlement writes about its call, in the same commit.

`COLUMNS` are what the one who settles says; everything else comes from the hold's memo, written
when it was placed, so that a sweep in another process can complete the record of a call whose own
process is gone. Both are SQL for `credits.books.batches.settle_many`.
"""

from __future__ import annotations

OWN_ACCOUNT = "own"
"""In a call's facts: its workspace paid the vendor itself, under an account of its own."""

COLUMNS = (
    "outcome text, reason text, status smallint, attempts smallint,"
    " vendor_job_id text, vendor_request_id text, details jsonb"
)

RECORD = """
    , called AS (
        INSERT INTO usage_call (
               id, workspace_id, number, user_id, key_id, vendor, operation, run_id, project,
               outcome, reason, status, quoted_micros, held_micros, charged_micros, price_version,
               attempts, vendor_job_id, vendor_request_id, facts, started_at, settled_at)
        SELECT id, wallet, number, (memo->>'user')::uuid, (memo->>'key')::uuid,
               coalesce(memo->>'vendor', ''), coalesce(memo->>'operation', ''),
               coalesce(memo->>'run', ''), coalesce(memo->>'project', ''), outcome,
               coalesce(reason, ''), coalesce(status, 0),
               coalesce((memo->>'quoted')::bigint, held), held, charged,
               coalesce(memo->>'price', ''), coalesce(attempts, 1), coalesce(vendor_job_id, ''),
               coalesce(vendor_request_id, ''),
               coalesce(memo->'facts', '{}') || coalesce(details, '{}'), placed_at, now()
          FROM ended WHERE NOT silent
    )
"""
