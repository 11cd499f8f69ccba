"""What was spent in the month before, by mail, to who wants it: once for each of their workspaces.

Months are UTC's, as the sums are. A member reads what is their own, as on the pages; who sees all
of a workspace reads all. A month without a call is no mail.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext

from accounts import teams
from accounts.models import Membership, User
from accounts.notices import SUMMARY, comes
from common.money import Micros, show
from credits.books import wallets
from outbox import mails
from outbox.models import Mail
from usage import spend
from usage.history import Wanted

if TYPE_CHECKING:
    from uuid import UUID

DAYS: Final = 7
"""So long into a month it is still written, if nothing ran before."""
MOST_NAMED: Final = 8


def tell(now: datetime | None = None) -> int:
    """Write the summaries that are due; return how many people want them."""
    now = now or timezone.now()
    if now.astimezone(UTC).day > DAYS:
        return 0
    until = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = (until - timedelta(days=1)).replace(day=1)
    chosen = User.objects.filter(mails_otherwise__contains=[SUMMARY], is_active=True)
    told = 0
    for user in chosen.order_by("pk").iterator():
        if comes(user, SUMMARY):
            told += 1
            for seat in teams.of(user.pk):
                _write(user, seat, since, until)
    return told


def _write(user: User, seat: Membership, since: datetime, until: datetime) -> None:
    key = f"summary:{user.pk}:{seat.workspace_id}:{since:%Y-%m}"
    if Mail.objects.filter(key=key).exists():
        return
    whose: UUID | None = None if seat.role in teams.SEES else user.pk
    wanted = Wanted(user_id=whose, since=since, until=until)
    parts = list(spend.by_span(seat.workspace_id, wanted, span="month", by=spend.By.VENDOR))
    if not parts:
        return
    parts.sort(key=lambda each: -each.charged)
    with mails.in_language_of(user.email):
        facts = {
            "team": seat.workspace.name,
            "month": f"{since:%Y-%m}",
            "spent": show(Micros(sum(each.charged for each in parts))),
            "calls": f"{sum(each.calls for each in parts):,}",
            "left": show(wallets.balance(seat.workspace_id).available),
        }
        lines = [
            gettext("%(spent)s were spent in %(month)s, by %(calls)s calls.") % facts,
            "",
            *(f"    {each.of:<16} {show(each.charged):>12}" for each in parts[:MOST_NAMED]),
            "",
            gettext("%(left)s of credits are available now.") % facts,
            gettext("By key, member, project and day: %(where)s")
            % {"where": f"{settings.PUBLIC_URL or ''}/my/usage/spend"},
        ]
        mails.write(
            key,
            to=user.email,
            subject=gettext("%(team)s in %(month)s: %(spent)s") % facts,
            text="\n".join(lines) + "\n",
            kind=SUMMARY,
        )
