"""A workspace, as one of its people sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.models import Membership, Workspace

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Seen:
    """What it is, and what one is in it."""

    id: UUID
    name: str
    kind: Workspace.Kind
    role: Membership.Role
    allowed_vendors: list[str] | None


def seen_by(user_id: UUID, workspace_id: UUID) -> Seen:
    """Return a workspace and the user's role; who left it meanwhile is a member."""
    workspace = Workspace.objects.get(pk=workspace_id)
    roles = Membership.objects.filter(workspace=workspace, user=user_id)
    role = roles.values_list("role", flat=True).first()
    return Seen(
        id=workspace.pk,
        name=workspace.name,
        kind=Workspace.Kind(workspace.kind),
        role=Membership.Role(role or Membership.Role.MEMBER),
        allowed_vendors=workspace.allowed_vendors,
    )
