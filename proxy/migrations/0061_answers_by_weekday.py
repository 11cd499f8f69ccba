"""Kept answers by weekday: a partitioned table, of which the one so far becomes a part.

Programs of the version before go on with `proxy_answer`, which is partition 0 now, and those of
this one find there what they keep (proxy/days.py). By hand, step by step and outside a transaction:
no step holds a lock while it reads the table. Again after a failure it goes on.

A later version takes partition 0 away, once nobody keeps there any more.
"""

import time

import psycopg
from django.db import OperationalError, migrations, models
from django.db.models.functions import Now

LOCK_SECONDS, TRIES, REST_SECONDS = 2, 30, 2

COLUMN = "ALTER TABLE proxy_answer ADD COLUMN IF NOT EXISTS day smallint NOT NULL DEFAULT 0"
CHECK = "ALTER TABLE proxy_answer ADD CONSTRAINT answer_of_no_day CHECK (day = 0) NOT VALID"
VALID = "ALTER TABLE proxy_answer VALIDATE CONSTRAINT answer_of_no_day"
INDEX = (
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS answer_once_a_day"
    " ON proxy_answer (intent, day)"
)
WHOLE = """
    CREATE TABLE IF NOT EXISTS proxy_kept (LIKE proxy_answer INCLUDING DEFAULTS)
           PARTITION BY LIST (day);
    CREATE UNIQUE INDEX IF NOT EXISTS kept_once_a_day ON proxy_kept (intent, day);
"""
# They are emptied whole, so nothing is to be vacuumed; whoever did would keep that from happening.
DAYS = "".join(
    f"CREATE TABLE IF NOT EXISTS proxy_kept_{day} PARTITION OF proxy_kept FOR VALUES IN ({day})"
    " WITH (autovacuum_enabled = false);"
    for day in range(1, 8)
)
ATTACH = "ALTER TABLE proxy_kept ATTACH PARTITION proxy_answer FOR VALUES IN (0)"
FUNCTIONS = """
CREATE OR REPLACE FUNCTION proxy_kept_of(wanted uuid[]) RETURNS uuid[] LANGUAGE plpgsql VOLATILE
AS $$
DECLARE today timestamp := clock_timestamp() AT TIME ZONE 'UTC';
BEGIN
    RETURN ARRAY(SELECT intent FROM proxy_kept
                  WHERE intent = ANY (wanted) AND kept_until > statement_timestamp()
                    AND day = ANY (ARRAY[0, extract(isodow FROM today),
                                         extract(isodow FROM today - interval '1 day')]::smallint[]));
END
$$;
CREATE OR REPLACE FUNCTION proxy_empty_days() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    today timestamp := now() AT TIME ZONE 'UTC';
    day integer;
    emptied integer := 0;
BEGIN
    -- Tomorrow's, too: a server whose clock is ahead of ours may have begun it.
    FOR day IN SELECT generate_series(1, 7) EXCEPT
               SELECT extract(isodow FROM today + away * interval '1 day')::integer
                 FROM generate_series(-1, 1) AS away
    LOOP
        CONTINUE WHEN pg_relation_size(format('proxy_kept_%s', day)::regclass) = 0;
        BEGIN
            EXECUTE format('TRUNCATE proxy_kept_%s', day);
            emptied := emptied + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL;  -- Calls would wait behind us: another time.
        END;
    END LOOP;
    RETURN emptied;
END $$;
REVOKE ALL ON FUNCTION proxy_empty_days() FROM PUBLIC;
"""
HAS_CHECK = "SELECT 1 FROM pg_constraint WHERE conname = 'answer_of_no_day'"
IS_PART = "SELECT relispartition FROM pg_class WHERE oid = 'proxy_answer'::regclass"
BROKEN = """
    SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('answer_once_a_day') AND NOT indisvalid
"""
BACK = """
    ALTER TABLE proxy_kept DETACH PARTITION proxy_answer;
    DROP TABLE proxy_kept;
    DROP FUNCTION proxy_kept_of(uuid[]);
    DROP FUNCTION proxy_empty_days();
    DROP INDEX answer_once_a_day;
    ALTER TABLE proxy_answer DROP COLUMN day;
"""


def make(apps, schema_editor):
    """Make what is not there yet."""
    with schema_editor.connection.cursor() as cursor:
        _quickly(cursor, COLUMN)
        cursor.execute(HAS_CHECK)
        if not cursor.fetchone():
            _quickly(cursor, CHECK)
        cursor.execute(VALID)
        cursor.execute(BROKEN)
        if cursor.fetchone():  # An earlier try broke off: it would never be used.
            cursor.execute("DROP INDEX CONCURRENTLY answer_once_a_day")
        cursor.execute(INDEX)
        cursor.execute(WHOLE)
        cursor.execute(DAYS)
        cursor.execute(IS_PART)
        if not cursor.fetchone()[0]:
            _quickly(cursor, ATTACH)
        cursor.execute(FUNCTIONS)


def _quickly(cursor, statement):
    """Change the table once its lock is to be had at once: whoever calls would wait behind us."""
    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
    try:
        for left in reversed(range(TRIES)):
            try:
                return cursor.execute(statement)
            except OperationalError as exc:
                if not left or not isinstance(exc.__cause__, psycopg.errors.LockNotAvailable):
                    raise
            time.sleep(REST_SECONDS)
    finally:
        cursor.execute("SELECT set_config('lock_timeout', '0', false)")


def back(apps, schema_editor):
    """Take it away; what was kept by day is forgotten."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(BACK)


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY waits for other transactions, and no step holds another's lock.

    dependencies = [("proxy", "0060_answered_meanwhile_of_a_batch")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, back)],
            state_operations=[
                migrations.DeleteModel("Answer"),
                migrations.CreateModel(
                    name="Answer",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "intent", "day", blank=True, editable=False, primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("intent", models.UUIDField()),
                        ("day", models.SmallIntegerField(db_default=0, default=0)),
                        ("call_id", models.UUIDField()),
                        ("fingerprint", models.CharField(max_length=64)),
                        ("status", models.SmallIntegerField()),
                        ("headers", models.JSONField(default=dict)),
                        ("body", models.BinaryField(null=True)),
                        ("spool", models.CharField(default="", max_length=64)),
                        ("once", models.BooleanField()),
                        (
                            "created_at",
                            models.DateTimeField(db_default=Now()),
                        ),
                        ("kept_until", models.DateTimeField()),
                    ],
                    options={"db_table": "proxy_kept"},
                ),
            ],
        )
    ]
