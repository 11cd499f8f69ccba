"""Teams on the wire, for who is signed in: no key changes who belongs to what.

Another's workspace is a 404, whatever is asked of it (teams.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import invitations, sessions, teams
from accounts.models import Membership, Workspace
from common.drf import SESSION, base_url, valid, workspace_id
from common.openapi import holding

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from accounts.models import Invitation, User

Role = Membership.Role


class WorkspaceName(serializers.Serializer[object]):
    """How a workspace is called."""

    name = serializers.CharField(max_length=teams.MOST_NAME)


class WorkspaceShown(WorkspaceName):
    """A workspace, and what one is in it."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(Workspace.Kind.choices)
    role = serializers.ChoiceField(Role.choices)
    allowed_vendors = serializers.ListField(child=serializers.CharField(), allow_null=True)
    current = serializers.BooleanField()


class Vendors(serializers.Serializer[object]):
    """What the keys of a workspace may call; null is everything."""

    allowed_vendors = serializers.ListField(
        child=serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,31}\Z"),
        allow_null=True,
        max_length=100,
    )


class WorkspacesView(APIView):
    """The workspaces that one belongs to."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "POST": SESSION}

    @extend_schema(
        operation_id="v1_workspaces_list",
        responses=holding("Workspaces", workspaces=WorkspaceShown(many=True)),
    )
    def get(self, request: Request) -> Response:
        """Return them, one's personal one first."""
        found = teams.of(person(request).pk)
        return Response({"workspaces": [shown(each, request) for each in found]})

    @extend_schema(request=WorkspaceName, responses={201: WorkspaceShown})
    def post(self, request: Request) -> Response:
        """Make a team, of which one is the owner."""
        made = teams.create(owner=person(request), name=valid(WorkspaceName, request)["name"])
        return Response(shown(teams.seat(person(request).pk, made.pk), request), 201)


class WorkspaceView(APIView):
    """One workspace."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "PATCH": SESSION}

    class Input(WorkspaceName, Vendors):
        """Only what is there is changed."""

    @extend_schema(responses=WorkspaceShown)
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - as the address has it
        """Return it."""
        return Response(shown(teams.seat(person(request).pk, id), request))

    @extend_schema(request=Input, responses=WorkspaceShown)
    def patch(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Change its name, or what its keys may call: that takes effect with the next call."""
        asked, by = valid(self.Input, request, partial=True), person(request).pk
        if "name" in asked:
            teams.rename(id, name=asked["name"], by=by)
        if "allowed_vendors" in asked:
            teams.allow_vendors(id, asked["allowed_vendors"], by=by)
        return Response(shown(teams.seat(by, id), request))


class SwitchView(APIView):
    """Which workspace one acts for."""

    scopes: ClassVar[dict[str, str]] = {"POST": SESSION}

    @extend_schema(request=None, responses=WorkspaceShown)
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Act for this one from now on, at this browser."""
        mine = teams.seat(person(request).pk, id)
        sessions.choose(request, id)
        return Response({**shown(mine, request), "current": True})


class MemberShown(serializers.Serializer[object]):
    """A member as the owner sees one."""

    user_id = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    is_active = serializers.BooleanField()
    joined_at = serializers.DateTimeField()


class InvitationShown(serializers.Serializer[object]):
    """An invitation, without its link."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class MembersView(APIView):
    """Who belongs to a workspace."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION}

    @extend_schema(responses=holding("Members", members=MemberShown(many=True)))
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Return everybody to the owner and to who pays, and to others themselves."""
        mine = teams.seat(person(request).pk, id)
        found = teams.members(id)
        if mine.role not in teams.SEES:
            found = found.filter(pk=mine.pk)
        return Response({"members": [told(each) for each in found]})


