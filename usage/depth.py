"""A page of filtered calls by its number, at any depth, with the exact total.

Blocks of numbers say how many of their calls fit (sums.py), so it is known without looking at the
calls in which of them a page lies; only those are read. What a time cuts a block in two is counted
from its calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, Sum

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
    lowest, highest = (first - 1) // BLOCK, (last - 1) // BLOCK
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
    if lowest < highest:
        found.append(_cut(workspace_id, wanted, first, (lowest + 1) * BLOCK))
    return [each for each in found if each[2]]


def _cut(workspace_id: UUID, wanted: Wanted, low: int, high: int) -> Range:
    """Count the calls of a part of one block."""
    return low, high, wanted.rows(workspace_id).filter(number__range=(low, high)).count()


def _within(workspace_id: UUID, wanted: Wanted, ranges: list[tuple[int, int]]) -> list[Call]:
    """Return the calls of some ranges, newest first: neighbours are read as one."""
    merged: list[list[int]] = []
    for low, high in ranges:
        if merged and merged[-1][0] == high + 1:
            merged[-1][0] = low
        else:
            merged.append([low, high])
    near = Q()
    for low, high in merged:
        near |= Q(number__range=(low, high))
    return list(wanted.rows(workspace_id).filter(near).order_by("-number"))
