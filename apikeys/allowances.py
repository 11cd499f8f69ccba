"""Who sets allowances, and how they stand (budgets.py tells which a call is under).

The owner of a workspace sets all: of the workspace, of a project, of each member or of one, of a
key. Others set those of their own keys, unless the owner has set that one; they can ask for more
(asks.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from accounts import teams
from accounts.models import Membership
from apikeys import budgets
from apikeys.models import ApiKey
from audit import log
from common.errors import AccessDisabled, InvalidRequest, NotFound
from common.money import Micros
from credits.books import allowances
from credits.books.allowances import EACH, Owner
from credits.models import PERIODS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credits.books.allowances import Standing

Role = Membership.Role
KINDS: Final = ("workspace", "project", EACH, "member", "key")
MOST_MICROS: Final = 10**12
MOST_PROJECT: Final = 64


@transaction.atomic
def set_rule(
    workspace_id: UUID, kind: str, of: str, period: str, limit: Micros | None, *, by: UUID
) -> Owner:
    """Have somebody's limit for a period be that, or none; it holds from the next call on.

    `of` is a member, a project's name, a key; nothing for the workspace and `each_member`. An owner
    of the workspace sets all; others those of their own keys, unless the owner has set that one.
    """
    if kind not in KINDS or period not in PERIODS:
        raise InvalidRequest(
            gettext("kind: %(kinds)s; period: %(periods)s.")
            % {"kinds": ", ".join(KINDS), "periods": ", ".join(PERIODS)}
        )
    if limit is not None and not 0 <= limit <= MOST_MICROS:
        raise InvalidRequest(gettext("limit_micro_usd: an amount from 0 to a million dollars."))
    teams.locked(by, workspace_id)
    is_owner = teams.seat(by, workspace_id).role == Role.OWNER
    if not is_owner:
        _require_own(workspace_id, kind, of, period, by)
    owner = _owner(workspace_id, kind, of)
    before = allowances.set_rule(owner, period, limit, by=by, under=_under(workspace_id, owner))
    budgets.outdate(workspace_id)
    log.note(
        "allowance.set",
        actor=by,
        subject=UUID(of) if kind == "member" else None,
        workspace=workspace_id,
        target=f"{kind} {owner.id} per {period}",
        before={"limit_micros": before},
        after={"limit_micros": limit},
    )
    return owner


@transaction.atomic
def set_rules(
    workspace_id: UUID, kind: str, of: str, limits: Mapping[str, Micros | None], *, by: UUID
) -> None:
    """Have somebody's limits for these periods be those, all or none; what is so already stays."""
    teams.locked(by, workspace_id)
    now = own(workspace_id, kind, of)
    for period, limit in limits.items():
        if now.get(period) != limit:
            set_rule(workspace_id, kind, of, period, limit, by=by)


def own(workspace_id: UUID, kind: str, of: str) -> dict[str, Micros]:
    """Return the limits that somebody has by rules of their own, by period (`set_rule`)."""
    owner = _owner(workspace_id, kind, of)
    return {
        each.period: Micros(each.limit_micros) for each in allowances.rules(owner.kind, owner.id)
    }


@transaction.atomic
def set_key(
    workspace_id: UUID,
    key_id: UUID,
    *,
    by: UUID,
    project: str | None = None,
    pace: int | None = None,
    has_pace: bool = False,
) -> ApiKey:
    """Say for which project a key is, and how many calls it may begin in a minute (None: no rule).

    For its own person, while the owner sets no project, and for the owner of the workspace.
    """
    teams.locked(by, workspace_id)
    is_owner = teams.seat(by, workspace_id).role == Role.OWNER
    key = _key(workspace_id, str(key_id), only=None if is_owner else by)
    if not is_owner and key.project and project is not None:
        raise AccessDisabled(gettext("For this one is owner of the workspace."))
    changed: dict[str, Any] = {}
    if project is not None:
        changed["project"] = _project(project, may_be_none=True)
    if has_pace:
        changed["requests_per_minute"] = pace
    if not is_owner and has_pace and _is_faster(pace, key.requests_per_minute):
        raise AccessDisabled(
            gettext("The owner of the workspace can allow more calls in a minute.")
        )
    before = {name: getattr(key, name) for name in changed}
    ApiKey.objects.filter(family=key.family).update(**changed)
    budgets.outdate(workspace_id)
    log.note(
        "key.limited",
        actor=by,
        subject=key.user_id,
        workspace=workspace_id,
        target=key.pk,
        before=before,
        after=changed,
    )
    key.refresh_from_db()
    return key


