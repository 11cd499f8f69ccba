"""The triggers of 0008 look each account up by its key, whatever the first batch was like.

Their plan is made once for a connection, from its first batch. To a larger one of few accounts
`NOT EXISTS` looked cheaper by a hash of all accounts, and so each batch read all of them, ever
after: with 6,000 accounts a third of what a call costs the database. A LATERAL with a limit has one
plan only.
"""

from django.db import migrations

KNOWN = """
      LEFT JOIN LATERAL (
          SELECT true AS known FROM credits_account account WHERE account.id = added.{column} LIMIT 1
      ) {name} ON true
"""
BY_KEY = f"""
CREATE OR REPLACE FUNCTION credits_entry_accounts_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added
                 {KNOWN.format(column="debit_id", name="debit")}
                 {KNOWN.format(column="credit_id", name="credit")}
                WHERE debit.known IS NULL OR credit.known IS NULL
                   OR added.event_wallet_id IS NOT NULL
                      AND added.event_wallet_id NOT IN (added.debit_id, added.credit_id)) THEN
        RAISE EXCEPTION 'entry_accounts_known: an entry is between accounts that exist'
              USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION credits_hold_on_a_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added
                 LEFT JOIN LATERAL (
                     SELECT true AS known FROM credits_account account
                      WHERE account.id = added.account_id AND account.kind = 'wallet' LIMIT 1
                 ) wallet ON true
                WHERE wallet.known IS NULL) THEN
        RAISE EXCEPTION 'hold_on_a_wallet: only a wallet that exists holds'
              USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
"""

NOT_EXISTS = """
CREATE OR REPLACE FUNCTION credits_entry_accounts_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added
                WHERE NOT EXISTS (SELECT FROM credits_account WHERE id = added.debit_id)
                   OR NOT EXISTS (SELECT FROM credits_account WHERE id = added.credit_id)
                   OR added.event_wallet_id IS NOT NULL
                      AND added.event_wallet_id NOT IN (added.debit_id, added.credit_id)) THEN
        RAISE EXCEPTION 'entry_accounts_known: an entry is between accounts that exist'
              USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION credits_hold_on_a_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added
                WHERE NOT EXISTS (SELECT FROM credits_account
                                   WHERE id = added.account_id AND kind = 'wallet')) THEN
        RAISE EXCEPTION 'hold_on_a_wallet: only a wallet that exists holds'
              USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0050_privacy_findings")]

    operations = [migrations.RunSQL(BY_KEY, NOT_EXISTS)]
