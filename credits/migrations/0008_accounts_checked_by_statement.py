"""Entries and holds name accounts that exist: checked once for each statement, not row by row.

By hand, because the ORM knows no triggers. A foreign key asks for each row, and locks the house's
row each time: a tenth of all that a call costs. Here one query looks at all rows that a statement
brought. It needs no lock, because an account is never deleted: that is refused by another trigger.
It is stricter, too: a hold is on a wallet, not on an account of the house.
"""

import django.db.models.deletion
from django.db import migrations, models

CHECKED = """
CREATE FUNCTION credits_entry_accounts_known() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER entry_accounts_known AFTER INSERT ON credits_entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION credits_entry_accounts_known();
ALTER TABLE credits_entry ENABLE ALWAYS TRIGGER entry_accounts_known;

CREATE FUNCTION credits_hold_on_a_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added
                WHERE NOT EXISTS (SELECT FROM credits_account
                                   WHERE id = added.account_id AND kind = 'wallet')) THEN
        RAISE EXCEPTION 'hold_on_a_wallet: only a wallet that exists holds'
              USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_on_a_wallet AFTER INSERT ON credits_hold
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION credits_hold_on_a_wallet();
ALTER TABLE credits_hold ENABLE ALWAYS TRIGGER hold_on_a_wallet;

CREATE FUNCTION credits_hold_stays_where_it_is() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'hold_stays_where_it_is: a hold never moves to another wallet'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER hold_stays_where_it_is BEFORE UPDATE OF account_id ON credits_hold
    FOR EACH STATEMENT EXECUTE FUNCTION credits_hold_stays_where_it_is();
ALTER TABLE credits_hold ENABLE ALWAYS TRIGGER hold_stays_where_it_is;

CREATE FUNCTION credits_account_never_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account_never_deleted: the books name it for ever'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER account_never_deleted BEFORE DELETE OR UPDATE OF id ON credits_account
    FOR EACH ROW EXECUTE FUNCTION credits_account_never_deleted();
CREATE TRIGGER account_never_deleted_whole BEFORE TRUNCATE ON credits_account
    FOR EACH STATEMENT EXECUTE FUNCTION credits_account_never_deleted();
ALTER TABLE credits_account ENABLE ALWAYS TRIGGER account_never_deleted;
ALTER TABLE credits_account ENABLE ALWAYS TRIGGER account_never_deleted_whole;
"""

UNCHECKED = """
DROP TRIGGER entry_accounts_known ON credits_entry;
DROP TRIGGER hold_on_a_wallet ON credits_hold;
DROP TRIGGER hold_stays_where_it_is ON credits_hold;
DROP TRIGGER account_never_deleted ON credits_account;
DROP TRIGGER account_never_deleted_whole ON credits_account;
DROP FUNCTION credits_entry_accounts_known();
DROP FUNCTION credits_hold_on_a_wallet();
DROP FUNCTION credits_hold_stays_where_it_is();
DROP FUNCTION credits_account_never_deleted();
"""


def account(**more):
    return models.ForeignKey(
        to="credits.account",
        on_delete=django.db.models.deletion.PROTECT,
        db_constraint=False,
        db_index=False,
        **more,
    )


class Migration(migrations.Migration):
    dependencies = [("credits", "0007_day_sums")]

    operations = [
        migrations.AlterField("entry", "debit", account(related_name="+")),
        migrations.AlterField("entry", "credit", account(related_name="+")),
        migrations.AlterField("entry", "event_wallet", account(related_name="+", null=True)),
        migrations.AlterField("hold", "account", account(related_name="holds")),
        migrations.RunSQL(CHECKED, UNCHECKED),
    ]
