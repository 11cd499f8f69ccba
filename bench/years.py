"""A year of calls by SQL, as the books would have written it: `reconcile` finds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection

from bench.accounts import _id
from bench.history import PARTITIONS
from credits.models import LAST_HOUSE
from credits.proofs import accounting
from credits.statements import chain, sealing
from usage import sums

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from uuid import UUID

MONTHS = 12
LARGE_WALLET = 1

# Each wallet's calls are spread over the year; one in 25 failed and cost nothing. Ids are in the
# order of time, as those of the platform are.
FILL = """
    INSERT INTO usage_call (
        id, workspace_id, number, user_id, key_id, vendor, operation, run_id, project, outcome,
        reason, status, quoted_micros, held_micros, charged_micros, price_version, attempts,
        vendor_job_id, vendor_request_id, facts, started_at, settled_at)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || substr(mixed, 1, 3) || '8' || substr(mixed, 4, 15))::uuid,
           wallet.id, number, seat.user_id, key.id, 'vendor-' || (hash %% 20),
           'vendor-' || (hash %% 20) || '/operation-' || (hash %% 3), 'run-' || number / 8, '',
           CASE WHEN hash %% 25 = 0 THEN 'failed' ELSE 'delivered' END, '', 200, 60000, 60000,
           CASE WHEN hash %% 25 = 0 THEN 0 ELSE 40000 END, '2026-08', 1, '',
           'request-' || mixed, '{"inputs": {"seconds": 5, "size": "1024x1024"}}',
           at - interval '20 seconds', at
      FROM credits_account wallet
      JOIN accounts_membership seat ON seat.workspace_id = wallet.id
      JOIN LATERAL (SELECT id FROM apikeys_apikey
                     WHERE workspace_id = wallet.id LIMIT 1) key ON true
      CROSS JOIN LATERAL generate_series(2, 1 + %(calls)s) AS number
      CROSS JOIN LATERAL (
          SELECT abs(hashint8(number)) AS hash, md5(wallet.id::text || number) AS mixed,
                 now() - interval '1 hour' - interval '%(months)s months'
                 + ((number - 1)::float8 / (%(calls)s + 1)) * interval '%(months)s months' AS at
      ) AS made
     WHERE wallet.id = ANY (%(wallets)s::uuid[])
"""
ENTRIES = """
    INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key, created_at)
    SELECT 'call', workspace_id, '00000000-0000-0000-0000-000000000001', charged_micros,
           'call:' || id, settled_at
      FROM usage_call WHERE charged_micros > 0
       AND settled_at >= %(since)s AND settled_at < %(until)s
     ORDER BY settled_at, workspace_id, number
"""
SETTLED = """
    UPDATE credits_account SET events = 1 + calls, balance_micros = balance_micros - charged
      FROM (SELECT workspace_id, count(*) AS calls, sum(charged_micros)::bigint AS charged
              FROM usage_call GROUP BY workspace_id) AS summed
     WHERE credits_account.id = workspace_id
"""
LINES = f"""
    CREATE UNLOGGED TABLE bench_line AS
    SELECT wallet_id, entry_id, kind, key, about, amount,
           row_number() OVER wallet AS position, max(created_at) OVER wallet AS made_at,
           sum(amount) OVER wallet::bigint AS micros
      FROM (SELECT debit_id AS wallet_id, id AS entry_id, kind, key, {sealing.ABOUT} AS about,
                   created_at, -amount_micros AS amount
              FROM credits_entry WHERE debit_id > '{LAST_HOUSE}'
             UNION ALL
            SELECT credit_id, id, kind, key, {sealing.ABOUT}, created_at, amount_micros
              FROM credits_entry WHERE credit_id > '{LAST_HOUSE}') AS side
    WINDOW wallet AS (PARTITION BY wallet_id ORDER BY entry_id);
    CREATE UNIQUE INDEX ON bench_line (wallet_id, position);
    ANALYZE bench_line;
"""
# Line after line, of all wallets at once: what Python does for one after the other (sealing.py).
SEALS = f"""
    WITH RECURSIVE chained AS (
        SELECT wallet_id, position - 1 AS position, NULL::bigint AS entry_id, made_at, micros,
               NULL::bytea AS hash
          FROM bench_line WHERE position = 1
         UNION ALL
        SELECT wallet_id, position, entry_id, made_at, micros, {sealing.LINK}
          FROM (SELECT line.*, coalesce(encode(chained.hash, 'hex'), '{chain.GENESIS}') AS previous
                  FROM chained JOIN bench_line line
                    ON line.wallet_id = chained.wallet_id AND line.position = chained.position + 1
               ) AS line
    )
    INSERT INTO credits_seal (wallet_id, position, entry_id, at, balance_micros, hash)
    SELECT wallet_id, position, entry_id, made_at, micros, hash FROM chained WHERE position > 0
"""
BY_INDEX = """
    SET session_replication_role = replica;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
"""
AS_BEFORE = (
    "RESET session_replication_role; RESET enable_hashjoin; RESET enable_mergejoin;"
    " RESET enable_seqscan; DROP TABLE bench_line"
)


def large() -> UUID:
    """Return the workspace that has the most."""
    return _id("wallet", LARGE_WALLET)


def fill(options: argparse.Namespace, tell: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Write calls, entries and seals; the workers' own code sums and tallies them."""
    others = [_id("wallet", n) for n in range(2, options.wallets + 1)]
    each = max(1, (options.calls - options.large) // len(others))
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS % (MONTHS + 1))

        def calls() -> None:
            for wallets, count in (([large()], options.large), (others, each)):
                given = {"calls": count, "months": MONTHS, "wallets": wallets}
                cursor.execute(FILL, given)

        def entries() -> None:
            cursor.execute(
                "SELECT at, at + interval '1 month' FROM generate_series(date_trunc('month',"
                " now() - interval '13 months'), now(), interval '1 month') AS at"
            )
            for since, until in cursor.fetchall():
                cursor.execute(ENTRIES, {"since": since, "until": until})
            cursor.execute(SETTLED)

        tell(f"{options.calls:,} calls in {options.wallets:,} wallets written", calls)
        tell("their entries", entries)

        def seals() -> None:
            for statement in (LINES, BY_INDEX, SEALS, AS_BEFORE):
                cursor.execute(statement)

        tell("their seals", seals)
        tell("VACUUM ANALYZE", lambda: cursor.execute("VACUUM ANALYZE"))
    tell("summed up for histories (usage/sums.py)", sums.catch_up_all)
    tell("summed by day (proofs/accounting.py)", accounting.tally)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT pg_database_size(current_database()) / 1e9")
        print(f"the database is {cursor.fetchone()[0]:.1f} GB")
