"""A look at the answers as they are now, and not as they were when the statement began."""

from django.db import migrations

CREATE = """
CREATE FUNCTION proxy_answered(wanted uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM proxy_answer
                    WHERE intent = wanted AND kept_until > statement_timestamp());
END
$$
"""
DROP = "DROP FUNCTION proxy_answered(uuid)"


class Migration(migrations.Migration):
    dependencies = [("proxy", "0002_assets_asks_and_repeats")]

    operations = [migrations.RunSQL(CREATE, DROP)]
