"""What the history of calls knows of people (common/personal.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Kept, Known, Person, oldest
from usage.models import Refusal

if TYPE_CHECKING:
    from datetime import datetime

SUMS: Final = gettext_lazy(
    "Sums of the calls above, under the same numbers that are nobody's any more."
)


def _own(person: Person) -> Q:
    return Q(workspace_id__in=person.workspaces) | Q(
        workspace_id__in=person.others, user_id=person.id
    )


def _forget_refusals(before: datetime, most: int) -> int:
    old = Refusal.objects.filter(last_at__lt=before)
    return Refusal.objects.filter(pk__in=oldest(old, most)).delete()[0]


KNOWN = (
    Known(
        "usage.Call",
        Fate.PSEUDONYM,
        gettext_lazy(
            "What was called, when, and what it cost: the receipts of the books' entries. They "
            "hold no prompt, file, name or address, only numbers that are nobody's any more."
        ),
        # Found by the wallet's numbers: what somebody called in a team is its team's receipt.
        whose=_own,
        shown=(
            "id", "workspace_id", "started_at", "settled_at", "vendor", "operation", "outcome",
            "reason", "held_micros", "charged_micros", "price_version", "run_id", "key_id", "facts",
        ),
        order=("workspace_id", "number"),
    ),
    Known("usage.CallSum", Fate.PSEUDONYM, SUMS, whose=_own),
    Known("usage.CallBlock", Fate.PSEUDONYM, SUMS, whose=_own),
    Known("usage.RunSum", Fate.PSEUDONYM, SUMS, whose=_own),
    *(
        Known(each, Fate.PSEUDONYM, SUMS, whose=lambda person: Q(
            workspace_id__in=person.workspaces
        ))
        for each in ("usage.Summed", "usage.Proved")
    ),
    Known(
        "usage.Refusal",
        Fate.PASSES,
        gettext_lazy(
            "Which of your calls a limit refused, and which limit; deleted when its time is over."
        ),
        whose=_own,
        shown=(
            "first_at", "last_at", "times", "vendor", "operation", "code", "limit", "message",
            "needed_micros", "left_micros",
        ),
    ),
)  # fmt: skip
KEPT = (Kept("refusals", _forget_refusals),)
