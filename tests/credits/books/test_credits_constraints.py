"""Each rule of the books by hand: what no function of ours would do, the database refuses."""

import uuid

import pytest
from django.db import IntegrityError, connection, transaction

SALES = uuid.UUID(int=1)
ENTRY = (
    "INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key, event_wallet_id,"
    " event_number) VALUES "
)
HOLD = "INSERT INTO credits_hold (id, account_id, amount_micros, intent, expires_at) VALUES "
BUDGET = (
    "INSERT INTO credits_budget (owner_kind, owner, starts_at, ends_at, limit_micros, taken_micros,"
    " over_micros) VALUES "
)
HAND = {
    "a hold beyond the balance": (
        "account_never_overdrawn",
        "UPDATE credits_account SET held_micros = balance_micros + 1 WHERE id = %(wallet)s",
    ),
    "a balance below zero": (
        "account_never_overdrawn",
        "UPDATE credits_account SET balance_micros = -1 WHERE id = %(wallet)s",
    ),
    "less than nothing held": (
        "account_held_not_negative",
        "UPDATE credits_account SET held_micros = -1 WHERE id = %(wallet)s",
    ),
    "an amount that is held by no hold": (
        "account_open_holds_counted",
        "UPDATE credits_account SET held_micros = 1 WHERE id = %(wallet)s",
    ),
    "fewer holds than none": (
        "account_open_holds_counted",
        "UPDATE credits_account SET open_holds = -1 WHERE id = %(wallet)s",
    ),
    "a budget that is exceeded": (
        "budget_never_exceeded",
        BUDGET + "('key', 'k', now(), NULL, 10, 11, 0)",
    ),
    "a budget of which less than nothing is taken": (
        "budget_taken_not_negative",
        BUDGET + "('key', 'k', now(), NULL, 10, -1, 0)",
    ),
    "a limit below zero": (
        "budget_limit_not_negative",
        BUDGET + "('key', 'k', now(), NULL, -1, 0, 1)",
    ),
    "a period that ends before it begins": (
        "budget_ends_after_its_start",
        BUDGET + "('key', 'k', now(), now(), 10, 0, 0)",
    ),
    "two budgets for one period": (
        "budget_once_per_period",
        BUDGET + "('key', 'k', now(), NULL, 10, 0, 0), ('key', 'k', now(), NULL, 5, 0, 0)",
    ),
    "a balance kept on a house account": (
        "account_house_is_summed",
        "UPDATE credits_account SET balance_micros = 5 WHERE id = %(sales)s",
    ),
    "a history of a house account": (
        "account_house_is_summed",
        "UPDATE credits_account SET events = 1 WHERE id = %(sales)s",
    ),
    "an account of an unknown kind": (
        "account_kind_known",
        "INSERT INTO credits_account (id, kind) VALUES (%(new)s, 'bank')",
    ),
    "a second sales account": (
        "account_one_of_each_house_kind",
        "INSERT INTO credits_account (id, kind) VALUES (%(new)s, 'sales')",
    ),
    "an entry of nothing": (
        "entry_amount_positive",
        ENTRY + "('call', %(wallet)s, %(sales)s, 0, 'k', NULL, NULL)",
    ),
    "an entry to itself": (
        "entry_two_accounts",
        ENTRY + "('call', %(wallet)s, %(wallet)s, 1, 'k', NULL, NULL)",
    ),
    "an entry without a reason": (
        "entry_key_not_empty",
        ENTRY + "('call', %(wallet)s, %(sales)s, 1, '', NULL, NULL)",
    ),
    "an entry of an unknown kind": (
        "entry_kind_known",
        ENTRY + "('gift', %(wallet)s, %(sales)s, 1, 'k', NULL, NULL)",
    ),
    "a number without a wallet": (
        "entry_numbered_in_a_wallet",
        ENTRY + "('grant', %(sales)s, %(wallet)s, 1, 'k', NULL, 7)",
    ),
    "a wallet without a number": (
        "entry_numbered_in_a_wallet",
        ENTRY + "('grant', %(sales)s, %(wallet)s, 1, 'k', %(wallet)s, NULL)",
    ),
    "the number zero": (
        "entry_numbered_in_a_wallet",
        ENTRY + "('grant', %(sales)s, %(wallet)s, 1, 'k', %(wallet)s, 0)",
    ),
    "a number twice": (
        "entry_number_once_per_wallet",
        ENTRY + "('grant', %(sales)s, %(wallet)s, 1, 'k', %(wallet)s, 1)",
    ),
    "a key twice": (
        "entry_key_once",
        ENTRY
        + "('call', %(wallet)s, %(sales)s, 1, 'k', NULL, NULL),"
        + " ('call', %(wallet)s, %(sales)s, 2, 'k', NULL, NULL)",
    ),
    "a hold of less than nothing": (
        "hold_amount_not_negative",
        HOLD + "(%(new)s, %(wallet)s, -1, NULL, now() + interval '1 minute')",
    ),
    "a hold that is over before it begins": (
        "hold_expires_after_placing",
        HOLD + "(%(new)s, %(wallet)s, 1, NULL, now())",
    ),
    "two holds for one intention": (
        "hold_intent_once",
        HOLD
        + "(gen_random_uuid(), %(wallet)s, 1, %(new)s, now() + interval '1 minute'),"
        + " (gen_random_uuid(), %(wallet)s, 1, %(new)s, now() + interval '1 minute')",
    ),
}