def _is_faster(asked: int | None, now: int | None) -> bool:
    return now is not None and (asked is None or asked > now)


def standing(workspace_id: UUID, *, by: UUID) -> list[Standing]:
    """Return the rules of a workspace and how each stands: one's own, to who is only a member."""
    mine = teams.seat(by, workspace_id)
    found = Membership.objects.filter(workspace_id=workspace_id)
    keys = ApiKey.objects.filter(workspace_id=workspace_id, revoked_at=None, run_id=None)
    if mine.role not in teams.SEES:
        found, keys = found.filter(user_id=by), keys.filter(user_id=by)
    owners = [budgets.workspaces(workspace_id)] if mine.role in teams.SEES else []
    owners += [Owner(EACH, str(workspace_id))] if mine.role in teams.SEES else []
    owners += [
        budgets.members(workspace_id, user) for user in found.values_list("user_id", flat=True)
    ]
    for family, name in keys.values_list("family", "project").distinct():
        owners.append(Owner("key", str(family)))
        owners += [budgets.project(workspace_id, name)] if name else []
    return allowances.standing(list(dict.fromkeys(owners)))


def _owner(workspace_id: UUID, kind: str, of: str) -> Owner:
    if kind in ("workspace", EACH):
        return Owner(kind, str(workspace_id))
    if kind == "project":
        return budgets.project(workspace_id, _project(of))
    if kind == "key":
        return Owner("key", str(_key(workspace_id, of).family))
    found = Membership.objects.filter(workspace_id=workspace_id, user_id=_id(of)).first()
    if found is None:
        raise NotFound(gettext("There is no such member."))
    return budgets.members(workspace_id, found.user_id)


def _under(workspace_id: UUID, owner: Owner) -> Sequence[Owner]:
    """Return whose budgets may follow a rule of this owner."""
    if owner.kind != EACH:
        return [owner]
    found = Membership.objects.filter(workspace_id=workspace_id)
    return [budgets.members(workspace_id, user) for user in found.values_list("user_id", flat=True)]


def _require_own(workspace_id: UUID, kind: str, of: str, period: str, by: UUID) -> None:
    """Raise AccessDisabled unless it is one's own key, with no limit of the workspace's.

    Whether somebody else is there, or has a key, is not looked at: another's is a NotFound.
    """
    own = _key(workspace_id, of, only=by) if kind == "key" else None
    if own is None or any(
        each.set_by != by
        for each in allowances.rules("key", str(own.family))
        if each.period == period
    ):
        raise AccessDisabled(gettext("The owner of the workspace sets this. You can ask for more."))


def _key(workspace_id: UUID, of: str, *, only: UUID | None = None) -> ApiKey:
    """Return a key of a workspace, or of one person of it; raise NotFound for any other."""
    found = ApiKey.objects.filter(workspace_id=workspace_id, pk=_id(of), run_id=None)
    key = (found if only is None else found.filter(user_id=only)).first()
    if key is None:
        raise NotFound(gettext("There is no such key."))
    return key


def _project(name: str, *, may_be_none: bool = False) -> str:
    name = " ".join(name.split())
    if len(name) > MOST_PROJECT or not (name or may_be_none):
        raise InvalidRequest(
            gettext("A project has a name of at most %(most)s characters.") % {"most": MOST_PROJECT}
        )
    return name


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(gettext("There is no such member or key.")) from None
