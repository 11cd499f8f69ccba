"""A member asks the owner for more, and the owner answers with one call.

open --> granted   it is the member's own allowance from then on
'----> declined

What is asked for never changes under its id: the owner grants what they saw. Another amount is
another ask, in the place of the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext, gettext_noop

from accounts import teams
from accounts.models import Membership
from apikeys import allowances
from apikeys.models import Ask
from audit import log
from common import ratelimits
from common.errors import InvalidRequest, NotFound
from common.money import Micros, show
from credits.models import PERIODS
from outbox import mails

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

MOST_NOTE = 300
PER_DAY = 20
EVERY = {
    "day": gettext_noop("a day"),
    "week": gettext_noop("a week"),
    "month": gettext_noop("a month"),
    "total": gettext_noop("in total"),
}
ASKED = gettext_noop("""\
%(who)s (%(email)s) asks to spend %(amount)s %(every)s in %(team)s.

%(note)s

You can allow it, or not, on the page of your team.
""")
GRANTED = gettext_noop("You may now spend %(amount)s %(every)s in %(team)s.\n")
DECLINED = gettext_noop("You were not allowed to spend %(amount)s %(every)s in %(team)s.\n")


def waiting(workspace_id: UUID, *, by: UUID) -> QuerySet[Ask]:
    """Return the open asks of a workspace, the oldest first; one's own, to who is no owner."""
    mine = teams.seat(by, workspace_id)
    found = Ask.objects.filter(workspace_id=workspace_id, answered_at=None).select_related("user")
    if mine.role != Membership.Role.OWNER:
        found = found.filter(user_id=by)
    return found.order_by("created_at", "pk")


def ask(workspace_id: UUID, *, period: str, limit: Micros, note: str, by: UUID) -> Ask:
    """Ask for an allowance of that much in a period; another amount takes the first one's place."""
    if period not in PERIODS or not 0 < limit <= allowances.MOST_MICROS or len(note) > MOST_NOTE:
        raise InvalidRequest(
            gettext("Ask for an amount for a period: %(periods)s.")
            % {"periods": ", ".join(PERIODS)}
        )
    mine = teams.seat(by, workspace_id)
    if mine.role == Membership.Role.OWNER:
        raise InvalidRequest(gettext("You own this workspace: you can set the allowance yourself."))
    ratelimits.take("asks", f"{workspace_id}/{by}", most=PER_DAY, seconds=86_400)
    return _ask(workspace_id, period=period, limit=limit, note=note, by=by)


@transaction.atomic
def _ask(workspace_id: UUID, *, period: str, limit: Micros, note: str, by: UUID) -> Ask:
    workspace = teams.locked(by, workspace_id)
    open_one = Ask.objects.filter(
        workspace_id=workspace_id, user_id=by, period=period, answered_at=None
    )
    open_one.exclude(limit_micros=limit).delete()
    made, is_new = Ask.objects.update_or_create(
        workspace_id=workspace_id,
        user_id=by,
        period=period,
        answered_at=None,
        limit_micros=limit,
        defaults={"note": note},
    )
    log.note(
        "ask.made",
        actor=by,
        subject=by,
        workspace=workspace_id,
        target=made.pk,
        after={"period": period, "limit_micros": limit},
    )
    if is_new:
        owner = teams.members(workspace_id).get(role=Membership.Role.OWNER).user
        who = made.user.name or made.user.email
        facts = {"who": who, "email": made.user.email, "team": workspace.name, "note": note}
        with mails.in_language_of(owner.email):
            facts |= {"amount": show(limit), "every": translation.gettext(EVERY[period])}
            mails.write(
                f"ask:{made.pk}",
                to=owner.email,
                subject=gettext("%(who)s asks for more in %(team)s") % facts,
                text=translation.gettext(ASKED) % facts,
            )
    return made


@transaction.atomic
def answer(workspace_id: UUID, ask_id: UUID, *, granted: bool, by: UUID) -> Ask:
    """Answer an open ask: granted, it is the member's allowance from the next call on.

    Raises NotFound for one that was answered before, or in whose place there is another, or whose
    member has left.
    """
    workspace = teams.locked(by, workspace_id, Membership.Role.OWNER)
    found = Ask.objects.filter(pk=ask_id, workspace_id=workspace_id, answered_at=None)
    one = found.select_related("user").first()
    if one is None:
        raise NotFound(gettext("This is not asked for any more. Reload the page to see what is."))
    limit = Micros(one.limit_micros)
    if granted:
        allowances.set_rule(workspace_id, "member", str(one.user_id), one.period, limit, by=by)
    found.update(answered_at=timezone.now(), answered_by=by, granted=granted)
    log.note(
        "ask.granted" if granted else "ask.declined",
        actor=by,
        subject=one.user_id,
        workspace=workspace_id,
        target=one.pk,
        before={"asked": {"period": one.period, "limit_micros": limit}},
        after={"granted": granted},
    )
    with mails.in_language_of(one.user.email):
        facts = {
            "amount": show(limit),
            "every": translation.gettext(EVERY[one.period]),
            "team": workspace.name,
        }
        mails.write(
            f"ask-answered:{one.pk}",
            to=one.user.email,
            subject=gettext("Your allowance in %(team)s") % facts,
            text=translation.gettext(GRANTED if granted else DECLINED) % facts,
        )
    one.refresh_from_db()
    return one
