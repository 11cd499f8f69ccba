"""The proofs of the history again, of the calls that came after the last proof (credits/proofs).

A call is behind the mark by its number in its workspace's history, and it was settled at most a day
before the proof (`recent`): that spares looking into the months before. Of the sums those are read
again that such a call is in: its hour, day and month, its block of numbers, its run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from common.rows import values
from credits.proofs.since import Since
from usage.sums import BLOCK

if TYPE_CHECKING:
    from datetime import datetime

_OF_CALL: Final = "^call:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_NEW: Final = """
    new AS MATERIALIZED (
        SELECT call.id, call.workspace_id, call.number, call.charged_micros
          FROM credits_account account
          LEFT JOIN credits_carried carried ON carried.account_id = account.id
          JOIN LATERAL (
              SELECT id, workspace_id, number, charged_micros FROM usage_call
               WHERE workspace_id = account.id AND number > coalesce(carried.events, 0)
                 AND settled_at > %(recent)s) call ON true
         WHERE account.kind = 'wallet'
    )
"""
"""The calls behind the mark of each wallet's history."""

# What differs among the new is looked for once more among all: the mark of the entries is an id,
# that of a history a number, and a call may stand behind one and its entry before the other.
CALLS: Final = Since(
    f"""
    WITH {_NEW}
    SELECT count(*) AS rows, coalesce(sum(charged_micros), 0) AS micros FROM new
    """,  # noqa: S608 - constants of our own
    f"""
    WITH {_NEW}, either AS (
        SELECT call.id AS call, call.charged_micros, call.workspace_id, entry.key,
               entry.amount_micros, entry.debit_id
          FROM (SELECT * FROM new WHERE charged_micros > 0) call
          FULL JOIN (SELECT key, amount_micros, debit_id FROM credits_entry
                      WHERE kind = 'call' AND id > %(after)s) entry
            ON entry.key = 'call:' || call.id
         WHERE call.charged_micros IS DISTINCT FROM entry.amount_micros
            OR call.workspace_id IS DISTINCT FROM entry.debit_id
    ), found AS (
        SELECT coalesce(either.call, call.id) AS call, coalesce(either.key, entry.key) AS key,
               coalesce(either.charged_micros, call.charged_micros) AS charged_micros,
               coalesce(either.workspace_id, call.workspace_id) AS workspace_id,
               coalesce(either.amount_micros, entry.amount_micros) AS amount_micros,
               coalesce(either.debit_id, entry.debit_id) AS debit_id
          FROM either
          LEFT JOIN LATERAL (
              SELECT id, charged_micros, workspace_id FROM usage_call
               WHERE either.call IS NULL AND charged_micros > 0
                 AND id = CASE WHEN either.key ~ '{_OF_CALL}'
                               THEN substr(either.key, 6)::uuid END LIMIT 1) call ON true
          LEFT JOIN LATERAL (
              SELECT key, amount_micros, debit_id FROM credits_entry
               WHERE either.key IS NULL AND kind = 'call'
                 AND key = 'call:' || either.call LIMIT 1) entry ON true
    )
    SELECT 'call ' || coalesce(call::text, key) || ': charged ' || coalesce(charged_micros, 0)
           || ', entry ' || coalesce(amount_micros, 0)
      FROM found
     WHERE charged_micros IS DISTINCT FROM amount_micros OR workspace_id IS DISTINCT FROM debit_id
    """,  # noqa: S608 - constants of our own
)
NUMBERS: Final = Since(
    "SELECT count(*) AS rows, 0 AS micros FROM credits_account WHERE kind = 'wallet'",
    f"""
    WITH {_NEW}, entry AS (
        SELECT entry.event_wallet_id, entry.event_number
          FROM credits_account account
          LEFT JOIN credits_carried carried ON carried.account_id = account.id
          JOIN LATERAL (
              SELECT event_wallet_id, event_number FROM credits_entry
               WHERE event_wallet_id = account.id AND event_wallet_id IS NOT NULL
                 AND event_number > coalesce(carried.events, 0)) entry ON true
         WHERE account.kind = 'wallet'
    ), listed AS (
        SELECT wallet, count(*) AS n, count(DISTINCT number) AS different, max(number) AS last
          FROM (SELECT workspace_id AS wallet, number FROM new
                UNION ALL SELECT event_wallet_id, event_number FROM entry) AS row
         GROUP BY wallet)
    SELECT 'wallet ' || id || ': ' || account.events || ' events, '
           || coalesce(carried.events, 0) + coalesce(n, 0) || ' rows'
      FROM credits_account account
      LEFT JOIN credits_carried carried ON carried.account_id = id
      LEFT JOIN listed ON wallet = id
      CROSS JOIN LATERAL (SELECT coalesce(carried.events, 0) AS events) before
     WHERE kind = 'wallet'
       AND (account.events, account.events, account.events) IS DISTINCT FROM
           (before.events + coalesce(n, 0), before.events + coalesce(different, 0),
            coalesce(last, before.events))
    """,  # noqa: S608 - constants of our own
)

