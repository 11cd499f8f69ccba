"""Partitions are made by a function of the tables' owner, for programs that may make no tables.

By hand, because the ORM knows no functions. SECURITY DEFINER: whoever may call it makes months of
`usage_call`, and nothing else. Which role may is said by `manage.py grants` (config/grants.py).
"""

from django.db import migrations

MAKE = """
CREATE FUNCTION usage_make_partitions(ahead integer) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE month date;
BEGIN
    IF ahead NOT BETWEEN 0 AND 12 THEN
        RAISE EXCEPTION 'partitions_ahead: % months is not 0 to 12', ahead
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One maker at a time: two would both find the partition missing.
    PERFORM pg_advisory_xact_lock(727274);
    FOR month IN SELECT generate_series(date_trunc('month', now()),
                                        date_trunc('month', now()) + ahead * interval '1 month',
                                        interval '1 month')::date
    LOOP
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS %I PARTITION OF usage_call FOR VALUES FROM (%L) TO (%L)',
            'usage_call_' || to_char(month, 'YYYY_MM'),
            month::timestamp AT TIME ZONE 'UTC',
            (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION usage_make_partitions(integer) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0070_sums_and_refusals")]

    operations = [migrations.RunSQL(MAKE, "DROP FUNCTION usage_make_partitions(integer)")]
