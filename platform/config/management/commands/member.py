"""`manage.py member add EMAIL`: a member with credits and a key, for scripts and tests."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User
from accounts.signup import sign_up, verify_email
from apikeys import keys
from apikeys.models import SCOPES
from common import money
from common.errors import PlatformError
from common.money import MICROS_PER_USD, Micros
from credits import grants
from credits.models import Account

if TYPE_CHECKING:
    from argparse import ArgumentParser

ASKED = ("email", "usd", "key", "password", "verified", "staff", "scope")


class Command(BaseCommand):
    """Make a member, or find the one with that e-mail; grant credits; issue a key."""

    help = "member add EMAIL [--credits USD] [--key NAME] [--password PASSWORD] [--json]"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_subparsers(dest="action", required=True).add_parser("add")
        add.add_argument("email")
        add.add_argument(
            "--credits", dest="usd", default="0", help="dollars to grant, like 5 or 0.06"
        )
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
        try:
            made = self._add(**{name: options[name] for name in ASKED})
        except PlatformError as exc:
            raise CommandError(str(exc)) from exc
        text = json.dumps(made) if options["json"] else "\n".join(f"{k}: {made[k]}" for k in made)
        self.stdout.write(text)

    @transaction.atomic
    def _add(
        self,
        *,
        email: str,
        usd: str,
        key: str | None,
        password: str | None,
        verified: bool,
        staff: bool,
        scope: list[str] | None,
    ) -> dict[str, Any]:
        amount = _dollars(usd)
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


def _dollars(text: str) -> Micros:
    try:
        amount = Decimal(text)
        whole = amount >= 0 and amount * MICROS_PER_USD == int(amount * MICROS_PER_USD)
    except (ArithmeticError, ValueError) as exc:
        raise CommandError(f"{text!r} is not an amount of dollars, like 5 or 0.06.") from exc
    if not whole or amount > 1_000_000:
        raise CommandError(f"{text} is not between 0 and 1,000,000 dollars in whole micros.")
    return money.usd(text)