def try_by_hand(sql, **given):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, given)


@pytest.mark.parametrize("what", HAND)
def test_the_database_refuses(alice, what):
    name, sql = HAND[what]

    with pytest.raises(IntegrityError, match=name):
        try_by_hand(sql, wallet=alice.workspace_id, sales=SALES, new=uuid.uuid4())


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE credits_entry SET amount_micros = 1 WHERE event_wallet_id = %(wallet)s",
        "UPDATE credits_entry SET facts = '{}' WHERE event_wallet_id = %(wallet)s",
        "DELETE FROM credits_entry WHERE event_wallet_id = %(wallet)s",
        "TRUNCATE credits_entry CASCADE",
    ],
)
def test_an_entry_is_never_changed(alice, sql):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(IntegrityError, match="entry_insert_only"):
        try_by_hand(sql, wallet=alice.workspace_id)


def test_an_entry_is_not_changed_where_triggers_are_off_for_replication(alice):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")

    with pytest.raises(IntegrityError, match="entry_insert_only"):
        try_by_hand("DELETE FROM credits_entry")


NOBODY = "00000000-0000-0000-0000-00000000dead"


@pytest.mark.parametrize("column", ["debit_id", "credit_id"])
def test_an_entry_is_between_accounts_that_exist(alice, column):
    with pytest.raises(IntegrityError, match="entry_accounts_known"):
        try_by_hand(
            "INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key)"
            f" SELECT 'grant', {'%(nobody)s' if column == 'debit_id' else 'debit_id'}::uuid,"
            f" {'%(nobody)s' if column == 'credit_id' else 'credit_id'}::uuid, 1, 'by hand'"
            " FROM credits_entry WHERE event_wallet_id = %(wallet)s",
            nobody=NOBODY,
            wallet=alice.workspace_id,
        )


def test_an_entry_is_listed_only_by_a_wallet_it_touches(alice, bob):
    with pytest.raises(IntegrityError, match="entry_accounts_known"):
        try_by_hand(
            "INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key,"
            " event_wallet_id, event_number) SELECT 'grant', debit_id, credit_id, 1, 'by hand',"
            " %(other)s, 7 FROM credits_entry WHERE event_wallet_id = %(wallet)s",
            other=bob.workspace_id,
            wallet=alice.workspace_id,
        )


@pytest.mark.parametrize("account", [NOBODY, str(SALES)])
def test_only_a_wallet_that_exists_holds(alice, account):
    with pytest.raises(IntegrityError, match="hold_on_a_wallet"):
        try_by_hand(
            "INSERT INTO credits_hold (id, account_id, amount_micros, expires_at)"
            " VALUES (gen_random_uuid(), %(account)s, 1, now() + interval '1 minute')",
            account=account,
        )


def test_a_hold_never_moves_to_another_wallet(alice, bob, place_hold):
    place_hold(alice, "0.10")

    with pytest.raises(IntegrityError, match="hold_stays_where_it_is"):
        try_by_hand(
            "UPDATE credits_hold SET account_id = %(other)s WHERE account_id = %(wallet)s",
            other=bob.workspace_id,
            wallet=alice.workspace_id,
        )


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM credits_account WHERE id = %(wallet)s",
        "UPDATE credits_account SET id = gen_random_uuid() WHERE id = %(wallet)s",
        "TRUNCATE credits_account CASCADE",
    ],
)
def test_an_account_is_never_deleted(alice, sql):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(IntegrityError, match=r"account_never_deleted|entry_insert_only"):
        try_by_hand(sql, wallet=alice.workspace_id)
