"""People, and the workspaces that own things."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import ClassVar, Final

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UserManager(BaseUserManager["User"]):
    """Finds users by e-mail; making one is `signup.sign_up`."""

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user with this e-mail, in whatever case it was typed."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, who signs in with an e-mail address; whether it is theirs, allauth's row says."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100, blank=True, default="")
    language = models.CharField(max_length=20, blank=True, default="", db_default="")
    """In which they read, as `LANGUAGES` names it; empty: what the browser asks for."""
    mails_otherwise = ArrayField(
        models.CharField(max_length=32), default=list, db_default=[], blank=True
    )
    """The kinds of mails that they want otherwise than as it comes (notices.py)."""
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    status_changed_at = models.DateTimeField(null=True)
    """When staff last deactivated or reactivated them, who did, and why."""
    status_changed_by = models.UUIDField(null=True)
    status_reason = models.CharField(max_length=300, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="user_email_in_lower_case", condition=Q(email=Lower("email"))
            ),
            models.CheckConstraint(
                name="user_status_changed_by_somebody_with_a_reason",
                condition=Q(status_changed_at__isnull=True)
                | Q(Q(status_changed_by__isnull=False), ~Q(status_reason="")),
            ),
        ]


class Workspace(models.Model):
    """What owns a wallet, keys, calls and purchases; its id is the id of its wallet."""

    class Kind(models.TextChoices):
        PERSONAL = "personal"
        TEAM = "team"

    wallet = models.OneToOneField(
        "credits.Account",
        primary_key=True,
        db_column="id",
        on_delete=models.PROTECT,
        related_name="workspace",
    )
    kind = models.CharField(max_length=16, choices=Kind)
    name = models.CharField(max_length=100)
    personal_of = models.OneToOneField(
        User, null=True, on_delete=models.PROTECT, related_name="personal_workspace"
    )
    allowed_vendors = ArrayField(models.CharField(max_length=32), null=True)
    """What its members may call; empty means nothing, null means all."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="workspace_personal_has_its_person",
                condition=Q(kind="personal", personal_of__isnull=False)
                | Q(kind="team", personal_of__isnull=True),
            ),
        ]


class Membership(models.Model):
    """That a user belongs to a workspace, and as what. Who leaves has none any more."""

    class Role(models.TextChoices):
        OWNER = "owner"
        BILLING = "billing"
        MEMBER = "member"

    # Found by its unique pair: an index by the workspace alone would be taken for that, and a large
    # team be read whole for each call.
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, related_name="memberships", db_index=False
    )
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    created_at = models.DateTimeField(db_default=Now())
    budgets = ArrayField(models.BigIntegerField(), null=True)
    """The budgets of the workspace and of this member that run, for who places a hold."""
    budgets_until = models.DateTimeField(db_default=LONG_AGO)
    """Until when they do; then, and where a rule changed, they are looked up anew."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="membership_once_per_workspace", fields=["workspace", "user"]
            ),
            models.UniqueConstraint(
                name="workspace_has_one_owner", fields=["workspace"], condition=Q(role="owner")
            ),
            models.CheckConstraint(
                name="membership_role_known",
                condition=Q(role__in=["owner", "billing", "member"]),
            ),
        ]


class Invitation(models.Model):
    """That the owner of an address may join a workspace (invitations.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Membership.Role)
    token_digest = models.BinaryField(unique=True, max_length=32)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="invitations")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="invitation_makes_no_owner", condition=Q(role__in=["billing", "member"])
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
        ]


class AllowedOrigin(models.Model):
    """An origin from which people may sign in, or all below a name (origins.py)."""

    pattern = models.CharField(max_length=300, unique=True)
    added_by = models.UUIDField()
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="allowed_origin_is_secure",
                condition=Q(
                    pattern__regex=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])(:|$))"
                ),
            ),
            models.CheckConstraint(name="allowed_origin_has_a_reason", condition=~Q(reason="")),
        ]


class RefusedOrigin(models.Model):
    """An origin from which somebody tried to sign in, and may not; staff allow what they know."""

    origin = models.CharField(max_length=300, unique=True)
    tries = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    hidden_at = models.DateTimeField(null=True)


class SignIn(models.Model):
    """That a program acts for somebody who allowed it at our page: one row from code to end.

    Its id is the `sid` of every access token. The rows that may act are told by `signins.LIVING`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sign_ins")
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="sign_ins")
    client_id = models.CharField(max_length=64)
    redirect_uri = models.CharField(max_length=300)
    challenge = models.CharField(max_length=43)
    code_digest = models.BinaryField()
    code_expires_at = models.DateTimeField()
    code_used_at = models.DateTimeField(null=True)
    """A code stays when it was used, so that a second use is seen."""
    refresh_digest = models.BinaryField(null=True)
    """Of the refresh token that was given last; no other is good any more."""
    address = models.CharField(max_length=45, default="", blank=True)
    agent = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    """When its tokens were last renewed."""
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    why_ended = models.CharField(max_length=100, default="", db_default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="sign_in_ended_for_a_reason",
                condition=Q(ended_at__isnull=True) | ~Q(why_ended=""),
            ),
            models.CheckConstraint(
                name="sign_in_refreshed_by_its_code_first",
                condition=Q(refresh_digest__isnull=True) | Q(code_used_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(name="sign_in_open", fields=["user"], condition=Q(ended_at__isnull=True)),
        ]


class SigningKey(models.Model):
    """A key that signs access tokens from a moment on; published before, and for a while after."""

    number = models.PositiveIntegerField(primary_key=True)
    """One after the other: who would make the same next key at the same moment makes none."""
    kid = models.CharField(max_length=64, unique=True)
    public = models.JSONField()
    """As a JSON Web Key."""
    sealed = models.BinaryField()
    """Its private half, under SECRET_KEY."""
    signs_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
