"""A reason that named somebody who is erased may become "(erased)". The trigger is by hand."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("audit.migrations.0001_events")
FUNCTION = BEFORE.APPEND_ONLY.partition("CREATE TRIGGER")[0].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)
ERASING = """
        IF NEW.address IN ('', OLD.address) AND NEW.agent IN ('', OLD.agent)
           AND NEW.reason IN ('(erased)', OLD.reason)
           AND to_jsonb(NEW) - ARRAY['address', 'agent', 'reason']
             = to_jsonb(OLD) - ARRAY['address', 'agent', 'reason'] THEN
            RETURN NEW;
        END IF;
    ELSIF"""
_begin, _update, _rest = FUNCTION.partition("IF TG_OP = 'UPDATE' THEN")
_, _delete, _end = _rest.partition("\n    ELSIF")
NOW = _begin + _update + ERASING + _end


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_events'),
    ]

    operations = [
        migrations.RunSQL(NOW, FUNCTION),
    ]
