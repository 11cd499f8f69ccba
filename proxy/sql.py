"""What the proxy says to the database: each phase of a call as one statement.

Here the parts meet that do not know each other: who pays (apikeys), how money is set aside and
ends (credits), what is written of a call (usage), and what the proxy keeps (jobs, answers).
"""

from __future__ import annotations

import dataclasses

from apikeys import budgets, callers, paces
from credits.books import batches, holds
from desk import maintenance
from prices import drafts
from proxy import days
from usage import record

KEEP = f"""
    INSERT INTO proxy_kept (intent, day, call_id, fingerprint, status, headers, body, spool, once,
                            kept_until)
    SELECT (answer->>'intent')::uuid, {days.KEEP_IN}, {{id}}, answer->>'fingerprint',
           (answer->>'status')::smallint, coalesce(answer->'headers', '{{{{}}}}'),
           coalesce(convert_to(answer->>'text', 'UTF8'), (answer->>'body')::bytea),
           coalesce(answer->>'spool', ''), (answer->>'once')::boolean,
           now() + (answer->>'seconds')::int * interval '1 second'
      FROM {{source}} WHERE answer IS NOT NULL
        ON CONFLICT (intent, day) DO UPDATE
       SET call_id = excluded.call_id, fingerprint = excluded.fingerprint,
           status = excluded.status, headers = excluded.headers, body = excluded.body,
           spool = excluded.spool, once = excluded.once, created_at = now(),
           kept_until = excluded.kept_until
"""  # noqa: S608 - constants of our own
KEPT = f", kept AS ({KEEP})"
KEEP_LATER = KEEP.format(id="id", source="(SELECT %s::uuid AS id, %s::jsonb AS answer) AS given")

ASSETS = """
    , assets AS (
        INSERT INTO proxy_asset (vendor, scope, asset, workspace_id, account, call_id)
        SELECT vendor, used->>0, used->>1, wallet, coalesce(account, 'default'), id
          FROM {source}, jsonb_array_elements({source}.assets) AS used
         WHERE {source}.assets IS NOT NULL
         ORDER BY 1, 2, 3
            ON CONFLICT (vendor, scope, asset) DO NOTHING
    )
"""
"""Have the ids that a call made belong to its workspace; an id that another has stays there."""

NOT_OWN = """
    CASE WHEN asked.assets IS NOT NULL AND EXISTS (
             SELECT 1 FROM jsonb_array_elements(asked.assets) AS used
              WHERE coalesce((
                  SELECT asset.workspace_id <> caller.workspace_id FROM proxy_asset asset
                   WHERE asset.vendor = asked.vendor AND asset.scope = used->>0
                     AND asset.asset = used->>1), used->>2 IS NULL))
         THEN 'asset' END
"""
"""Whether a request names an id that is another workspace's; or nobody's, unless that is public."""

OWN = """
    INSERT INTO proxy_asset (vendor, scope, asset, workspace_id, account)
    SELECT %s, used->>0, used->>1, %s::uuid, %s FROM jsonb_array_elements(%s::jsonb) AS used
     ORDER BY 1, 2, 3
        ON CONFLICT (vendor, scope, asset) DO UPDATE SET vendor = excluded.vendor
     WHERE proxy_asset.workspace_id = excluded.workspace_id
 RETURNING asset
"""

JOB_COLUMNS = """
    job.id::text, job.workspace_id::text, job.vendor, job.operation, job.vendor_job_id,
    job.vendor_request_id, job.poll_url, job.poll_method, job.poll_body, job.price_micros,
    job.most_micros, job.inputs, job.outcome,
    extract(epoch FROM now() - job.created_at)::float8, job.account
"""
"""What `remembered.found` reads of a job, in its order."""

JOB_ENDED = """
    , job AS (
        UPDATE proxy_job SET ended_at = now(),
               (outcome, price_micros) = (
                   SELECT outcome, CASE WHEN outcome = 'delivered' THEN charged
                                        ELSE proxy_job.price_micros END
                     FROM ended WHERE ended.id = proxy_job.id)
         WHERE id = ANY (ARRAY(SELECT id FROM ended WHERE is_job)) AND proxy_job.outcome = ''
    )
"""
"""A job without an outcome has not ended, says a constraint. Asked for `ended_at IS NULL`, the
planner may take the index of what is due, and read it whole: there are no jobs when it plans."""

JOB_ACCEPTED = """
    , job AS (
        INSERT INTO proxy_job (id, workspace_id, vendor, operation, scope, vendor_job_id,
                               vendor_request_id, poll_url, poll_method, poll_body,
                               price_micros, most_micros, inputs, deadline_at, next_poll_at,
                               kept_seconds, account)
        SELECT id, wallet, vendor, operation, scope, vendor_job_id, vendor_request_id, poll_url,
               poll_method, poll_body, price, most,
               coalesce(inputs, '{}'), now() + deadline * interval '1 second',
               now() + first_poll * interval '1 second', kept_seconds,
               coalesce(account, 'default')
          FROM prolonged
         ORDER BY vendor, scope, vendor_job_id  -- As everybody does who may meet the same jobs.
            ON CONFLICT DO NOTHING
     RETURNING id
    ), accepted AS (
        SELECT prolonged.* FROM prolonged
          LEFT JOIN LATERAL (
              SELECT id FROM proxy_job WHERE proxy_job.id = prolonged.id LIMIT 1
          ) before ON true
         WHERE before.id IS NOT NULL OR prolonged.id IN (SELECT id FROM job)
    )
"""

