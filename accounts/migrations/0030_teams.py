"""Teams: who pays beside the owner, who is invited, and what vendors a workspace allows.

A membership is found by its unique pair alone. Its index by the workspace goes before there is a
constraint on that column: Django takes every index of the column for the one that it is to drop.
"""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

ROLES = [("owner", "Owner"), ("billing", "Billing"), ("member", "Member")]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0020_signins")]

    operations = [
        migrations.AddField(
            "workspace",
            "allowed_vendors",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32), null=True, size=None
            ),
        ),
        migrations.AlterField(
            "membership", "role", models.CharField(choices=ROLES, max_length=16)
        ),
        migrations.RemoveConstraint("membership", "membership_role_known"),
        migrations.AddConstraint(
            "membership",
            models.CheckConstraint(
                name="membership_role_known",
                condition=Q(role__in=["owner", "billing", "member"]),
            ),
        ),
        migrations.AlterField(
            "membership",
            "workspace",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="memberships",
                to="accounts.workspace",
            ),
        ),
        migrations.AddConstraint(
            "membership",
            models.UniqueConstraint(
                name="workspace_has_one_owner", fields=["workspace"], condition=Q(role="owner")
            ),
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                ("role", models.CharField(choices=ROLES, max_length=16)),
                ("token_digest", models.BinaryField(max_length=32, unique=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(null=True)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                (
                    "invited_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invitations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invitations",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        name="invitation_makes_no_owner",
                        condition=Q(role__in=["billing", "member"]),
                    ),
                    models.CheckConstraint(
                        name="invitation_email_in_lower_case", condition=Q(email=Lower("email"))
                    ),
                    models.CheckConstraint(
                        name="invitation_expires_after_creation",
                        condition=Q(expires_at__gt=F("created_at")),
                    ),
                    models.CheckConstraint(
                        name="invitation_ends_once",
                        condition=Q(accepted_at__isnull=True) | Q(withdrawn_at__isnull=True),
                    ),
                    models.UniqueConstraint(
                        name="invitation_once_per_address",
                        fields=["workspace", "email"],
                        condition=Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
                    ),
                ],
            },
        ),
    ]
