"""Calls are found by the vendor's ids and by time; runs by their id; days of all by their date.

By hand, because the ORM cannot index a partitioned table while it is written to: each month gets
its index CONCURRENTLY, and the table's own then takes them in. Staff search by such ids, and a
vendor's bill of a hundred thousand lines is matched by them, among ten million calls.
"""

from django.db import migrations, models

OF_CALLS = {
    "usage_call_by_request": "(vendor_request_id) WHERE vendor_request_id <> ''",
    "usage_call_by_job": "(vendor_job_id) WHERE vendor_job_id <> ''",
    "usage_call_by_time": "USING brin (settled_at) WITH (autosummarize = on)",
}
OTHERS = {
    "run_sum_by_run": "usage_runsum (run_id)",
    "call_sum_of_days": "usage_callsum (begins_at, vendor) WHERE span = 'day'",
}
MONTHS = """
    SELECT child.relname::text FROM pg_inherits
      JOIN pg_class child ON child.oid = inhrelid
     WHERE inhparent = 'usage_call'::regclass ORDER BY 1
"""
BROKEN = """
    SELECT relname::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE NOT indisvalid AND relkind = 'i' AND relname = %s
"""


def make(apps, schema_editor):
    """Make what is not there; again after a failure it goes on."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(MONTHS)
        months = [name for (name,) in cursor.fetchall()]
        for name, columns in OF_CALLS.items():
            for month in months:
                own = name.replace("usage_call", month)
                _concurrently(cursor, own, f"{month} {columns}")
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON usage_call {columns}")
        for name, columns in OTHERS.items():
            _concurrently(cursor, name, columns)


def _concurrently(cursor, name, columns):
    cursor.execute(BROKEN, [name])
    if cursor.fetchone():  # An earlier try broke off: it would never be used.
        cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
    cursor.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {columns}")


def drop(apps, schema_editor):
    """Take them away again."""
    with schema_editor.connection.cursor() as cursor:
        for name in (*OF_CALLS, *OTHERS):
            cursor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY waits for other transactions, so it cannot be inside one.

    dependencies = [("usage", "0080_partitions_by_the_owner")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, drop)],
            state_operations=[
                migrations.AddIndex(
                    "runsum", models.Index(name="run_sum_by_run", fields=["run_id"])
                ),
                migrations.AddIndex(
                    "callsum",
                    models.Index(
                        name="call_sum_of_days",
                        fields=["begins_at", "vendor"],
                        condition=models.Q(span="day"),
                    ),
                ),
            ],
        )
    ]
