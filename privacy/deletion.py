"""Somebody goes: asked, confirmed by mail, a time to change one's mind, then the steps.

    asked --> waiting --> running --> done
      |          |
      |          '------> cancelled     by the status page, or by staff
      |---------> cancelled
      '---------> lapsed                nobody confirmed it in a week

The confirmation stops keys and programs, and ends sessions. Signing in still works, for who must
pass a team on first, takes their archive, or stays after all. What is in the way (obstacles.py) is
looked at before the steps begin, again and again until nothing is; once they run (steps.py) nothing
of the person does anything any more, and nothing stops them. Every change is one guarded
statement, so of twins one does it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from accounts import leaving
from accounts.models import User
from apikeys import leaving as keys
from audit import log
from common import ratelimits
from common.errors import InvalidRequest, NotFound
from credits.books import reasons
from privacy import letters, obstacles
from privacy.models import Deletion

if TYPE_CHECKING:
    from uuid import UUID

State = Deletion.State
CONFIRM_DAYS = 7
MUST_DAYS = 30
"""So many days after the question it is done, or staff read why not (watch.py)."""
MOST_MAILS = 5
MAILS_A_DAY = 5


def of(user_id: UUID) -> Deletion | None:
    """Return somebody's open wish, if they have one."""
    return Deletion.objects.filter(user_id=user_id, state__in=Deletion.OPEN).first()


def one(deletion_id: UUID) -> Deletion:
    """Return a wish; raise NotFound if there is none."""
    found = Deletion.objects.filter(pk=deletion_id).first()
    if found is None:
        raise NotFound(gettext("There is no such deletion."))
    return found


def person(deletion: Deletion) -> User:
    """Return who it is about, as long as they are known."""
    assert deletion.user_id is not None, "that goes with the books"
    return User.objects.get(pk=deletion.user_id)


def in_the_way(deletion: Deletion) -> dict[str, str]:
    """Return why it cannot be done, as things stand now; nothing once the steps run."""
    if deletion.user_id is None or deletion.state not in (State.ASKED, State.WAITING):
        return {}
    user = person(deletion)
    return obstacles.of(leaving.gather(user), gives_up=deletion.gives_up)


def ask(
    user: User, *, base_url: str, gives_up: bool = False, by: UUID | None = None, reason: str = ""
) -> Deletion:
    """Have a wish, and a mail that asks whether it is theirs. Again: the same, with another mail.

    Raises RateLimited, and InvalidRequest where staff give no reason.
    """
    if by is not None:
        reason = reasons.given(reason, to="A deletion")
    ratelimits.take("deletions", str(user.pk), most=MAILS_A_DAY, seconds=86_400)
    try:
        with transaction.atomic():
            made = _ask(user, base_url=base_url, by=by, reason=reason)
            if gives_up:
                Deletion.objects.filter(pk=made.pk).update(gives_up=True)
            return one(made.pk)
    except IntegrityError as exc:
        if "deletion_open_once" not in str(exc):
            raise
    twin = of(user.pk)
    if twin is None:  # Asked for and ended, between two statements of ours.
        raise InvalidRequest(gettext("This was just done. Reload the page."))
    return twin


def _ask(user: User, *, base_url: str, by: UUID | None, reason: str) -> Deletion:
    made = of(user.pk)
    if made is None:
        made = Deletion.objects.create(
            user_id=user.pk,
            asked_by=by,
            reason=reason,
            base_url=base_url[:300],
            deadline_at=timezone.now() + timedelta(days=MUST_DAYS),
        )
        log.note("deletion.asked", actor=by or user.pk, subject=user.pk, target=made.pk,
                 reason=reason)  # fmt: skip
    again = Deletion.objects.filter(pk=made.pk, state=State.ASKED, mails__lt=MOST_MAILS)
    if again.update(mails=F("mails") + 1):
        made.refresh_from_db()
        letters.to_confirm(made, to=user.email, days=CONFIRM_DAYS)
    return made


@transaction.atomic
def confirm(deletion_id: UUID) -> Deletion:
    """Stop keys, programs and sessions, and have all be deleted after the grace period.

    Again: nothing more.
    Raises InvalidRequest for a wish that is not open any more.
    """
    now = timezone.now()
    due = now + timedelta(days=settings.DELETION_GRACE_DAYS)
    asked = Deletion.objects.filter(
        pk=deletion_id, state=State.ASKED, asked_at__gt=now - timedelta(days=CONFIRM_DAYS)
    )
    if not asked.update(state=State.WAITING, confirmed_at=now, due_at=due, next_try_at=due):
        found = one(deletion_id)
        if found.state in (State.ASKED, State.CANCELLED, State.LAPSED):
            raise InvalidRequest(gettext("This is not asked for any more. Ask for it again."))
        return found
    found = one(deletion_id)
    user = person(found)
    keys.stop(user.pk)
    leaving.end_sessions(user.pk)
    log.note("deletion.confirmed", actor=user.pk, subject=user.pk, target=found.pk)
    letters.confirmed(found, to=user.email)
    return found


@transaction.atomic
def cancel(deletion_id: UUID, *, by: UUID | None = None, reason: str = "") -> Deletion:
    """Have the account be as it was, keys included. Again: nothing more.

    Raises InvalidRequest once the steps run: what they did is not undone.
    """
    early = Deletion.objects.filter(pk=deletion_id, state__in=(State.ASKED, State.WAITING))
    if not early.update(
        state=State.CANCELLED, ended_at=timezone.now(), next_try_at=None, blocked={}
    ):
        found = one(deletion_id)
        if found.state not in (State.CANCELLED, State.LAPSED):
            raise InvalidRequest(gettext("It is being deleted already, and cannot be had back."))
        return found
    found = one(deletion_id)
    user = person(found)
    keys.restart(user.pk)
    log.note("deletion.cancelled", actor=by or user.pk, subject=user.pk, target=found.pk,
             reason=reason)  # fmt: skip
    letters.cancelled(found, to=user.email)
    return found


def give_up(deletion_id: UUID) -> None:
    """Note that the person gives up what they paid for and did not spend; it is tried at once."""
    open_one = Deletion.objects.filter(
        pk=deletion_id, state__in=(State.ASKED, State.WAITING), gives_up=False
    )
    if open_one.update(gives_up=True):
        due = Deletion.objects.filter(pk=deletion_id, state=State.WAITING)
        due.update(next_try_at=F("due_at"))


@transaction.atomic
def hurry(deletion_id: UUID, *, by: UUID) -> bool:
    """Have one that is due be looked at now, and not at its next time; False if it is not due."""
    now = timezone.now()
    due = Deletion.objects.filter(
        pk=deletion_id, state=State.WAITING, due_at__lte=now, next_try_at__gt=now
    )
    if not due.update(next_try_at=now):
        one(deletion_id)
        return False
    log.note("deletion.hurried", actor=by, target=deletion_id)
    return True


def lapse() -> int:
    """End what nobody confirmed in time; return how many there were."""
    now = timezone.now()
    old = Deletion.objects.filter(
        state=State.ASKED, asked_at__lte=now - timedelta(days=CONFIRM_DAYS)
    )
    return old.update(state=State.LAPSED, ended_at=now, next_try_at=None)
