"""Every page that was opened to save a card, and when the saved one was.

By hand for the rows that are there: the ORM would read them all. Their newest page is known; their
card counts as saved now, so that no older page brings another one back.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

KNOWN = """
INSERT INTO credits_setuppage (session_id, wish_id)
SELECT setup_session_id, wallet_id FROM credits_autotopup WHERE setup_session_id <> ''
    ON CONFLICT DO NOTHING;
UPDATE credits_autotopup SET method_saved_at = now() WHERE payment_method_id <> '';
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0008_accounts_checked_by_statement")]

    operations = [
        migrations.AddField("autotopup", "method_saved_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="SetupPage",
            fields=[
                (
                    "session_id",
                    models.CharField(max_length=200, primary_key=True, serialize=False),
                ),
                (
                    "wish",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pages",
                        to="credits.autotopup",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.RunSQL(KNOWN, migrations.RunSQL.noop),
    ]
