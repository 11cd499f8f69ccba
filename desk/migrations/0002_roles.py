"""The roles of staff as groups; who is of staff already has all of them, as before."""

from django.db import migrations

ROLES = ("support", "finance", "operations", "auditor")


def make(apps, schema_editor):
    groups = [apps.get_model("auth", "Group").objects.get_or_create(name=name)[0] for name in ROLES]
    for user in apps.get_model("accounts", "User").objects.filter(is_staff=True):
        user.groups.add(*groups)


def unmake(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0001_notes"),
        ("accounts", "0031_budgets"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(make, unmake)]