_TOUCHED: Final = """
    touched AS MATERIALIZED (
        SELECT summed.workspace_id, summed.number AS upto, coalesce(proved.number, 0) AS number
          FROM usage_summed summed LEFT JOIN usage_proved proved USING (workspace_id)
         WHERE summed.number > coalesce(proved.number, 0)
    )
"""
"""The workspaces whose sums have grown, from which number to which."""
_FIRST: Final = f"""
    WITH {_TOUCHED}
    SELECT min(settled_at) FROM touched JOIN LATERAL (
        SELECT settled_at FROM usage_call
         WHERE workspace_id = touched.workspace_id AND number > touched.number
           AND number <= touched.upto AND settled_at > %(recent)s) call ON true
"""  # noqa: S608 - constants of our own
_CALLS: Final = """
    SELECT call.*, coalesce(user_id, uuid_nil) AS person, coalesce(key_id, uuid_nil) AS made_by
      FROM touched JOIN usage_call call USING (workspace_id)
           CROSS JOIN (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS uuid_nil) AS nil
     WHERE call.number <= touched.upto
"""
_COUNTED: Final = f"""
    WITH {_TOUCHED}
    SELECT coalesce(sum(calls), 0) AS rows, coalesce(sum(charged_micros), 0) AS micros
      FROM touched JOIN usage_callsum USING (workspace_id)
     WHERE span = '{{span}}' AND begins_at >= {{begin}}
"""  # noqa: S608 - constants of our own
COLUMNS: Final = "workspace_id, begins_at, vendor, operation, user_id, key_id, project"
NUMBERS_OF: Final = "calls, delivered, uncharged, charged_micros"


def _begin(span: str) -> str:
    return f"date_trunc('{span}', %(first)s::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"


def _sums(made: str, span: str) -> Since:
    """Return the check of the sums of a span from the first that a new call is in."""
    had = f"""
        SELECT {COLUMNS}, {NUMBERS_OF} FROM touched JOIN usage_callsum USING (workspace_id)
         WHERE span = '{span}' AND begins_at >= {_begin(span)}
    """  # noqa: S608 - constants of our own
    return Since(
        _COUNTED.format(span=span, begin=_begin(span)),
        f"""
        WITH {_TOUCHED}, made AS MATERIALIZED ({made}), had AS MATERIALIZED ({had})
        SELECT 'workspace ' || workspace_id || ', {span} ' || begins_at || ': ' || count(*)
               || ' sums differ'
          FROM ((TABLE made EXCEPT TABLE had) UNION ALL (TABLE had EXCEPT TABLE made)) AS either
         GROUP BY workspace_id, begins_at
        """,  # noqa: S608 - constants of our own
    )


def _from_sums(span: str, of: str) -> str:
    return f"""
        SELECT workspace_id, date_trunc('{span}', begins_at AT TIME ZONE 'UTC')
                             AT TIME ZONE 'UTC' AS begins_at, vendor, operation, user_id, key_id,
               project, sum(calls)::bigint, sum(delivered)::bigint, sum(uncharged)::bigint,
               sum(charged_micros)::bigint
          FROM touched JOIN usage_callsum USING (workspace_id)
         WHERE span = '{of}' AND begins_at >= {_begin(span)} GROUP BY 1, 2, 3, 4, 5, 6, 7
    """  # noqa: S608 - constants of our own


HOURS: Final = _sums(
    f"""
        SELECT workspace_id, date_trunc('hour', settled_at AT TIME ZONE 'UTC')
                             AT TIME ZONE 'UTC' AS begins_at, vendor, operation,
               person AS user_id, made_by AS key_id, project, count(*) AS calls,
               count(*) FILTER (WHERE outcome = 'delivered') AS delivered,
               count(*) FILTER (WHERE charged_micros = 0) AS uncharged,
               sum(charged_micros)::bigint AS charged_micros
          FROM ({_CALLS} AND settled_at >= {_begin("hour")}) AS call GROUP BY 1, 2, 3, 4, 5, 6, 7
    """,  # noqa: S608 - constants of our own
    "hour",
)
DAYS: Final = _sums(_from_sums("day", "hour"), "day")
MONTHS: Final = _sums(_from_sums("month", "day"), "month")

