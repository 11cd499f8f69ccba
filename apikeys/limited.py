"""A key together with the limits that its calls are under: made as one, changed as one.

What it may is its `Rights` (life.py); its project, its pace and its amounts per period are rules of
their own (allowances.py), which hold for all of its rotations. Here all of it is there, or nothing.

Its person's row is locked first, then the workspace's, then the key's: as wherever more than one of
them is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext

from accounts import teams
from apikeys import allowances, life, rights, states
from common.errors import InvalidRequest
from credits.models import PERIODS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from apikeys.life import Giver
    from apikeys.models import ApiKey
    from apikeys.rights import Rights
    from common.money import Micros

MOST_A_MINUTE = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key is for, how fast it may call, and how much it may spend; None is no limit."""

    project: str = ""
    pace: int | None = None
    amounts: Mapping[str, Micros | None] = field(default_factory=dict)
    """By period; a period that is not named stays as it is."""


def of(key: ApiKey) -> Limits:
    """Return the limits that a key has of its own."""
    set_now = allowances.own(key.workspace_id, "key", str(key.pk))
    return Limits(
        project=key.project,
        pace=key.requests_per_minute,
        amounts={period: set_now.get(period) for period in PERIODS},
    )


@transaction.atomic
def make(giver: Giver, *, name: str, asked: Rights, limits: Limits) -> tuple[str, ApiKey]:
    """Make a key with its limits; return it, for the only time, with its record."""
    _lock(giver)
    whole, key = life.make(giver, name=name, description="", asked=asked)
    return whole, _limit(giver, key, limits)


@transaction.atomic
def change(
    giver: Giver, key_id: UUID, *, name: str, asked: Rights | None, limits: Limits
) -> ApiKey:
    """Have a key be called that, and may that, within these limits; what is so already stays.

    Without `asked` its rights stay as they are.
    """
    _lock(giver)
    key = life.one(giver, key_id)
    changed: dict[str, object] = {} if key.name == name.strip() else {"name": name}
    if asked is not None and asked != rights.of(key):
        changed |= {
            each: getattr(asked, each)
            for each in ("scopes", "vendors", "networks", "call_limit", "expires_at")
            if getattr(asked, each) != getattr(rights.of(key), each)
        }
    if changed:
        key = life.change(giver, key_id, asked=changed)
    return _limit(giver, key, limits)


def _limit(giver: Giver, key: ApiKey, wanted: Limits) -> ApiKey:
    if wanted.pace is not None and not 0 < wanted.pace <= MOST_A_MINUTE:
        raise InvalidRequest(
            gettext("requests_per_minute: 1 to %(most)s, or none.")
            % {"most": format(MOST_A_MINUTE, ",")}
        )
    project = " ".join(wanted.project.split())
    if (project, wanted.pace) != (key.project, key.requests_per_minute):
        allowances.set_key(
            key.workspace_id,
            key.pk,
            by=giver.user_id,
            project=project if project != key.project else None,
            pace=wanted.pace,
            has_pace=wanted.pace != key.requests_per_minute,
        )
    allowances.set_rules(key.workspace_id, "key", str(key.pk), wanted.amounts, by=giver.user_id)
    return life.one(giver, key.pk)


def _lock(giver: Giver) -> None:
    states.lock_owner(giver.user_id)
    teams.locked(giver.user_id, giver.workspace_id)
