"""Who is reached about the money of the workspaces that exist: their first owner.

By hand, because the books do not know people, and this one time somebody must tell them.
"""

from django.db import migrations

BILLING = """
INSERT INTO credits_billing (wallet_id, email)
SELECT DISTINCT ON (place.workspace_id) place.workspace_id, person.email
  FROM accounts_membership place JOIN accounts_user person ON person.id = place.user_id
 WHERE place.role = 'owner'
 ORDER BY place.workspace_id, place.created_at
    ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_email_verified"),
        ("credits", "0004_house_and_lots"),
    ]

    operations = [migrations.RunSQL(BILLING, migrations.RunSQL.noop)]
