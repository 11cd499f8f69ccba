"""A wallet's entries in their order: two indexes, made while the books go on."""

import uuid

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

LAST_HOUSE = uuid.UUID(int=255)


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY waits for other transactions, so it cannot be inside one.
    dependencies = [("credits", "0005_seals")]

    operations = [
        AddIndexConcurrently(
            "entry",
            models.Index(
                name="entry_of_paying_wallet",
                fields=["debit", "id"],
                condition=models.Q(debit__gt=LAST_HOUSE),
            ),
        ),
        AddIndexConcurrently(
            "entry",
            models.Index(
                name="entry_of_receiving_wallet",
                fields=["credit", "id"],
                condition=models.Q(credit__gt=LAST_HOUSE),
            ),
        ),
    ]
