"""A key's life by its owner's hand: made, changed, rotated. states.py ends it.

    made --> changed --> ... --> rotated: a successor with the same rights, and an overlap in which
                                 both may be used; then the first has expired

Whoever asks has rights of their own (`Giver`), and no key comes to have more than these.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext

from accounts import teams
from apikeys import keys, rights, states
from apikeys.models import ApiKey
from audit import log
from common.errors import AccessDisabled, InvalidRequest, NotFound, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from django.db.models import QuerySet

    from apikeys.rights import Rights

MOST_KEYS = 200
"""So many keys that are not revoked somebody may have in one workspace."""
MOST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Giver:
    """Who makes or changes keys: somebody who is signed in, or a key of theirs."""

    user_id: UUID
    workspace_id: UUID
    rights: Rights
    key: ApiKey | None = None
    everybodys: bool = False
    """Whether they may see and end the keys of all members: an owner who is signed in."""


def visible(giver: Giver) -> QuerySet[ApiKey]:
    """Return the keys that one may know of."""
    here = ApiKey.objects.filter(workspace_id=giver.workspace_id, run_id=None)
    found = keys.with_seats(here).select_related("user")
    return found if giver.everybodys else found.filter(user_id=giver.user_id)


def one(giver: Giver, key_id: UUID) -> ApiKey:
    """Return a key, or raise NotFound: another's is as if it were not there."""
    found = visible(giver).filter(pk=key_id).first()
    if found is None:
        raise NotFound(gettext("There is no such key."))
    return found


def names(workspace_id: UUID, key_ids: Collection[UUID | str]) -> dict[UUID, str]:
    """Return what keys of the workspace are called, those that ended too; of others nothing."""
    found = ApiKey.objects.filter(workspace_id=workspace_id, pk__in=key_ids)
    return dict(found.values_list("pk", "name"))


@transaction.atomic
def make(giver: Giver, *, name: str, description: str, asked: Rights) -> tuple[str, ApiKey]:
    """Make a key of the giver's own; return it, for the only time, with its record.

    Raises AccessDisabled if it would have more than the giver has.
    """
    _check(asked)
    rights.require_within(asked, giver.rights)
    _lock(giver)
    _require_no_pace(giver)
    mine = ApiKey.objects.filter(
        user_id=giver.user_id, workspace_id=giver.workspace_id, revoked_at=None, run_id=None
    )
    if mine.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now())).count() >= MOST_KEYS:
        raise InvalidRequest(
            gettext("You have %(most)s keys here. Revoke one that is not used.")
            % {"most": MOST_KEYS}
        )
    whole, key = keys.issue(
        workspace_id=giver.workspace_id,
        user_id=giver.user_id,
        name=name,
        description=description,
        made_by=giver.key,
        **asked.fields(),
    )
    _note("key.made", giver, key, after=rights.told(asked))
    return whole, key


@transaction.atomic
def change(
    giver: Giver,
    key_id: UUID,
    *,
    asked: dict[str, Any],
    disabled: bool | None = None,
    reason: str = "",
) -> ApiKey:
    """Change what is asked for: `name`, `description`, fields of `Rights`; disable, or enable.

    All of it or nothing. A key that was revoked stays as it is: raises InvalidRequest.
    """
    _lock(giver)
    key = _locked(giver, key_id)
    told: dict[str, Any] = {
        name: asked.pop(name) for name in ("name", "description") if name in asked
    }
    if "name" in told:
        told["name"] = keys.named(told["name"])
    if asked:
        wanted = dataclasses.replace(rights.of(key), **asked)
        if "expires_at" in asked:
            _check(wanted)
        rights.require_within(wanted, giver.rights)
        told |= wanted.fields()
        _note(
            "key.changed", giver, key, before=rights.told(rights.of(key)), after=rights.told(wanted)
        )
    elif told:
        _note("key.renamed", giver, key)  # Names may name somebody: the log holds none.
    if told:
        ApiKey.objects.filter(pk=key.pk).update(**told)
    if disabled is not None:
        _set_disabled(giver, one(giver, key_id), disabled=disabled, reason=reason)
    return one(giver, key_id)


