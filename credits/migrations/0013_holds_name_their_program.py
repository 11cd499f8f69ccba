"""A hold names the program that alone can end it well, and programs say that they live.

The table is a row for each web process, written every few seconds: it has room on its page for
that, and is vacuumed before it grows.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("credits", "0012_staff_by_name")]

    operations = [
        migrations.CreateModel(
            name="Process",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("since_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField("hold", "process_id", models.UUIDField(null=True)),
        migrations.RunSQL(
            "ALTER TABLE credits_process SET (fillfactor = 50)",
            "ALTER TABLE credits_process RESET (fillfactor)",
        ),
    ]
