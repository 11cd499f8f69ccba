"""What the history must have in common with the books (run with credits.reconciliation)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credits.proofs.reconciliation import Check
from usage import since
from usage.sums import BLOCK

if TYPE_CHECKING:
    from credits.proofs.since import Since

_SUMMED = """
    SELECT call.*, coalesce(user_id, uuid_nil) AS person, coalesce(key_id, uuid_nil) AS made_by
      FROM usage_call call JOIN usage_summed summed USING (workspace_id)
           CROSS JOIN (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS uuid_nil) AS nil
     WHERE call.number <= summed.number
"""
"""The calls that the sums are of."""

_COUNTED = """
    SELECT coalesce(sum(calls), 0) AS rows, coalesce(sum(charged_micros), 0) AS micros
      FROM usage_callsum WHERE span = '{}'
"""


def _spans(name: str, calls: str, after: Since) -> Check:
    """Return the check that the sums of a kind of span are those of what they are made of."""
    columns, numbers = since.COLUMNS, since.NUMBERS_OF
    return Check(
        f"the sums of {name}s are those of their calls",
        _COUNTED.format(name),
        f"""
        SELECT 'workspace ' || workspace_id || ', {name} ' || begins_at || ': ' || count(*)
               || ' sums differ'
          FROM (SELECT workspace_id, begins_at FROM (
                    ({calls} EXCEPT
                     SELECT {columns}, {numbers} FROM usage_callsum WHERE span = '{name}')
                    UNION ALL
                    (SELECT {columns}, {numbers} FROM usage_callsum WHERE span = '{name}'
                     EXCEPT {calls})) AS either) AS differing
         GROUP BY workspace_id, begins_at
        """,  # noqa: S608 - of our own
        after,
    )


def _from_calls(span: str) -> str:
    return f"""
        SELECT workspace_id, date_trunc('{span}', settled_at AT TIME ZONE 'UTC')
                             AT TIME ZONE 'UTC' AS begins_at, vendor, operation, person, made_by,
               project, count(*) AS calls, count(*) FILTER (WHERE outcome = 'delivered'),
               count(*) FILTER (WHERE charged_micros = 0), sum(charged_micros)::bigint
          FROM ({_SUMMED}) AS call GROUP BY 1, 2, 3, 4, 5, 6, 7
    """  # noqa: S608 - of our own


def _from_hours(span: str) -> str:
    return f"""
        SELECT workspace_id, date_trunc('{span}', begins_at AT TIME ZONE 'UTC')
                             AT TIME ZONE 'UTC' AS begins_at, vendor, operation, user_id, key_id,
               project, sum(calls)::bigint, sum(delivered)::bigint, sum(uncharged)::bigint,
               sum(charged_micros)::bigint
          FROM usage_callsum WHERE span = 'hour' GROUP BY 1, 2, 3, 4, 5, 6, 7
    """  # noqa: S608 - of our own


CHECKS = (
    Check(
        "each charged call has its entry, and each call's entry its call",
        "SELECT count(*) AS rows, coalesce(sum(charged_micros), 0) AS micros FROM usage_call",
        """
        SELECT 'call ' || coalesce(call.id::text, entry.key) || ': charged '
               || coalesce(call.charged_micros, 0) || ', entry ' || coalesce(entry.amount_micros, 0)
          FROM (SELECT id, charged_micros, workspace_id FROM usage_call
                 WHERE charged_micros > 0) call
          FULL JOIN (SELECT key, amount_micros, debit_id FROM credits_entry
                      WHERE kind = 'call') entry
            ON entry.key = 'call:' || call.id
         WHERE call.charged_micros IS DISTINCT FROM entry.amount_micros
            OR call.workspace_id IS DISTINCT FROM entry.debit_id
        """,
        since.CALLS,
    ),
    Check(
        "each wallet's history is numbered without gaps",
        "SELECT count(*) AS rows, 0 AS micros FROM credits_account WHERE kind = 'wallet'",
        """
        WITH listed AS (
            SELECT wallet, count(*) AS n, count(DISTINCT number) AS different, max(number) AS last
              FROM (SELECT workspace_id AS wallet, number FROM usage_call
                    UNION ALL
                    SELECT event_wallet_id, event_number FROM credits_entry
                     WHERE event_wallet_id IS NOT NULL) AS row
             GROUP BY wallet)
        SELECT 'wallet ' || id || ': ' || events || ' events, ' || coalesce(n, 0) || ' rows'
          FROM credits_account LEFT JOIN listed ON wallet = id
         WHERE kind = 'wallet'
           AND (events, events, events) IS DISTINCT FROM
               (coalesce(n, 0), coalesce(different, 0), coalesce(last, 0))
        """,
        since.NUMBERS,
    ),
    _spans("hour", _from_calls("hour"), since.HOURS),
    _spans("day", _from_hours("day"), since.DAYS),
    _spans("month", _from_hours("month"), since.MONTHS),
    Check(
        "each block of numbers counts its calls",
        "SELECT coalesce(sum(calls), 0) AS rows, 0 AS micros FROM usage_callblock",
        f"""
        WITH counted AS (
            SELECT workspace_id, (number - 1) / {BLOCK} AS block, vendor, operation,
                   person AS user_id, made_by AS key_id, project, outcome, count(*)::int AS calls
              FROM ({_SUMMED}) AS call GROUP BY 1, 2, 3, 4, 5, 6, 7, 8)
        SELECT 'workspace ' || workspace_id || ', block ' || block || ': counts '
               || coalesce(had.calls, 0) || ', has ' || coalesce(counted.calls, 0)
          FROM counted FULL JOIN usage_callblock had
         USING (workspace_id, block, vendor, operation, user_id, key_id, project, outcome)
         WHERE counted.calls IS DISTINCT FROM had.calls
        """,  # noqa: S608 - of our own
        since.BLOCKS,
    ),
    Check(
        "each run is the sum of its calls",
        "SELECT coalesce(sum(calls), 0) AS rows, coalesce(sum(charged_micros), 0) AS micros"
        " FROM usage_runsum",
        f"""
        WITH summed AS (
            SELECT workspace_id, run_id, person AS user_id, count(*)::int AS calls,
                   count(*) FILTER (WHERE outcome = 'delivered')::int AS delivered,
                   sum(charged_micros)::bigint AS micros, min(number) AS first, max(number) AS last,
                   (array_agg(project ORDER BY number DESC))[1] AS project
              FROM ({_SUMMED}) AS call WHERE run_id <> '' GROUP BY 1, 2, 3)
        SELECT 'workspace ' || workspace_id || ', run ' || run_id || ': '
               || coalesce(had.calls, 0) || ' calls, has ' || coalesce(summed.calls, 0)
          FROM summed FULL JOIN usage_runsum had USING (workspace_id, run_id, user_id)
         WHERE (summed.calls, summed.delivered, summed.micros, summed.first, summed.last,
                summed.project)
               IS DISTINCT FROM (had.calls, had.delivered, had.charged_micros, had.first_number,
                                 had.last_number, had.project)
        """,  # noqa: S608 - of our own
        since.RUNS,
    ),
)
