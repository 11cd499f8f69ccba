"""What the proxy says to the database: each phase of a call as one statement.

Here the parts meet that do not know each other: who pays (apikeys), how money is set aside and
ends (credits), what is written of a call (usage), and what the proxy keeps (jobs, answers).
"""

from __future__ import annotations

import dataclasses

from apikeys import keys
from credits.books import batches, holds
from usage import record

KEEP = """
    INSERT INTO proxy_answer (intent, call_id, fingerprint, status, headers, body, spool, once,
                              kept_until)
    SELECT (answer->>'intent')::uuid, {id}, answer->>'fingerprint', (answer->>'status')::smallint,
           coalesce(answer->'headers', '{{}}'),
           coalesce(convert_to(answer->>'text', 'UTF8'), (answer->>'body')::bytea),
           coalesce(answer->>'spool', ''), (answer->>'once')::boolean,
           now() + (answer->>'seconds')::int * interval '1 second'
      FROM {source} WHERE answer IS NOT NULL
        ON CONFLICT (intent) DO UPDATE
       SET call_id = excluded.call_id, fingerprint = excluded.fingerprint,
           status = excluded.status, headers = excluded.headers, body = excluded.body,
           spool = excluded.spool, once = excluded.once, kept_until = excluded.kept_until
"""
KEPT = f", kept AS ({KEEP})"
KEEP_LATER = KEEP.format(id="id", source="(SELECT %s::uuid AS id, %s::jsonb AS answer) AS given")

JOB_ENDED = """
    , job AS (
        UPDATE proxy_job SET ended_at = now(),
               (outcome, price_micros) = (
                   SELECT outcome, charged FROM ended WHERE ended.id = proxy_job.id)
         WHERE id = ANY (ARRAY(SELECT id FROM ended WHERE is_job)) AND ended_at IS NULL
    )
"""

JOB_ACCEPTED = """
    , job AS (
        INSERT INTO proxy_job (id, workspace_id, vendor, operation, vendor_job_id,
                               vendor_request_id, poll_url,
                               price_micros, inputs, deadline_at, next_poll_at)
        SELECT id, wallet, vendor, operation, vendor_job_id, vendor_request_id, poll_url, price,
               coalesce(inputs, '{}'), now() + deadline * interval '1 second',
               now() + first_poll * interval '1 second'
          FROM prolonged
         ORDER BY vendor, vendor_job_id  -- As everybody does who may meet the same jobs.
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

ANSWERED = """
          LEFT JOIN LATERAL (
              SELECT kept.intent FROM proxy_answer kept
               WHERE kept.intent = asked.intent AND kept.kept_until > now() LIMIT 1
          ) answer ON true
"""

PLACE = batches.place_many(
    dataclasses.replace(
        keys.PAYER,
        join=keys.PAYER.join + ANSWERED,
        refusal=f"""coalesce({keys.PAYER.refusal},
                    CASE WHEN answer.intent IS NOT NULL THEN 'answered' END)""",
    )
)

MAY_CALL = f"""
    SELECT {keys.PAYER.refusal}
      FROM (SELECT %s::bytea AS digest, %s::text AS vendor, 0 AS amount) AS asked
      {keys.PAYER.join}
"""  # noqa: S608 - the parts are constants of our own modules

SETTLE = batches.settle_many(
    columns=record.COLUMNS + ", is_job boolean, answer jsonb",
    record=record.RECORD + JOB_ENDED + KEPT.format(id="id", source="ended"),
)

ACCEPT = batches.prolong_many(
    columns=(
        "vendor text, operation text, vendor_job_id text, vendor_request_id text, poll_url text,"
        " price bigint,"
        " inputs jsonb, deadline int, first_poll int, answer jsonb"
    ),
    record=JOB_ACCEPTED + KEPT.format(id="id", source="accepted"),
    answers="accepted",
)

FIND_JOBS = """
    SELECT asked.n, job.id::text, job.workspace_id::text, job.vendor, job.operation,
           job.vendor_job_id, job.vendor_request_id, job.poll_url, job.price_micros, job.inputs,
           job.ended_at IS NOT NULL, job.outcome, key.id IS NOT NULL,
           key.workspace_id = job.workspace_id
      FROM json_to_recordset(%s::json) AS asked(n int, vendor text, job text, digest bytea)
      LEFT JOIN LATERAL (
          SELECT * FROM proxy_job
           WHERE vendor = asked.vendor AND vendor_job_id = asked.job LIMIT 1
      ) job ON true
      LEFT JOIN LATERAL (
          SELECT key.id, key.workspace_id
            FROM apikeys_apikey key JOIN accounts_user person ON person.id = key.user_id
           WHERE key.digest = asked.digest AND key.revoked_at IS NULL AND key.disabled_at IS NULL
             AND coalesce(key.expires_at > now(), true) AND person.is_active LIMIT 1
      ) key ON true
     ORDER BY asked.n
"""

EXPIRED = holds.due(
    columns="job.id IS NOT NULL",
    join="LEFT JOIN proxy_job job ON job.id = hold.id AND job.ended_at IS NULL",
)

CHARGED = "SELECT charged_micros FROM usage_call WHERE id = %s AND outcome = %s"
