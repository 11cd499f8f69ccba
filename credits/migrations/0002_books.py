"""The house's accounts; entries that cannot be changed; tables that stay lean under every call.

By hand, because the ORM knows neither triggers nor storage parameters.
"""

import uuid

from django.db import migrations

HOUSE = {"sales": 1, "stripe": 2, "promotion": 3, "shortfall": 4, "adjustment": 5}


def open_house(apps, schema_editor):
    Account = apps.get_model("credits", "Account")
    for kind, number in HOUSE.items():
        Account.objects.create(id=uuid.UUID(int=number), kind=kind)


def close_house(apps, schema_editor):
    apps.get_model("credits", "Account").objects.filter(kind__in=HOUSE).delete()


INSERT_ONLY = """
CREATE FUNCTION credits_entry_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entry_insert_only: an entry is never changed; post another one'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER entry_insert_only BEFORE UPDATE OR DELETE ON credits_entry
    FOR EACH ROW EXECUTE FUNCTION credits_entry_refuse_change();
CREATE TRIGGER entry_insert_only_whole BEFORE TRUNCATE ON credits_entry
    FOR EACH STATEMENT EXECUTE FUNCTION credits_entry_refuse_change();
ALTER TABLE credits_entry ENABLE ALWAYS TRIGGER entry_insert_only;
ALTER TABLE credits_entry ENABLE ALWAYS TRIGGER entry_insert_only_whole;
"""

CHANGEABLE = """
DROP TRIGGER entry_insert_only ON credits_entry;
DROP TRIGGER entry_insert_only_whole ON credits_entry;
DROP FUNCTION credits_entry_refuse_change();
"""

# A wallet's row is updated twice by each call: leave room on its page, so that no index changes.
# Holds come and go: vacuum often, so that the table stays a few pages.
LEAN = """
ALTER TABLE credits_account SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE credits_hold SET (autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 1000000);
"""

PLAIN = """
ALTER TABLE credits_account RESET (fillfactor, autovacuum_vacuum_scale_factor);
ALTER TABLE credits_hold RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor, autovacuum_analyze_threshold);
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0001_initial")]

    operations = [
        migrations.RunPython(open_house, close_house),
        migrations.RunSQL(INSERT_ONLY, CHANGEABLE),
        migrations.RunSQL(LEAN, PLAIN),
    ]