class MemberView(APIView):
    """One of them."""

    scopes: ClassVar[dict[str, str]] = {"PATCH": SESSION, "DELETE": SESSION}

    class Input(serializers.Serializer[object]):
        """What they are from now on."""

        role = serializers.ChoiceField(Role.choices)

    @extend_schema(request=Input, responses={204: None})
    def patch(self, request: Request, id: UUID, user: UUID) -> Response:  # noqa: A002
        """Give them another role."""
        role = Role(valid(self.Input, request)["role"])
        teams.set_role(id, user, role=role, by=person(request).pk)
        return Response(status=204)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, id: UUID, user: UUID) -> Response:  # noqa: A002
        """Remove them, or leave. All their keys here end at once."""
        teams.remove(id, user, by=person(request).pk)
        return Response(status=204)


class TransferView(APIView):
    """Who owns a team."""

    scopes: ClassVar[dict[str, str]] = {"POST": SESSION}

    class Input(serializers.Serializer[object]):
        """Whose it is from now on."""

        to = serializers.UUIDField()

    @extend_schema(request=Input, responses={204: None})
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Pass the ownership on to a member."""
        teams.transfer(id, to=valid(self.Input, request)["to"], by=person(request).pk)
        return Response(status=204)


class InvitationsView(APIView):
    """Who is invited."""

    scopes: ClassVar[dict[str, str]] = {"GET": SESSION, "POST": SESSION}

    class Input(serializers.Serializer[object]):
        """Whom, and as what."""

        email = serializers.CharField(max_length=254)
        role = serializers.ChoiceField(Role.choices, default=Role.MEMBER)

    @extend_schema(responses=holding("Invitations", invitations=InvitationShown(many=True)))
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Return the open invitations; their links were in the mails alone."""
        teams.seat(person(request).pk, id, *teams.SEES)
        return Response({"invitations": [invited(each) for each in invitations.pending(id)]})

    @extend_schema(request=Input, responses={201: InvitationShown})
    def post(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Invite an address, by mail."""
        asked = valid(self.Input, request)
        made = invitations.invite(
            id,
            email=asked["email"],
            role=Role(asked["role"]),
            by=person(request),
            base_url=base_url(request),
        )
        return Response(invited(made), 201)


class InvitationView(APIView):
    """One invitation."""

    scopes: ClassVar[dict[str, str]] = {"DELETE": SESSION}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, id: UUID, invitation: UUID) -> Response:  # noqa: A002
        """Withdraw it."""
        invitations.withdraw(id, invitation, by=person(request).pk)
        return Response(status=204)


class AcceptView(APIView):
    """An invitation to oneself."""

    scopes: ClassVar[dict[str, str]] = {"POST": SESSION}

    class Input(serializers.Serializer[object]):
        """What stands at the end of the link."""

        token = serializers.CharField(max_length=100)

    @extend_schema(request=Input, responses=WorkspaceShown)
    def post(self, request: Request) -> Response:
        """Join the team, and act for it from now on."""
        mine = invitations.accept(valid(self.Input, request)["token"], user=person(request))
        sessions.choose(request, mine.workspace_id)
        return Response({**shown(mine, request), "current": True})


def person(request: Request) -> User:
    """Return who is signed in."""
    found: Any = request.user
    return found  # type: ignore[no-any-return]


def shown(mine: Membership, request: Request) -> dict[str, Any]:
    """Return a workspace as one of its people sees it."""
    workspace = mine.workspace
    return {
        "id": str(workspace.pk),
        "name": workspace.name,
        "kind": workspace.kind,
        "role": mine.role,
        "allowed_vendors": workspace.allowed_vendors,
        "current": workspace.pk == workspace_id(request),
    }


def told(member: Membership) -> dict[str, Any]:
    """Return a member as the owner sees one."""
    return {
        "user_id": str(member.user_id),
        "email": member.user.email,
        "name": member.user.name,
        "role": member.role,
        "is_active": member.user.is_active,
        "joined_at": member.created_at,
    }


def invited(one: Invitation) -> dict[str, Any]:
    """Return an invitation, without its link."""
    return {
        "id": str(one.pk),
        "email": one.email,
        "role": one.role,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
    }
