"""What the proxy knows of people (common/personal.py)."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from common.personal import ROWS_AT_ONCE, Fate, Known, Person
from proxy import answers, vendor_accounts
from proxy.models import Answer, Asset, Job, Repeat, VendorAccount
from usage.models import Call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

RECENT = timedelta(days=8)
"""No answer and no job of a call that ended earlier is still there."""


def _own(person: Person) -> Q:
    return Q(workspace_id__in=person.workspaces)


KNOWN = (
    Known(
        "proxy.Job",
        Fate.DELETED,
        gettext_lazy("Long tasks at vendors, and what the vendor said of them."),
        whose=_own,
        shown=("id", "vendor", "operation", "created_at", "ended_at", "outcome"),
    ),
    Known(
        "proxy.Asset",
        Fate.DELETED,
        gettext_lazy(
            "Vendors' ids of what you made there. The things themselves are the vendor's to delete."
        ),
        whose=_own,
        shown=("vendor", "scope", "asset", "created_at"),
    ),
    Known(
        "proxy.VendorAccount",
        Fate.BLANKED,
        gettext_lazy("Your own accounts with vendors: their secrets are gone."),
        whose=_own,
        shown=("vendor", "name", "changed_at", "removed_at"),
    ),
    Known(
        "proxy.Answer",
        Fate.DELETED,
        gettext_lazy("Answers kept in case that your client asks again."),
    ),
    Known("proxy.Repeat", Fate.DELETED, gettext_lazy("That a client is expected to try again.")),
    Known("proxy.Heartbeat", Fate.NOTHING, "That workers live.", harmless=frozenset({"name"})),
    Known(
        "proxy.VendorSwitch",
        Fate.NOTHING,
        "What staff switched off; who did is a number.",
        harmless=frozenset({"changed_by"}),
    ),
    Known("proxy.VendorRevision", Fate.NOTHING, "A count of changes."),
    Known("proxy.VendorHealth", Fate.NOTHING, "How vendors served everybody."),
)


def erase(person: Person) -> dict[str, int]:
    """Leave no answer, job or vendor's id of somebody, and no secret of theirs."""
    gone = {"answers": 0, "jobs": 0}
    recent = _recent(person)
    while some := list(islice(recent, ROWS_AT_ONCE)):
        kept = Answer.objects.filter(call_id__in=some)
        for name in kept.exclude(spool="").values_list("spool", flat=True):
            answers.drop_spool(name)
        gone["answers"] += kept.delete()[0]
        Repeat.objects.filter(call_id__in=some).delete()
        gone["jobs"] += Job.objects.filter(pk__in=some, ended_at__isnull=False).delete()[0]
    gone["jobs"] += Job.objects.filter(_own(person), ended_at__isnull=False).delete()[0]
    gone["assets"] = Asset.objects.filter(_own(person)).delete()[0]
    return gone | {"vendor_accounts": _drop_accounts(person)}


def _recent(person: Person) -> Iterator[UUID]:
    since = timezone.now() - RECENT
    own = Call.objects.filter(workspace_id__in=[*person.workspaces, *person.others])
    theirs = own.filter(_own(person) | Q(user_id=person.id), settled_at__gte=since)
    yield from theirs.values_list("pk", flat=True).iterator(chunk_size=ROWS_AT_ONCE)


def _drop_accounts(person: Person) -> int:
    living = VendorAccount.objects.filter(_own(person), removed_at=None)
    count = living.update(sealed="", off_reason="", removed_at=timezone.now())
    if count:
        vendor_accounts.revise()
    return count


def is_running(person: Person) -> bool:
    """Whether a vendor still works for somebody."""
    running = Job.objects.filter(ended_at=None)
    return bool(running.filter(_own(person)).exists())
