"""What the history must have in common with the books (run with credits.reconciliation)."""

from credits.proofs.reconciliation import Check

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
    ),
)
