"""The table of the shared cache (common/shared_cache.py), which counts tries.

The ORM knows no UNLOGGED tables, and this one is no model: nothing reads it but the cache.
"""

from django.db import migrations

MAKE = """
CREATE UNLOGGED TABLE shared_cache (
    key text COLLATE "C" PRIMARY KEY,
    value jsonb NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX shared_cache_expires_at ON shared_cache (expires_at);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_status'),
    ]

    operations = [
        migrations.RunSQL(MAKE, "DROP TABLE shared_cache"),
    ]
