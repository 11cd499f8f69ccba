"""Allowances on the wire: who is signed in sets them, and asks for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import allowances, asks
from common.drf import SESSION, valid, workspace_id
from common.money import Micros
from common.openapi import holding
from credits.books.allowances import EACH
from credits.models import PERIODS

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from apikeys.models import Ask
    from credits.books.allowances import Standing

MOST_A_MINUTE = 100_000


class AllowanceShown(serializers.Serializer[object]):
    """A rule, and how its owner stands in the period that runs."""

    kind = serializers.ChoiceField(allowances.KINDS)
    of = serializers.CharField(help_text="a member, a project's name, a key's family; or empty")
    period = serializers.ChoiceField(PERIODS)
    limit_micro_usd = serializers.IntegerField()
    held_micro_usd = serializers.IntegerField()
    spent_micro_usd = serializers.IntegerField()
    left_micro_usd = serializers.IntegerField()
    resets_at = serializers.DateTimeField(allow_null=True)
    for_each_member = serializers.BooleanField()


ALLOWANCES = holding("Allowances", allowances=AllowanceShown(many=True))


class AskShown(serializers.Serializer[object]):
    """An ask for more."""

    id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    email = serializers.CharField()
    period = serializers.ChoiceField(PERIODS)
    limit_micro_usd = serializers.IntegerField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    granted = serializers.BooleanField(allow_null=True)


class AllowancesView(APIView):
    """How much may be spent in a workspace: in all, by project, by member, by key."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "PUT": SESSION}

    class Input(serializers.Serializer[object]):
        """A rule; without a limit there is none any more."""

        kind = serializers.ChoiceField(allowances.KINDS)
        of = serializers.CharField(max_length=100, allow_blank=True, default="")
        period = serializers.ChoiceField(PERIODS)
        limit_micro_usd = serializers.IntegerField(
            allow_null=True, min_value=0, max_value=allowances.MOST_MICROS
        )

    @extend_schema(responses=ALLOWANCES)
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - as the address has it
        """Return all rules; to who is only a member, those that they are under themselves."""
        found = allowances.standing(id, by=by_whom(request))
        return Response({"allowances": [shown(each) for each in found]})

    @extend_schema(request=Input, responses=ALLOWANCES)
    def put(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Set a rule, or take it away; it holds from the next call on."""
        asked, by = valid(self.Input, request), by_whom(request)
        limit = asked["limit_micro_usd"]
        allowances.set_rule(
            id,
            asked["kind"],
            asked["of"],
            asked["period"],
            None if limit is None else Micros(limit),
            by=by,
        )
        return Response({"allowances": [shown(each) for each in allowances.standing(id, by=by)]})


class KeyLimitsView(APIView):
    """What a key is for, and how fast it may call."""

    scopes: ClassVar[dict[str, str]] = {"PUT": SESSION}

    class Input(serializers.Serializer[object]):
        """Only what is there is changed; an empty project is none, null is no pace of its own."""

        project = serializers.CharField(
            max_length=allowances.MOST_PROJECT, allow_blank=True, required=False
        )
        requests_per_minute = serializers.IntegerField(
            allow_null=True, min_value=1, max_value=MOST_A_MINUTE, required=False
        )

    @extend_schema(request=Input, responses=Input)
    def put(self, request: Request, key_id: UUID) -> Response:
        """Change it; it holds for all rotations of the key, from the next call on."""
        asked = valid(self.Input, request)
        key = allowances.set_key(
            workspace_id(request),
            key_id,
            by=by_whom(request),
            project=asked.get("project"),
            pace=asked.get("requests_per_minute"),
            has_pace="requests_per_minute" in asked,
        )
        return Response({"project": key.project, "requests_per_minute": key.requests_per_minute})


class AsksView(APIView):
    """Asking the owner for more."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "POST": SESSION}

    class Input(serializers.Serializer[object]):
        """How much, for which period, and why."""

        period = serializers.ChoiceField(PERIODS)
        limit_micro_usd = serializers.IntegerField(min_value=1, max_value=allowances.MOST_MICROS)
        note = serializers.CharField(max_length=asks.MOST_NOTE, allow_blank=True, default="")

    @extend_schema(responses=holding("Asks", asks=AskShown(many=True)))
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Return the open asks to the owner, and to others their own."""
        found = asks.waiting(id, by=by_whom(request))
        return Response({"asks": [told(each) for each in found]})

    @extend_schema(request=Input, responses={201: AskShown})
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Ask; the owner reads of it by mail."""
        asked = valid(self.Input, request)
        made = asks.ask(
            id,
            period=asked["period"],
            limit=Micros(asked["limit_micro_usd"]),
            note=asked["note"],
            by=by_whom(request),
        )
        return Response(told(made), 201)


class AnswerView(APIView):
    """The owner's answer."""

    scopes: ClassVar[dict[str, str]] = {"POST": SESSION}

    class Input(serializers.Serializer[object]):
        """Yes or no."""

        granted = serializers.BooleanField()

    @extend_schema(request=Input, responses=AskShown)
    def post(self, request: Request, id: UUID, ask: UUID) -> Response:  # noqa: A002
        """Allow what was asked for, or do not; the member reads of it by mail."""
        granted = valid(self.Input, request)["granted"]
        return Response(told(asks.answer(id, ask, granted=granted, by=by_whom(request))))


def by_whom(request: Request) -> UUID:
    """Return who is signed in."""
    user: Any = request.user
    return user.pk  # type: ignore[no-any-return]


def shown(one: Standing) -> dict[str, Any]:
    """Return a rule as it is told."""
    _, _, inside = one.owner.partition("/")
    return {
        "kind": one.kind,
        "of": one.owner if one.kind == "key" else inside,
        "period": one.period,
        "limit_micro_usd": one.limit,
        "held_micro_usd": one.held,
        "spent_micro_usd": one.spent,
        "left_micro_usd": one.left,
        "resets_at": one.resets_at,
        "for_each_member": one.of_group or one.kind == EACH,
    }


def told(one: Ask) -> dict[str, Any]:
    """Return an ask as it is told."""
    return {
        "id": str(one.pk),
        "user_id": str(one.user_id),
        "email": one.user.email,
        "period": one.period,
        "limit_micro_usd": one.limit_micros,
        "note": one.note,
        "created_at": one.created_at,
        "granted": one.granted,
    }
