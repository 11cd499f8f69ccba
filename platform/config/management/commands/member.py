"""`manage.py member add EMAIL`: a member with credits and a key, for scripts and tests."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from django.db import transaction

from accounts.models import User
from accounts.signup import sign_up, verify_email
from apikeys import keys
from apikeys.models import SCOPES
from config.management.arguments import PlainCommand, dollars_or_none
from credits.gifts import grants
from credits.models import Account

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from common.money import Micros

ASKED = ("email", "amount", "key", "password", "verified", "staff", "scope")


class Command(PlainCommand):
    """Make a member, or find the one with that e-mail; grant credits; issue a key."""

    help = "member add EMAIL [--credits USD] [--key NAME] [--password PASSWORD] [--json]"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_subparsers(dest="action", required=True).add_parser("add")
        add.add_argument("email")
        add.add_argument(
            "--credits", dest="amount", type=dollars_or_none, default="0",
            help="dollars to grant, like 5 or 0.06",
        )  # fmt: skip
        add.add_argument("--key", help="name of a key to issue")
        add.add_argument("--password")
        add.add_argument("--verified", action="store_true", help="the address is theirs")
        add.add_argument("--staff", action="store_true", help="may act for the house")
        add.add_argument(
            "--scope",
            action="append",
            choices=SCOPES,
            help="what the key may do; again for more (without: proxy, usage:read)",
        )
        add.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do all of it in one transaction, and print what can be printed only once."""
        made = self._add(**{name: options[name] for name in ASKED})
        text = json.dumps(made) if options["json"] else "\n".join(f"{k}: {made[k]}" for k in made)
        self.stdout.write(text)

    @transaction.atomic
    def _add(
        self,
        *,
        email: str,
        amount: Micros,
        key: str | None,
        password: str | None,
        verified: bool,
        staff: bool,
        scope: list[str] | None,
    ) -> dict[str, Any]:
        user = User.objects.filter(email=email.strip().lower()).first()
        user = user or sign_up(email=email, password=password)
        if staff and not user.is_staff:
            user.is_staff = True
            user.save(update_fields=["is_staff"])
        if verified:
            verify_email(user)
        workspace = user.personal_workspace
        if amount:
            wallet = Account.objects.get(pk=workspace.pk)
            reason = "added by manage.py member add"
            grants.grant(wallet=wallet, amount=amount, key=str(uuid.uuid4()), reason=reason)
        made = {"user_id": str(user.pk), "email": user.email, "workspace_id": str(workspace.pk)}
        if key:
            made["api_key"], record = keys.issue(
                workspace_id=workspace.pk, user_id=user.pk, name=key, scopes=scope
            )
            made["key_id"] = str(record.pk)
        return made
