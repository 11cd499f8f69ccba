"""Entries of other days: what the ledger and the holds would have written, at a given time."""

import uuid
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import F

from credits.models import HOUSE, Account, Entry, Lot

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACROSS = {
    "top_up": "stripe",
    "grant": "promotion",
    "call": "sales",
    "refund": "stripe",
    "adjustment": "adjustment",
    "expiry": "expired",
    "dispute": "disputed",
    "receivable": "receivable",
}
"""The house's account on the other side of a wallet's entry."""


def day(text):
    """Return the noon of a day."""
    return datetime.fromisoformat(text).replace(hour=12, tzinfo=UTC)


def post(wallet_id, kind, amount, at, *, across=None, key=None, facts=None):
    """Move a signed amount of micros into or out of a wallet, dated `at`."""
    other = HOUSE[ACROSS[kind]] if across is None else across
    receives = amount > 0
    entry = Entry.objects.create(
        kind=kind,
        debit_id=other if receives else wallet_id,
        credit_id=wallet_id if receives else other,
        amount_micros=abs(amount),
        key=key or f"{kind}:{uuid.uuid4()}",
        facts=facts or {},
        created_at=at,
    )
    paid = amount if kind in ("top_up", "refund", "dispute") else 0
    Account.objects.filter(pk=wallet_id).update(
        balance_micros=F("balance_micros") + amount, paid_micros=F("paid_micros") + paid
    )
    if across is not None:
        Account.objects.filter(pk=across).update(balance_micros=F("balance_micros") - amount)
    if receives:
        Lot.objects.create(
            entry=entry,
            wallet_id=wallet_id,
            kind="paid" if kind == "top_up" else "granted",
            amount_micros=amount,
            left_micros=amount,
        )
    return entry


def between_house(kind, debit, credit, amount, at):
    """Move micros between two accounts of the house."""
    return Entry.objects.create(
        kind=kind,
        debit_id=HOUSE[debit],
        credit_id=HOUSE[credit],
        amount_micros=amount,
        key=f"{kind}:{uuid.uuid4()}",
        created_at=at,
    )


def many_calls(wallet_id, count, *, amount=1000, first=START, step=timedelta(seconds=1)):
    """Make that many calls of one price, given before; what is committed still balances."""
    post(wallet_id, "grant", count * amount, first)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key, created_at)
            SELECT 'call', %s, %s, %s, 'call:' || gen_random_uuid(), %s + n * %s
              FROM generate_series(1, %s) n ORDER BY n
            """,
            [wallet_id, HOUSE["sales"], amount, first, step, count],
        )
    Account.objects.filter(pk=wallet_id).update(balance_micros=F("balance_micros") - count * amount)


def untouchable():
    """Let a test forge what the database refuses to change; it ends with the test."""
    with connection.cursor() as cursor:
        for table in ("credits_entry", "credits_seal"):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # What waits would forbid it.
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def clean_books():
    """Take away what other tests committed, in a transaction that ends with the test."""
    untouchable()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # Foreign keys look away.
        for table in ("hold", "budget", "seal", "lot", "daysum", "tally", "grantedleft", "entry"):
            cursor.execute(f"DELETE FROM credits_{table}")
        cursor.execute(
            "UPDATE credits_account"
            " SET balance_micros = 0, held_micros = 0, events = 0, open_holds = 0,"
            " open_large = 0, paid_micros = 0"
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
