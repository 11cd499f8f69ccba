"""What came back of a dispute that was partly won."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("credits", "0009_setup_pages")]

    operations = [
        migrations.AddField(
            "dispute", "returned_cents", models.BigIntegerField(default=0, db_default=0)
        ),
        migrations.AddField(
            "dispute", "returned_tax_cents", models.BigIntegerField(default=0, db_default=0)
        ),
        migrations.AddConstraint(
            "dispute",
            models.CheckConstraint(
                name="dispute_within_what_it_took",
                condition=Q(
                    returned_cents__gte=F("returned_tax_cents"),
                    returned_cents__lte=F("cents"),
                    returned_tax_cents__gte=0,
                    returned_tax_cents__lte=F("tax_cents"),
                ),
            ),
        ),
    ]
