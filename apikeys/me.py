"""`GET /v1/me`: who a credential speaks for, what there is, and each limit with its rest."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import connection
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import workspaces
from apikeys import budgets, paces
from apikeys.limit_views import shown
from apikeys.models import ApiKey
from common.drf import workspace_id
from credits.books import allowances, limits, wallets
from credits.models import LARGE_MICROS

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from rest_framework.request import Request

    from credits.books.limits import Slots


class SelfView(APIView):
    """What a program can know of its own key, before it calls."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return it, as of now; amounts are millionths of a dollar."""
        user: Any = request.user
        key = request.auth if isinstance(request.auth, ApiKey) else None
        where = workspace_id(request)
        here, money = workspaces.seen_by(user.pk, where), wallets.balance(where)
        return Response(
            {
                "user": {"id": str(user.pk), "email": user.email, "name": user.name},
                "workspace": {
                    "id": str(here.id),
                    "name": here.name,
                    "kind": here.kind,
                    "role": here.role,
                    "allowed_vendors": here.allowed_vendors,
                },
                "credential": None if key is None else credential(key),
                "balance_micro_usd": money.balance,
                "held_micro_usd": money.held,
                "available_micro_usd": money.available,
                "limits": under(key, user_id=user.pk, where=where),
            }
        )


def credential(key: ApiKey) -> dict[str, Any]:
    """Return what a key is, and may."""
    return {
        "type": "api_key",
        "id": str(key.pk),
        "name": key.name,
        "key_prefix": key.prefix,
        "project": key.project,
        "scopes": key.scopes,
        "allowed_vendors": key.allowed_vendors,
        "expires_at": key.expires_at,
    }


def under(key: ApiKey | None, *, user_id: UUID, where: UUID) -> dict[str, Any]:
    """Return each limit that one's calls are under, what is left of it, and when it resets."""
    usual, large = limits.slots_of(where)
    of_member = [budgets.workspaces(where), budgets.members(where, user_id)]
    owners = of_member if key is None else budgets.of_key(key)
    return {
        "concurrency": slots(usual),
        "concurrency_of_large_calls": {
            **slots(large),
            "from_micro_usd": LARGE_MICROS,
        },
        "per_call_micro_usd": None if key is None else key.call_limit_micros,
        "requests_per_minute": None if key is None else pace(key),
        "allowances": [shown(each) for each in allowances.standing(owners)],
    }


def slots(some: Slots) -> dict[str, int | None]:
    """Return how many calls may run at once, and do; null is any number."""
    return {"limit": some.most, "current": some.open, "remaining": some.left}


def pace(key: ApiKey) -> dict[str, Any] | None:
    """Return how many calls a key may begin in this minute; what a process has taken is gone."""
    most = key.requests_per_minute or settings.REQUESTS_PER_MINUTE
    if not most:
        return None
    with connection.cursor() as cursor:
        cursor.execute(paces.LEFT, [key.family])
        taken, resets_at = cursor.fetchone() or (0, next_minute())
    return {"limit": most, "remaining": max(most - taken, 0), "resets_at": resets_at}


def next_minute() -> datetime:
    """Return when a minute begins anew."""
    return timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
