"""Seals: each entry's place in the chain of its wallet; as little to be changed as entries are.

The triggers are by hand, because the ORM knows none.
"""

import uuid

import django.db.models.deletion
import django.db.models.lookups
from django.db import migrations, models

LAST_HOUSE = uuid.UUID(int=255)

INSERT_ONLY = """
CREATE FUNCTION credits_seal_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seal_insert_only: a seal is never changed'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER seal_insert_only BEFORE UPDATE OR DELETE ON credits_seal
    FOR EACH ROW EXECUTE FUNCTION credits_seal_refuse_change();
CREATE TRIGGER seal_insert_only_whole BEFORE TRUNCATE ON credits_seal
    FOR EACH STATEMENT EXECUTE FUNCTION credits_seal_refuse_change();
ALTER TABLE credits_seal ENABLE ALWAYS TRIGGER seal_insert_only;
ALTER TABLE credits_seal ENABLE ALWAYS TRIGGER seal_insert_only_whole;
"""

CHANGEABLE = """
DROP TRIGGER seal_insert_only ON credits_seal;
DROP TRIGGER seal_insert_only_whole ON credits_seal;
DROP FUNCTION credits_seal_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0004_house_and_lots")]

    operations = [
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                name="account_wallet_id_not_of_the_house",
                condition=~models.Q(kind="wallet") | models.Q(id__gt=LAST_HOUSE),
            ),
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "wallet_id",
                        "position",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="seals",
                        to="credits.account",
                    ),
                ),
                ("position", models.BigIntegerField()),
                (
                    "entry",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="credits.entry",
                    ),
                ),
                ("at", models.DateTimeField()),
                ("balance_micros", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("entry", "wallet"), name="seal_once_per_wallet"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("position__gt", 0)), name="seal_position_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("balance_micros__gte", 0)),
                        name="seal_balance_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            models.Func(
                                "hash",
                                function="octet_length",
                                output_field=models.IntegerField(),
                            ),
                            32,
                        ),
                        name="seal_hash_of_32_bytes",
                    ),
                ],
            },
        ),
        migrations.RunSQL(INSERT_ONLY, CHANGEABLE),
    ]