BLOCKS: Final = Since(
    f"""
    WITH {_TOUCHED}
    SELECT coalesce(sum(calls), 0) AS rows, 0 AS micros
      FROM touched JOIN usage_callblock USING (workspace_id)
     WHERE block >= touched.number / {BLOCK}
    """,  # noqa: S608 - constants of our own
    f"""
    WITH {_TOUCHED}, counted AS (
        SELECT workspace_id, (number - 1) / {BLOCK} AS block, vendor, operation,
               person AS user_id, made_by AS key_id, project, outcome, count(*)::int AS calls
          FROM ({_CALLS} AND call.number > touched.number / {BLOCK} * {BLOCK}) AS call
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), had AS (
        SELECT block.* FROM touched JOIN usage_callblock block USING (workspace_id)
         WHERE block >= touched.number / {BLOCK})
    SELECT 'workspace ' || workspace_id || ', block ' || block || ': counts '
           || coalesce(had.calls, 0) || ', has ' || coalesce(counted.calls, 0)
      FROM counted FULL JOIN had
     USING (workspace_id, block, vendor, operation, user_id, key_id, project, outcome)
     WHERE counted.calls IS DISTINCT FROM had.calls
    """,  # noqa: S608 - constants of our own
)
RUNS: Final = Since(
    f"""
    WITH {_TOUCHED}
    SELECT coalesce(sum(calls), 0) AS rows, coalesce(sum(charged_micros), 0) AS micros
      FROM touched JOIN usage_runsum USING (workspace_id) WHERE last_number > touched.number
    """,  # noqa: S608 - constants of our own
    f"""
    WITH {_TOUCHED}, new AS (
        SELECT workspace_id, run_id, person AS user_id, min(number) AS first,
               min(settled_at) AS since
          FROM ({_CALLS} AND call.number > touched.number AND settled_at > %(recent)s) AS call
         WHERE run_id <> '' GROUP BY 1, 2, 3
    ), had AS (
        SELECT run.* FROM touched JOIN usage_runsum run USING (workspace_id)
         WHERE run.last_number > touched.number
    ), due AS (
        SELECT workspace_id, run_id, user_id, least(new.first, had.first_number) AS first,
               least(new.since, had.began_at) AS since
          FROM new FULL JOIN had USING (workspace_id, run_id, user_id)
    ), since AS (  -- A workspace's calls are read once, from the first of any of these runs.
        SELECT workspace_id, min(first) AS first, min(since) AS since FROM due GROUP BY 1
    ), call AS (
        SELECT call.* FROM since JOIN touched USING (workspace_id)
          JOIN usage_call call ON call.workspace_id = since.workspace_id AND call.run_id <> ''
           AND call.number BETWEEN since.first AND touched.upto AND call.settled_at >= since.since
    ), summed AS (
        SELECT due.workspace_id, due.run_id, due.user_id, count(*)::int AS calls,
               count(*) FILTER (WHERE outcome = 'delivered')::int AS delivered,
               sum(charged_micros)::bigint AS micros, min(call.number) AS first,
               max(call.number) AS last, (array_agg(project ORDER BY number DESC))[1] AS project
          FROM due JOIN call ON call.workspace_id = due.workspace_id AND call.run_id = due.run_id
           AND coalesce(call.user_id, '00000000-0000-0000-0000-000000000000') = due.user_id
         GROUP BY 1, 2, 3)
    SELECT 'workspace ' || workspace_id || ', run ' || run_id || ': '
           || coalesce(had.calls, 0) || ' calls, has ' || coalesce(summed.calls, 0)
      FROM summed FULL JOIN had USING (workspace_id, run_id, user_id)
     WHERE (summed.calls, summed.delivered, summed.micros, summed.first, summed.last,
            summed.project)
           IS DISTINCT FROM (had.calls, had.delivered, had.charged_micros, had.first_number,
                             had.last_number, had.project)
    """,  # noqa: S608 - constants of our own
)

CARRY: Final = f"""
    WITH {_TOUCHED}
    INSERT INTO usage_proved (workspace_id, number) SELECT workspace_id, upto FROM touched
        ON CONFLICT (workspace_id) DO UPDATE SET number = excluded.number
"""  # noqa: S608 - constants of our own


def bounds(mark: dict[str, Any]) -> dict[str, datetime | None]:
    """Return the parameters that these checks need beside a mark's: when the first new call was.

    None is there where there is none: no sum is behind nothing.
    """
    (first,) = values(_FIRST, mark)
    return {"first": first}


def carry() -> None:
    """Have the sums be proved up to where they stand, as the checks above found them right."""
    with connection.cursor() as cursor:
        cursor.execute(CARRY)
