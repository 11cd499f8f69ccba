"""Allowances: rules of how much may be spent in a period, and the budgets that they make.

    rule (owner, period, limit) --> a budget for each period in which somebody calls (limits.py)

A budget is counted from when its rule was first set: what was spent before is not in it. Days,
weeks (from Monday) and months begin in the operator's time zone (TIME_ZONE), at its midnight also
when the clocks change. A rule that changes changes the budget that runs; one that is gone takes its
limit away, and what was taken stays written.

Owners are named by layers above. A member may be under a rule for `each_member` of a group, if
there is none of their own for that period. MAKE, FOLLOW and CURRENT are told the same owners in one
transaction, and by its one time: so each rule has its budget. Whoever changes rules keeps others
from making budgets meanwhile, by a lock of the layer above. Rows are looked up by LATERAL with a
limit, or by `= ANY (array)`, so that a plan which was made while there were none does not read all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from common.rows import rows
from credits.books import holds
from credits.models import PERIODS, Allowance, Budget

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from common.money import Micros

EACH: Final = "each_member"
"""The kind of a rule for each member of a group who has none of their own."""
KEPT_FOR: Final = timedelta(days=35)
"""So long after its period a budget can be looked up: whoever asks what last month came to."""


def period(name: str, zone: str, now: str = "now()") -> tuple[str, str]:
    """Return SQL for when the period of that name that runs now began, and when the next begins.

    What there is `in total` began with time itself, and never ends.
    """
    local = f"date_trunc({name}, {now} AT TIME ZONE {zone})"
    following = f"({local} + ('1 ' || {name})::interval)"
    return (
        f"CASE WHEN {name} = 'total' THEN 'epoch' ELSE {local} AT TIME ZONE {zone} END",
        f"CASE WHEN {name} <> 'total' THEN {following} AT TIME ZONE {zone} END",
    )


_BEGAN, _ENDS = period("rule.period", "%(zone)s")
_RULES = f"""
    asked AS MATERIALIZED (
        SELECT * FROM unnest(%(kinds)s::text[], %(owners)s::text[], %(groups)s::text[])
               AS asked (kind, owner, of_group)
    ), ruled AS MATERIALIZED (
        SELECT DISTINCT ON (asked.kind, asked.owner, rule.period)
               asked.kind, asked.owner, rule.period, rule.limit_micros, rule.rank, rule.set_by,
               {_BEGAN} AS starts_at, {_ENDS} AS ends_at
          FROM asked CROSS JOIN LATERAL (
                  (SELECT period, limit_micros, set_by, 0 AS rank FROM credits_allowance
                    WHERE owner_kind = asked.kind AND owner = asked.owner LIMIT 4)
                    UNION ALL
                  (SELECT period, limit_micros, set_by, 1 FROM credits_allowance
                    WHERE owner_kind = 'each_member' AND owner = asked.of_group LIMIT 4)
               ) rule
         ORDER BY asked.kind, asked.owner, rule.period, rule.rank
    )
"""  # noqa: S608 - constants of our own
"""The rules that the owners asked for are under, and the period of each that runs now."""

MAKE = f"""
    WITH {_RULES}
    INSERT INTO credits_budget (owner_kind, owner, period, starts_at, ends_at, limit_micros)
    SELECT kind, owner, period, starts_at, ends_at, limit_micros FROM ruled
     ORDER BY kind, owner, period
        ON CONFLICT (owner_kind, owner, period, starts_at) DO NOTHING
"""  # noqa: S608 - constants of our own
"""Make the budgets of the periods that run, where there are none; those of two at once are one."""

CURRENT = f"""
    WITH {_RULES}
    SELECT ruled.kind, ruled.owner, budget.id, ruled.ends_at
      FROM ruled LEFT JOIN LATERAL (
               SELECT * FROM credits_budget
                WHERE owner_kind = ruled.kind AND owner = ruled.owner
                  AND period = ruled.period AND starts_at = ruled.starts_at LIMIT 1
           ) budget ON true
"""  # noqa: S608 - constants of our own
"""The budgets that run now, after MAKE: kind, owner, id, and when the next one begins."""

_STANDING = f"""
    WITH {_RULES}, open AS MATERIALIZED (
        SELECT id, sum(amount_micros)::bigint AS micros
          FROM ({holds.TAKEN_FROM}) took
         GROUP BY id
    )
    SELECT ruled.kind, ruled.owner, ruled.period, ruled.limit_micros AS limit, ruled.set_by,
           ruled.rank = 1 AS of_group, ruled.starts_at, ruled.ends_at AS resets_at,
           coalesce(open.micros, 0) AS held,
           coalesce(budget.taken_micros - coalesce(open.micros, 0), 0) AS spent
      FROM ruled LEFT JOIN LATERAL (
               SELECT * FROM credits_budget
                WHERE owner_kind = ruled.kind AND owner = ruled.owner
                  AND period = ruled.period AND starts_at = ruled.starts_at LIMIT 1
           ) budget ON true
      LEFT JOIN open ON open.id = budget.id
     ORDER BY ruled.kind, ruled.owner, array_position(ARRAY['day', 'week', 'month', 'total'],
                                                      ruled.period::text)
