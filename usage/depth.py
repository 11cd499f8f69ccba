"""A page of filtered calls by its number, at any depth, with the exact total.

Blocks of numbers say how many of their calls fit (sums.py), so it is known without looking at the
calls in which of them a page lies; only those are read. What a time cuts a block in two is counted
from its calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Sum

from common.rows import values
from usage import numbers
from usage.history import Wanted, bounds
from usage.models import Call, CallBlock
from usage.sums import BLOCK

if TYPE_CHECKING:
    from uuid import UUID

    Range = tuple[int, int, int]
    """The first and the last number, and how many calls of these fit."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first, and how many there are on all pages."""

    total: int
    rows: list[Call]


def page(workspace_id: UUID, wanted: Wanted, *, page: int, limit: int) -> Page:
    """Return one page (1-based) of the calls that are wanted."""
    first, last = bounds(workspace_id, wanted)
    if wanted.is_all:
        total, oldest, newest = numbers.calls_between(workspace_id, first, last, page, limit)
        rows = Call.objects.filter(workspace_id=workspace_id, number__range=(oldest, newest))
        return Page(total, list(rows.order_by("-number")))
    if wanted.run:  # Which blocks do not know; its numbers stand near each other.
        rows = wanted.rows(workspace_id).filter(number__range=(first, last)).order_by("-number")
        return Page(rows.count(), list(rows[(page - 1) * limit : page * limit]))
    fitting = _fitting(workspace_id, wanted, first, last)
    skip, ranges = _where(fitting, (page - 1) * limit, limit)
    found = _within(workspace_id, wanted, ranges) if ranges else []
    return Page(sum(count for *_, count in fitting), found[skip : skip + limit])


def _where(fitting: list[Range], skip: int, limit: int) -> tuple[int, list[tuple[int, int]]]:
    """Return the ranges in which a page lies, and how many calls of the first are not of it."""
    ranges: list[tuple[int, int]] = []
    held = 0
    for low, high, count in fitting:
        if not ranges and count <= skip:
            skip -= count
            continue
        ranges.append((low, high))
        held += count
        if held >= skip + limit:
            break
    return skip, ranges


def _fitting(workspace_id: UUID, wanted: Wanted, first: int, last: int) -> list[Range]:
    """Return the ranges of numbers in which calls fit, the newest first, and how many do."""
    if last < first:
        return []
    # A block that begins with the first number is counted in whole: nothing of it is cut off.
    lowest, highest = (first - 2) // BLOCK, (last - 1) // BLOCK
    counted = (
        CallBlock.objects.filter(
            workspace_id=workspace_id, block__gt=lowest, block__lt=highest, **wanted.named
        )
        .values("block")
        .annotate(fit=Sum("calls"))
        .order_by("-block")
    )
    found = [_cut(workspace_id, wanted, max(first, highest * BLOCK + 1), last)]
    found += [(each["block"] * BLOCK + 1, (each["block"] + 1) * BLOCK, each["fit"])
              for each in counted]  # fmt: skip
    if lowest < highest and first <= (lowest + 1) * BLOCK:
        found.append(_cut(workspace_id, wanted, first, (lowest + 1) * BLOCK))
    return [each for each in found if each[2]]


def _cut(workspace_id: UUID, wanted: Wanted, low: int, high: int) -> Range:
    """Count the calls of a part of one block."""
    counted = values(f"SELECT count(*) FROM {_in_ranges(wanted)}", {  # noqa: S608 - our own columns
        "workspace": workspace_id, "lows": [low], "highs": [high], **wanted.named,
    })  # fmt: skip
    return low, high, int(counted[0])


def _within(workspace_id: UUID, wanted: Wanted, ranges: list[tuple[int, int]]) -> list[Call]:
    """Return the calls of some ranges, newest first: neighbours are read as one."""
    merged: list[list[int]] = []
    for low, high in ranges:
        if merged and merged[-1][0] == high + 1:
            merged[-1][0] = low
        else:
            merged.append([low, high])
    lows, highs = ([each[side] for each in merged] for side in (0, 1))
    found = Call.objects.raw(
        f"SELECT call.* FROM {_in_ranges(wanted)} ORDER BY call.number DESC",  # noqa: S608 - ours
        {"workspace": workspace_id, "lows": lows, "highs": highs, **wanted.named},
    )
    return list(found)


def _in_ranges(wanted: Wanted) -> str:
    """Return what the calls of some ranges are selected from; its columns are those of `named`.

    Each range is looked up by itself. Asked for as a condition of one scan, low numbers seem to fit
    half of all calls, as every workspace has them, and the planner reads whole months.
    """
    named = "".join(f" AND {name} = %({name})s" for name in wanted.named)
    return f"""
        unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS range (low, high)
        CROSS JOIN LATERAL (
            SELECT * FROM usage_call
             WHERE workspace_id = %(workspace)s AND number BETWEEN range.low AND range.high {named}
        ) AS call
    """  # noqa: S608 - names of our own columns