@transaction.atomic
def rotate(giver: Giver, key_id: UUID, *, overlap: timedelta) -> tuple[str, ApiKey]:
    """Give a key a successor with the same name, rights and limits; it expires after the overlap.

    Without an overlap it is revoked. Raises InvalidRequest if it cannot be used any more, or has a
    successor already.
    """
    if not timedelta() <= overlap <= MOST_OVERLAP:
        raise InvalidRequest(
            gettext("overlap_seconds: at most %(days)s days.") % {"days": MOST_OVERLAP.days}
        )
    _lock(giver)
    # Before the key, as whoever sets limits: the successor's row refers to the workspace.
    teams.locked(giver.user_id, giver.workspace_id)
    key = _locked(giver, key_id)
    if key.user_id != giver.user_id:
        raise InvalidRequest(
            gettext("This is another member's key: they rotate it, you can revoke it.")
        )
    if states.told(key) != "living":
        raise InvalidRequest(
            gettext("This key is %(told)s: make another.")
            % {"told": translation.gettext(states.told(key))}
        )
    if ApiKey.objects.filter(replaces=key).exists():
        raise InvalidRequest(gettext("This key has a successor already: rotate that."))
    same = rights.of(key)
    rights.require_within(same, giver.rights)
    if giver.key is None or giver.key.family != key.family:
        _require_no_pace(giver)
    made = keys.issue(
        workspace_id=key.workspace_id,
        user_id=key.user_id,
        name=key.name,
        description=key.description,
        made_by=giver.key or key.made_by,
        replaces=key,
        project=key.project,
        requests_per_minute=key.requests_per_minute,
        **same.fields(),
    )
    _note("key.rotated", giver, key, after={"successor": str(made[1].pk)})
    if not overlap:
        states.revoke(key, by=giver.user_id, reason="rotated")
        return made
    end = timezone.now() + overlap
    ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=end), pk=key.pk).update(
        expires_at=end
    )
    return made


def _set_disabled(giver: Giver, key: ApiKey, *, disabled: bool, reason: str) -> None:
    """Disable a key, or enable it, which gives what it may: nobody gives more than they have.

    What staff or the report of a leak disabled, its owner does not enable.
    """
    if disabled:
        states.disable(key, by=giver.user_id, reason=reason or "by its owner")
    elif key.disabled_at is not None:
        if key.status_changed_by not in (key.user_id, giver.user_id):
            raise InvalidRequest(
                gettext("This key was disabled by others: %(reason)s")
                % {"reason": key.status_reason}
            )
        rights.require_within(rights.of(key), giver.rights)
        states.enable(key, by=giver.user_id, reason=reason or "by its owner")


def _note(what: str, giver: Giver, key: ApiKey, **facts: Any) -> None:
    log.note(
        what,
        actor=giver.user_id,
        subject=key.user_id,
        workspace=key.workspace_id,
        target=key.pk,
        reason=f"with the key {giver.key.pk}" if giver.key else "",
        **facts,
    )


def _check(asked: Rights) -> None:
    if asked.expires_at is not None and asked.expires_at <= timezone.now():
        raise InvalidRequest(gettext("expires_at: this time is over."))
    if asked.call_limit is not None and not 0 < asked.call_limit <= rights.MOST_MICROS:
        raise InvalidRequest(
            gettext("call_limit_micro_usd: an amount above 0, up to a million dollars.")
        )


def _lock(giver: Giver) -> None:
    """Let nobody else change keys of theirs; raise Unauthorized if the asking one has ended."""
    states.lock_owner(giver.user_id)
    if giver.key is not None and not keys.living().filter(pk=giver.key.pk).exists():
        raise Unauthorized(gettext("This API key is unknown, expired or revoked."))


def _require_no_pace(giver: Giver) -> None:
    """Raise AccessDisabled where a key has a pace of its own: what it makes is counted apart.

    Amounts need no such rule: whatever a key makes is under its budgets, too (budgets.py).
    """
    if giver.key is None:
        return
    now = ApiKey.objects.filter(pk=giver.key.pk).values_list("requests_per_minute", flat=True)
    if (pace := now.get()) is not None:
        raise AccessDisabled(
            gettext(
                "This key may begin %(pace)s calls in a minute, and what it makes would begin "
                "more. Sign in to make keys."
            )
            % {"pace": pace}
        )


def _locked(giver: Giver, key_id: UUID) -> ApiKey:
    visible_key = one(giver, key_id)
    key = ApiKey.objects.select_for_update(no_key=True).get(pk=visible_key.pk)
    if key.revoked_at is not None:
        raise InvalidRequest(gettext("This key was revoked, which is for good: make another."))
    return key
