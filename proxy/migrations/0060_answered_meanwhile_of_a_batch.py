"""The look at answers as they are now, once for a batch, and not for each of its asks.

A web process of the version before must have ended before this is run.
"""

from django.db import migrations

OF_BATCH = """
CREATE FUNCTION proxy_answered_of(wanted uuid[]) RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN ARRAY(SELECT intent FROM proxy_answer
                  WHERE intent = ANY (wanted) AND kept_until > statement_timestamp());
END
$$;
DROP FUNCTION proxy_answered(uuid);
"""
OF_EACH = """
CREATE FUNCTION proxy_answered(wanted uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM proxy_answer
                    WHERE intent = wanted AND kept_until > statement_timestamp());
END
$$;
DROP FUNCTION proxy_answered_of(uuid[]);
"""


class Migration(migrations.Migration):
    dependencies = [("proxy", "0040_vendor_accounts")]

    operations = [migrations.RunSQL(OF_BATCH, OF_EACH)]
