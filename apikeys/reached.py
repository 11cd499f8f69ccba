"""Who is told that a limit was reached: by one mail a day for each limit.

A budget that refused a call is in `usage_refusal` already (proxy/refused.py). The person whose call
it was is told, and the owner of the workspace where the budget is not that person's own. The key of
the mail has the day, so that whoever looks twice writes once; a reader may leave them out.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext, gettext_noop

from accounts.models import Membership, User
from accounts.notices import LIMIT
from common.money import show
from outbox import mails
from usage.models import NOBODY, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

LATELY: Final = timedelta(hours=1)
MOST: Final = 1000
WORDS: Final = {
    "workspace": gettext_noop("The budget of the workspace refused a call."),
    "project": gettext_noop("The budget of a project refused a call."),
    "member": gettext_noop("The budget of a member refused a call."),
    "key": gettext_noop("The budget of a key refused a call."),
}


def tell(*, limit: int = MOST) -> int:
    """Write of the budgets that refused calls lately; return of how many one was due."""
    recent = Refusal.objects.filter(limit="budget", last_at__gt=timezone.now() - LATELY)
    due = {_of(each): each for each in recent.order_by("last_at")[:limit]}
    for of, refusal in due.items():
        for seat in _readers(refusal):
            _write(of, refusal, seat)
    return len(due)


def _of(refusal: Refusal) -> str:
    """Return which budget it was, on which day."""
    named: dict[str, object] = {
        "project": refusal.project,
        "key": refusal.key_id,
        "member": refusal.user_id,
    }
    of = named.get(refusal.whose, "")
    return f"limit:{refusal.workspace_id}:{refusal.whose}:{of}:{refusal.last_at:%Y-%m-%d}"


def _readers(refusal: Refusal) -> Iterator[Membership]:
    """Yield who is told: whose call it was, and the owner of what is not theirs alone."""
    seats = Membership.objects.filter(workspace_id=refusal.workspace_id, user__is_active=True)
    own = seats.filter(user_id=refusal.user_id) if refusal.user_id != NOBODY else seats.none()
    yield from own.select_related("user", "workspace")
    if refusal.whose == "key":
        return  # Its person sets it, or asks its owner for more.
    owners = seats.filter(role=Membership.Role.OWNER).exclude(user_id=refusal.user_id)
    yield from owners.select_related("user", "workspace")


def _write(of: str, refusal: Refusal, seat: Membership) -> None:
    user: User = seat.user
    with mails.in_language_of(user.email):
        facts = {"team": seat.workspace.name, "project": refusal.project}
        lines = [translation.gettext(WORDS.get(refusal.whose, WORDS["workspace"])), ""]
        lines.append(gettext("Workspace  %(team)s") % facts)
        if refusal.whose == "project":
            lines.append(gettext("Project    %(project)s") % facts)
        if refusal.most_micros is not None:
            most = {"amount": show(refusal.most_micros)}
            lines.append(gettext("Limit      %(amount)s") % most)
        if refusal.resets_at is not None:
            begins = {"time": f"{refusal.resets_at:%Y-%m-%d %H:%M}"}
            lines.append(gettext("Begins anew %(time)s UTC") % begins)
        where = {"where": f"{settings.PUBLIC_URL or ''}/my/refusals"}
        lines += ["", gettext("Which call it was, and what helps: %(where)s") % where]
        mails.write(
            f"{of}:{user.pk}",
            to=user.email,
            subject=gettext("A limit is reached in %(team)s") % facts,
            text="\n".join(lines) + "\n",
            kind=LIMIT,
        )
