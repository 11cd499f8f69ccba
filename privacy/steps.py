"""The steps by which somebody is deleted: each may be done twice, and is written down when it was.

A process may die between any two of them, or within one: the next begins with the first that is
not written down, and knows from the sealed row whom it is about. What reaches beyond the database
(the payment provider, files) is done first and written down then; everything else is one
transaction with its being written down.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import leaving, teams
from accounts import personal as accounts
from accounts.models import Membership, User
from apikeys import personal as apikeys
from audit import log as audit
from audit import personal as audited
from common import failpoints, sealing
from common.errors import PlatformError, Unavailable
from common.personal import Person
from credits import leaving as money
from desk import personal as notes
from outbox import personal as mails
from privacy import letters, obstacles
from privacy import personal as own
from privacy.models import Deletion
from proxy import personal as proxy
from runs import personal as runs
from uploads import personal as uploads
from webhooks import events
from webhooks import personal as webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)
State = Deletion.State
PURPOSE: Final = b"privacy.person"
LEASE = timedelta(minutes=15)
"""For how long it is one worker's; if that dies, it is anybody's again."""
BLOCKED_AGAIN = timedelta(hours=1)
LONGEST_WAIT_SECONDS = 6 * 3600
COMPLETED: Final = "deletion.completed"
"""What their own programs are told last."""


class NotYet(Unavailable):
    """Something must happen first, by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it does, and whether that is in our database alone."""

    name: str
    act: Callable[[Deletion, Person], Mapping[str, int]]
    is_ours: bool = True


def _shut(_: Deletion, person: Person) -> Mapping[str, int]:
    leaving.shut(person.id)
    leaving.end_sessions(person.id)
    return {}


def _calm(_: Deletion, person: Person) -> Mapping[str, int]:
    """See that nothing runs: a call may have begun while they were being shut out."""
    if "running" in obstacles.of(person, gives_up=True):
        raise NotYet("Calls are running. They end by themselves.")
    return {}


def _teams(_: Deletion, person: Person) -> Mapping[str, int]:
    """Have mails about a team's money go to its owner, where they went to who leaves."""
    changed = 0
    for wallet_id in money.billed_to(person):
        owner = Membership.objects.filter(workspace_id=wallet_id, role=teams.Role.OWNER)
        email = owner.values_list("user__email", flat=True).first() or ""
        changed += money.readdress(wallet_id, person=person, email=email)
    return {"readdressed": changed}


def _files(_: Deletion, person: Person) -> Mapping[str, int]:
    return uploads.erase(person) | own.erase(person)


def _tell(deletion: Deletion, person: Person) -> Mapping[str, int]:
    letters.last(deletion, to=person.emails[0], language=person.language)
    for workspace_id in person.workspaces:
        about = {"deletion_id": str(deletion.pk)}
        events.emit(workspace_id, COMPLETED, about, key=f"deletion:{deletion.pk}")
    return {}


def _sent(deletion: Deletion, person: Person) -> Mapping[str, int]:
    """Leave neither the last mail nor who was told by program, once both were tried."""
    if not mails.is_over(letters.last_key(deletion)):
        raise NotYet("The last mail waits to be sent.")
    if webhooks.is_waiting(person, COMPLETED):
        raise NotYet("Their programs wait to be told.")
    return mails.erase(person) | webhooks.erase(person)


STEPS: Final = (
    Step("shut", _shut),
    Step("calm", _calm),
    Step("payments", lambda _, person: money.leave_payments(person), is_ours=False),
    Step("teams", _teams, is_ours=False),
    Step("files", _files, is_ours=False),
    Step("proxy", lambda _, person: proxy.erase(person)),
    Step("runs", lambda _, person: runs.erase(person)),
    Step("keys", lambda _, person: apikeys.erase(person)),
    Step("money", lambda _, person: money.erase(person)),
    Step("notes", lambda _, person: notes.erase(person)),
    Step("mails", lambda _, person: mails.erase(person)),
    Step("account", lambda _, person: accounts.erase(person)),
    Step("log", lambda _, person: audited.erase(person)),
    Step("told", _tell),
    Step("sent", _sent),
)


# --- Whom it is about -------------------------------------------------------------------------


def seal(person: Person) -> str:
    """Return somebody in a box."""
    return sealing.seal(json.dumps(asdict(person), default=str), purpose=PURPOSE)


def unseal(box: str) -> Person:
    """Return who is in a box."""
    said = json.loads(sealing.unseal(box, purpose=PURPOSE))
    return Person(
        id=UUID(said["id"]),
        name=said["name"],
        emails=tuple(said["emails"]),
        workspaces=tuple(UUID(each) for each in said["workspaces"]),
        others=tuple(UUID(each) for each in said["others"]),
        customers=tuple(said["customers"]),
        language=said.get("language", ""),  # Sealed before there was one.
    )


def reseal() -> int:
    """Have everybody in a box of the newest pepper; return how many were not."""
    return sealing.reseal(Deletion.objects.exclude(sealed=""), "sealed", purpose=PURPOSE)


# --- Doing them -------------------------------------------------------------------------------


