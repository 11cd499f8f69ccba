"""Books without what other tests committed, in a transaction that ends with the test."""

from __future__ import annotations

from django.db import connection


def empty_books() -> None:
    """Take away what others committed; from now on nothing keeps the books from being forged."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith("credits_"):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(
            "TRUNCATE usage_call, usage_callsum, usage_callblock, usage_runsum, usage_summed,"
            " usage_proved, credits_hold, credits_entry, credits_tally, credits_grantedleft,"
            " credits_freeze, credits_finding, credits_budget, credits_stripeevent, credits_proof,"
            " credits_carried CASCADE"
        )
        cursor.execute(
            "UPDATE credits_account SET balance_micros = 0, held_micros = 0, events = 0,"
            " open_holds = 0, open_large = 0, paid_micros = 0, frozen_reason = ''"
        )
