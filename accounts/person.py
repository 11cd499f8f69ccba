"""What people say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext

from accounts.models import User
from audit import log
from common.errors import InvalidRequest

if TYPE_CHECKING:
    from uuid import UUID

MOST_NAME = 100


@transaction.atomic
def rename(user_id: UUID, name: str) -> None:
    """Have somebody be called that; empty, they are called by their address."""
    name = " ".join(name.split())
    if len(name) > MOST_NAME:
        raise InvalidRequest(
            gettext("A name has at most %(most)s characters.") % {"most": MOST_NAME}
        )
    User.objects.filter(pk=user_id).update(name=name)
    log.note("name.changed", actor=user_id, subject=user_id)