def run_due(*, limit: int = 20) -> int:
    """Go on with the deletions that are due; return how many were looked at."""
    waiting = Deletion.objects.filter(next_try_at__lte=timezone.now())
    some = list(waiting.order_by("next_try_at").values_list("pk", flat=True)[:limit])
    return sum(go_on(each) for each in some)


def go_on(deletion_id: UUID) -> bool:
    """Do what is left of one, unless it is somebody's just now; True if it was ours.

    What cannot be done now is tried again, later and later, and the row says why.
    """
    now = timezone.now()
    mine = Deletion.objects.filter(pk=deletion_id, next_try_at__lte=now)
    if not mine.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    failpoints.reached("deletion.claimed")
    try:
        _advance(deletion_id)
    except Exception as exc:
        _put_off(deletion_id, exc)
        if not isinstance(exc, PlatformError | OSError):
            raise  # A bug: the worker logs it with its trace, and it is tried again.
    return True


def _put_off(deletion_id: UUID, exc: Exception) -> None:
    row = Deletion.objects.filter(pk=deletion_id, state__in=Deletion.OPEN)
    attempts = row.values_list("attempts", flat=True).first() or 1
    quick = isinstance(exc, NotYet)
    wait = 60 if quick else min(LONGEST_WAIT_SECONDS, 30 * 2 ** min(attempts, 12))
    row.update(
        error="" if quick else f"{type(exc).__name__}: {exc}"[:300],
        next_try_at=timezone.now() + timedelta(seconds=wait),
    )
    log.warning("deletion %s is put off: %s", deletion_id, type(exc).__name__)


def _advance(deletion_id: UUID) -> None:
    deletion = Deletion.objects.get(pk=deletion_id)
    if deletion.state == State.WAITING and not _begin(deletion):
        return
    deletion.refresh_from_db()
    if deletion.state != State.RUNNING:
        return
    person = unseal(deletion.sealed)
    for step in STEPS:
        if step.name not in deletion.done:
            _do(deletion, step, person)
            failpoints.reached(f"deletion.{step.name}")
            deletion.refresh_from_db()
    _close(deletion, person)


@transaction.atomic
def _begin(deletion: Deletion) -> bool:
    """Seal who it is, if nothing is in the way; False if something is, or it was cancelled."""
    user = User.objects.select_for_update(no_key=True).get(pk=deletion.user_id or UUID(int=0))
    person = leaving.gather(user)
    found = obstacles.of(person, gives_up=deletion.gives_up)
    waiting = Deletion.objects.filter(pk=deletion.pk, state=State.WAITING)
    if found:
        waiting.update(blocked=found, next_try_at=timezone.now() + BLOCKED_AGAIN, error="")
        return False
    begun = waiting.update(
        state=State.RUNNING,
        sealed=seal(person),
        workspaces=list(person.workspaces),
        blocked={},
        error="",
        attempts=1,
    )
    if begun:
        audit.note("deletion.begun", subject=user.pk, target=deletion.pk)
    return bool(begun)


def _do(deletion: Deletion, step: Step, person: Person) -> None:
    if not step.is_ours:
        _note(deletion, step, step.act(deletion, person))
        return
    with transaction.atomic():
        row = Deletion.objects.select_for_update(no_key=True).get(pk=deletion.pk)
        if step.name not in row.done:
            _note(row, step, step.act(row, person))


def _note(deletion: Deletion, step: Step, counts: Mapping[str, int]) -> None:
    """Write down that a step was done, once."""
    with transaction.atomic():
        row = Deletion.objects.select_for_update(no_key=True).get(pk=deletion.pk)
        if step.name in row.done:
            return
        row.done = [*row.done, step.name]
        row.report = {**row.report, step.name: {k: n for k, n in counts.items() if n}}
        row.next_try_at = timezone.now() + LEASE
        row.save(update_fields=["done", "report", "next_try_at"])


def _close(deletion: Deletion, person: Person) -> None:
    """Forget who it was: from now on the row is a certificate."""
    now = timezone.now()
    until = date(now.year + settings.BOOKS_YEARS, 12, 31)
    running = Deletion.objects.filter(pk=deletion.pk, state=State.RUNNING)
    with transaction.atomic():
        closed = running.update(
            state=State.DONE, sealed="", reason="", asked_by=None, ended_at=now, next_try_at=None,
            error="", books_until=until,
        )  # fmt: skip
        if closed:
            audit.note("deletion.done", subject=person.id, target=deletion.pk)


def end_pseudonyms() -> int:
    """Where books need not be kept any longer, take out what is one person's; return how many.

    Entries stay, as sums rest on them: they are amounts between numbers that lead nowhere.
    """
    over = Deletion.objects.filter(state=State.DONE, books_until__lt=timezone.now().date())
    count = 0
    for deletion in over.order_by("books_until")[:100]:
        with transaction.atomic():
            money.unlink(tuple(deletion.workspaces))
            mine = Deletion.objects.filter(pk=deletion.pk, books_until__isnull=False)
            count += mine.update(user_id=None, workspaces=[], books_until=None)
    return count
