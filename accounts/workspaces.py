"""A workspace, as one of its people sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.models import Membership, Workspace

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Seen:
    """What it is, and what one is in it."""

    id: UUID
    name: str
    kind: Workspace.Kind
    role: Membership.Role
    allowed_vendors: list[str] | None
    created_at: datetime
    joined_at: datetime


def seen_by(user_id: UUID, workspace_id: UUID) -> Seen:
    """Return a workspace and the user's role; who left it meanwhile is a member."""
    workspace = Workspace.objects.get(pk=workspace_id)
    place = Membership.objects.filter(workspace=workspace, user=user_id).first()
    return Seen(
        id=workspace.pk,
        name=workspace.name,
        kind=Workspace.Kind(workspace.kind),
        role=Membership.Role(place.role if place else Membership.Role.MEMBER),
        allowed_vendors=workspace.allowed_vendors,
        created_at=workspace.created_at,
        joined_at=place.created_at if place else workspace.created_at,
    )