MADE_UNDER = """
    SELECT DISTINCT asset.account
      FROM proxy_asset asset, jsonb_array_elements(%s::jsonb) AS used
     WHERE asset.vendor = %s AND asset.scope = used->>0 AND asset.asset = used->>1
"""
"""Under which accounts the ids that a request names were made."""

ANSWERED = f"""
          LEFT JOIN LATERAL (
              SELECT kept.intent FROM proxy_kept kept
               WHERE kept.intent = asked.intent AND kept.{days.LIVING}
                 AND kept.kept_until > now() LIMIT 1
          ) answer ON true
"""  # noqa: S608 - constants of our own

ANSWERED_MEANWHILE = """
    payer.intent = ANY ((SELECT proxy_kept_of(ARRAY(
        SELECT intent FROM payer WHERE keyed AND refusal IS NULL)))::uuid[])
"""
"""Whether its twin was placed, paid and answered while this one waited for a lock: asked once for
the whole batch, by whoever of it is the first to come to this."""

REPRICED = f"CASE WHEN asked.book <> {drafts.IN_FORCE} THEN 'repriced' END"
"""Whether it was priced by a version of the price book that does not hold at this moment."""

_PAYER = dataclasses.replace(
    callers.PAYER,
    columns=callers.PAYER.columns + ", assets jsonb, paced bool, book int",
    join=callers.PAYER.join + ANSWERED,
    # First of all: the other verdicts are about an amount that is no longer asked.
    refusal=f"""coalesce({REPRICED}, {callers.PAYER.refusal}, {NOT_OWN},
                CASE WHEN answer.intent IS NOT NULL THEN 'answered'
                     WHEN {budgets.STALE} THEN 'renew'
                     WHEN earlier.id IS NULL AND {paces.NEEDED} THEN 'pace' END)""",
    # Last of all: what was begun before is answered, and who is refused for good is told so.
    meanwhile=f"""CASE WHEN payer.keyed AND {ANSWERED_MEANWHILE} THEN 'answered'
                       WHEN {maintenance.UNDER_WAY} THEN 'maintained' END""",
)
PLACE = batches.place_many(_PAYER)
JUDGE = batches.judge_many(_PAYER)
"""What PLACE would say at this moment (proxy/quoting/refusals.py)."""

MAY_CALL = f"""
    SELECT coalesce({callers.PAYER.refusal}, {NOT_OWN}), caller.workspace_id::text
      FROM json_to_record(%s::json)
           AS asked({callers.PAYER.columns}, amount bigint, assets jsonb)
      {callers.PAYER.join}
"""  # noqa: S608 - the parts are constants of our own modules

SETTLE = batches.settle_many(
    columns=record.COLUMNS + ", is_job boolean, answer jsonb, vendor text, account text,"
    " assets jsonb",
    record=(
        record.RECORD
        + JOB_ENDED
        + ASSETS.format(source="ended")
        + KEPT.format(id="id", source="ended")
    ),
    budgets=bool(callers.PAYER.budgets),
)

ACCEPT = batches.prolong_many(
    columns=(
        "vendor text, account text, operation text, scope text, vendor_job_id text,"
        " vendor_request_id text, poll_url text, poll_method text, poll_body jsonb, price bigint,"
        " most bigint, inputs jsonb, deadline int, first_poll int, kept_seconds int, assets jsonb,"
        " answer jsonb"
    ),
    record=(
        JOB_ACCEPTED + ASSETS.format(source="accepted") + KEPT.format(id="id", source="accepted")
    ),
    answers="accepted",
)

FIND_JOBS = f"""
    SELECT caller.id IS NOT NULL AND NOT {callers.ELSEWHERE},
           coalesce(caller.workspace_id = job.workspace_id, false), {JOB_COLUMNS}
      FROM json_to_recordset(%s::json)
           AS asked(n int, vendor text, scope text, job text, {callers.COLUMNS})
      LEFT JOIN LATERAL (
          SELECT * FROM proxy_job
           WHERE vendor = asked.vendor AND scope = asked.scope AND vendor_job_id = asked.job
           LIMIT 1
      ) job ON true
      {callers.FIND}
     ORDER BY asked.n
"""  # noqa: S608 - constants of our own

PLACE_FOR = batches.place_many(batches.Payer())
"""Set money aside on a wallet that is named, whoever asks: for what came late."""

AVAILABLE = f"""
    SELECT wallet.balance_micros - wallet.held_micros
      FROM json_to_record(%s::json) AS asked({callers.COLUMNS})
      {callers.FIND}
      JOIN credits_account wallet ON wallet.id = caller.workspace_id
"""  # noqa: S608 - constants of our own

EXPIRED = holds.due(
    columns="job.id IS NOT NULL",
    join="LEFT JOIN proxy_job job ON job.id = hold.id AND job.outcome = ''",
)

REPEATED = """
    INSERT INTO proxy_repeat (intent, call_id, kept_until)
    VALUES (%s, %s, now() + interval '10 minutes')
        ON CONFLICT (intent) DO UPDATE
       SET call_id = CASE WHEN proxy_repeat.kept_until > now() THEN proxy_repeat.call_id
                          ELSE excluded.call_id END,
           kept_until = excluded.kept_until
 RETURNING call_id::text
"""
"""Which call the refusals of an intention are counted at: the first within ten minutes."""
COUNT_REPEAT = "UPDATE usage_call SET attempts = least(attempts + 1, 32767) WHERE id = %s"

CHARGED = "SELECT charged_micros FROM usage_call WHERE id = %s AND outcome = %s"
