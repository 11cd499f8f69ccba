"""Privacy on the wire, for who is signed in: no key deletes its person, or takes what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import SESSION, base_url, valid
from common.errors import NotFound
from privacy import deletion, exports
from privacy.models import Deletion, Export

if TYPE_CHECKING:
    from rest_framework.request import Request


class DeletionAsked(serializers.Serializer[object]):
    """What one says when one goes."""

    gives_up_credits = serializers.BooleanField(default=False)


class DeletionShown(serializers.Serializer[object]):
    """How one's deletion stands."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(Deletion.State.choices)
    asked_at = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField()
    gives_up_credits = serializers.BooleanField(source="gives_up")
    blocked = serializers.DictField(child=serializers.CharField())


class ArchiveShown(serializers.Serializer[object]):
    """An archive of all that is known of one; it is taken at the page, by who signs in again."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(Export.State.choices)
    size_bytes = serializers.IntegerField()
    asked_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class Archives(serializers.Serializer[object]):
    """Those that are made, or can be taken."""

    archives = ArchiveShown(many=True)


class DeletionView(APIView):
    """One's own deletion: asked for, and confirmed by the link in a mail."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "POST": SESSION, "DELETE": SESSION}

    @extend_schema(responses=DeletionShown)
    def get(self, request: Request) -> Response:
        """Return how it stands, and what is in the way."""
        return Response(_shown(_mine(request)))

    @extend_schema(request=DeletionAsked, responses={202: DeletionShown})
    def post(self, request: Request) -> Response:
        """Ask for it: a mail asks whether it was you. Again: another mail, five times at most."""
        asked = valid(DeletionAsked, request)
        made = deletion.ask(
            request.user,  # type: ignore[arg-type]  # Who is signed in.
            base_url=base_url(request),
            gives_up=asked["gives_up_credits"],
        )
        return Response(_shown(made), status=202)

    @extend_schema(responses={200: DeletionShown})
    def delete(self, request: Request) -> Response:
        """Stay after all."""
        return Response(_shown(deletion.cancel(_mine(request).pk)))


class ArchivesView(APIView):
    """Archives of all that is known of one."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "POST": SESSION}

    @extend_schema(responses=Archives)
    def get(self, request: Request) -> Response:
        """Return those that are made, or can be taken."""
        found = ArchiveShown(exports.of(_who(request)), many=True).data
        return Response({"archives": found})

    @extend_schema(request=None, responses={202: ArchiveShown})
    def post(self, request: Request) -> Response:
        """Have one be made; a mail says when it is ready."""
        made = exports.ask(_who(request), base_url=base_url(request))
        return Response(ArchiveShown(made).data, status=202)


def _who(request: Request) -> Any:
    return request.user.pk


def _mine(request: Request) -> Deletion:
    found = deletion.of(_who(request))
    if found is None:
        raise NotFound("You have not asked to be deleted.")
    return found


def _shown(found: Deletion) -> dict[str, Any]:
    found.blocked = deletion.in_the_way(found)
    return dict(DeletionShown(found).data)