"""  # noqa: S608 - constants of our own

FOLLOW = f"""
    WITH {_RULES}, mine AS MATERIALIZED (
        SELECT one.id, ruled.limit_micros AS now_micros
          FROM asked CROSS JOIN LATERAL (
                   SELECT * FROM credits_budget
                    WHERE owner_kind = asked.kind AND owner = asked.owner
                      AND (ends_at IS NULL OR ends_at > now()) LIMIT 100
               ) one
          LEFT JOIN ruled ON ruled.kind = one.owner_kind AND ruled.owner = one.owner
                         AND ruled.period = one.period
         WHERE one.limit_micros IS DISTINCT FROM ruled.limit_micros
    ), locked AS MATERIALIZED (
        SELECT id FROM credits_budget WHERE id = ANY (ARRAY(SELECT id FROM mine))
         ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE credits_budget budget
       SET limit_micros = mine.now_micros,
           over_micros = coalesce(greatest(budget.taken_micros - mine.now_micros, 0), 0)
      FROM mine
     WHERE budget.id = mine.id AND budget.id = ANY (ARRAY(SELECT id FROM locked))
"""  # noqa: S608 - constants of our own
"""Have the budgets that run follow their rules, where they do not.

They are locked in the order of their ids, as everywhere (holds.py).
"""

FORGET = f"""
    DELETE FROM credits_budget
     WHERE id = ANY (%s) AND id <> ALL (ARRAY({holds.BUDGETS}))
"""  # noqa: S608 - constants of our own


class Owner(NamedTuple):
    """Whose a budget is."""

    kind: str
    id: str
    group: str | None = None
    """Under whose rule for each member it is, too."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule that somebody is under, and how they stand in its period."""

    kind: str
    owner: str
    period: str
    limit: int
    set_by: UUID
    of_group: bool
    """Whether it is one for each member."""
    starts_at: datetime
    resets_at: datetime | None
    held: int
    spent: int

    @property
    def left(self) -> int:
        """What a call may still take."""
        return max(self.limit - self.held - self.spent, 0)


def asked(owners: Sequence[Owner]) -> dict[str, Any]:
    """Return the parameters of `MAKE`, `FOLLOW` and `CURRENT`."""
    return {
        "kinds": [each.kind for each in owners],
        "owners": [each.id for each in owners],
        "groups": [each.group for each in owners],
        "zone": settings.PERIODS_TIME_ZONE,
    }


def standing(owners: Sequence[Owner]) -> list[Standing]:
    """Return the rules that these owners are under, in the order of their kinds and periods."""
    return list(rows(Standing, _STANDING, asked(owners)))


@transaction.atomic
def set_rule(
    owner: Owner, period: str, limit: Micros | None, *, by: UUID, under: Sequence[Owner]
) -> Micros | None:
    """Have an owner's limit for a period be that from now on, or none; return what it was.

    `under` are all whose budgets may follow this rule.
    """
    assert period in PERIODS
    rule = Allowance.objects.filter(owner_kind=owner.kind, owner=owner.id, period=period)
    before: Micros | None = rule.values_list("limit_micros", flat=True).first()  # type: ignore[assignment]
    if limit is None:
        rule.delete()
    else:
        Allowance.objects.update_or_create(
            owner_kind=owner.kind,
            owner=owner.id,
            period=period,
            defaults={"limit_micros": limit, "set_by": by},
        )
    with connection.cursor() as cursor:
        cursor.execute(FOLLOW, asked(under))
    return before


def rules(kind: str, owner: str) -> list[Allowance]:
    """Return the rules of one owner."""
    return list(Allowance.objects.filter(owner_kind=kind, owner=owner))


def forget(budgets: Collection[int]) -> int:
    """Delete budgets by their ids, but none from which an open hold took; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [list(budgets)])
        return int(cursor.rowcount)


def forget_finished(*, before: datetime | None = None, step: int = 500, steps: int = 40) -> int:
    """Delete budgets whose period ended KEPT_FOR ago, and from which no open hold took.

    In steps, each its own transaction, so that no call waits long for one of them; as many as there
    are in a round, and the rest in the next. Returns how many were deleted.
    """
    over = Budget.objects.filter(ends_at__lt=before or timezone.now() - KEPT_FOR).order_by("pk")
    gone, last = 0, 0
    for _ in range(steps):
        with transaction.atomic():
            # Locked first, and then looked at: a call that comes late may have taken from one.
            rest = over.filter(pk__gt=last).select_for_update(skip_locked=True)
            some = list(rest.values_list("pk", flat=True)[:step])
            gone += forget(some)
        if len(some) < step:
            break
        last = some[-1]
    return gone
