"""A member may say in which language they read."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0031_budgets")]

    operations = [
        migrations.AddField(
            "user",
            "language",
            models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
    ]
