"""Changing how a workspace pays has a scope of its own; keys that might do it keep doing it.

The data moves by SQL: the ORM has no update that appends to an array.
"""

from django.db import migrations, models

KNOWN = ["proxy", "usage:read", "keys:manage"]


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0001_initial")]

    operations = [
        migrations.RemoveConstraint(model_name="apikey", name="api_key_scopes_known"),
        migrations.RunSQL(
            "UPDATE apikeys_apikey SET scopes = array_append(scopes, 'billing:manage')"
            " WHERE 'keys:manage' = ANY (scopes) AND NOT 'billing:manage' = ANY (scopes)",
            "UPDATE apikeys_apikey SET scopes = array_remove(scopes, 'billing:manage')",
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("scopes__contained_by", [*KNOWN, "billing:manage"])),
                name="api_key_scopes_known",
            ),
        ),
    ]
