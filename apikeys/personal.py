"""What keys know of people (common/personal.py)."""

from __future__ import annotations

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext_lazy

from apikeys.models import Ask, Pairing
from common.personal import Fate, Known, Person
from credits.books import allowances
from credits.models import Allowance, Budget

KNOWN = (
    Known(
        "apikeys.ApiKey",
        Fate.DELETED,
        gettext_lazy(
            "Your keys, with their names, networks and digests. They do nothing from the moment on "
            "in which you confirm."
        ),
        whose=lambda person: Q(user_id=person.id),
        shown=(
            "id", "workspace_id", "name", "description", "prefix", "scopes", "allowed_vendors",
            "project", "call_limit_micros", "created_at", "last_used_at", "expires_at",
            "disabled_at", "revoked_at", "status_reason",
        ),
    ),
    Known(
        "apikeys.Pairing",
        Fate.DELETED,
        gettext_lazy("Machines for which you approved a key."),
        whose=lambda person: Q(found_by_id=person.id) | Q(key__user_id=person.id),
        shown=("id", "machine", "address", "state", "created_at"),
    ),
    Known(
        "apikeys.Ask",
        Fate.DELETED,
        gettext_lazy("What you asked an owner to allow you."),
        whose=lambda person: Q(user_id=person.id) | Q(workspace_id__in=person.workspaces),
        shown=("workspace_id", "period", "limit_micros", "note", "created_at", "granted"),
    ),
    Known("apikeys.Pace", Fate.PASSES,
          gettext_lazy("How many calls a key began in its last minute.")),
)  # fmt: skip
DELETE = "DELETE FROM apikeys_apikey WHERE user_id = %s"
"""In one statement: keys name each other, and the database looks when all are gone."""


def erase(person: Person) -> dict[str, int]:
    """Leave no key of somebody, nor what was asked and allowed for them."""
    pairings = Pairing.objects.filter(Q(found_by_id=person.id) | Q(key__user_id=person.id))
    asks = Ask.objects.filter(Q(user_id=person.id) | Q(workspace_id__in=person.workspaces))
    gone = {"pairings": pairings.delete()[0], "asks": asks.delete()[0]}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT family::text FROM apikeys_apikey WHERE user_id = %s", [person.id]
        )
        families = [family for (family,) in cursor.fetchall()]
        cursor.execute(DELETE, [person.id])
        gone["keys"] = cursor.rowcount
    return gone | {"allowances": _forget_limits(person, families)}


def _forget_limits(person: Person, families: list[str]) -> int:
    """Take away what they might spend; names of projects are among it."""
    whose = Q(owner_kind="key", owner__in=families)
    for place in person.workspaces:
        whose |= Q(owner__startswith=str(place))
    for place in person.others:
        whose |= Q(owner_kind="member", owner=f"{place}/{person.id}")
    count: int = Allowance.objects.filter(whose).delete()[0]
    return count + allowances.forget(Budget.objects.filter(whose).values_list("pk", flat=True))
