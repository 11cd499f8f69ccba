"""Workflows by name, for the dialects that have an id in their addresses: `/v1/workflows`.

A version is pinned: what runs under its number never changes. The newest one is what runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import base_url, valid, workspace_id
from common.openapi import holding
from runs import workflows
from runs.faces import asking

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from runs.models import Workflow, WorkflowVersion


class _Changes(serializers.Serializer[object]):
    """What may be changed without a new version."""

    name = serializers.CharField(max_length=workflows.MOST_NAME, required=False)
    accelerator = serializers.CharField(max_length=32, allow_blank=True, required=False)
    max_credits = serializers.IntegerField(
        min_value=1, max_value=asking.MOST_CREDITS, allow_null=True, required=False
    )


class _Given(_Changes):
    """A new workflow; its graph is its first version."""

    name = serializers.CharField(max_length=workflows.MOST_NAME)
    prompt = serializers.JSONField()


class _Graph(serializers.Serializer[object]):
    """Another graph for it."""

    prompt = serializers.JSONField()


class _Shown(serializers.Serializer[object]):
    """A workflow without its graph."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    accelerator = serializers.CharField(allow_null=True)
    max_credits = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    runs_url = serializers.URLField()


class _Whole(_Shown):
    """The same with the graph that runs."""

    version = serializers.IntegerField()
    prompt = serializers.JSONField()
    form = serializers.JSONField(help_text="Inputs that one may want to change, by node")


class _Pinned(serializers.Serializer[object]):
    """A version without its graph."""

    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class _Version(_Pinned):
    """The same with its graph."""

    prompt = serializers.JSONField()
    form = serializers.JSONField()


REFUSED: Final = OpenApiResponse(
    OpenApiTypes.OBJECT, "No graph in API format, or one that nothing could run."
)


class WorkflowsView(APIView):
    """List the workflows of a workspace; keep one more."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE, "POST": asking.SCOPE}
    Input = _Given

    @extend_schema(
        operation_id="v1_workflows_list",
        responses=holding("Workflows", workflows=_Shown(many=True)),
    )
    def get(self, request: Request) -> Response:
        """Return them by name, without their graphs."""
        found = workflows.all_of(workspace_id(request))
        return Response({"workflows": [_shown(request, each) for each in found]})

    @extend_schema(request=_Given, responses={201: _Whole, 422: REFUSED})
    def post(self, request: Request) -> Response:
        """Keep a workflow in API format under a name; one that was saved for the page is refused.

        `max_credits` and `accelerator` are what its runs have unless they say otherwise.
        """
        asked = valid(self.Input, request)
        made = workflows.make(
            workspace_id(request),
            name=asked["name"],
            graph=asked["prompt"],
            accelerator=asked.get("accelerator", ""),
            max_micros=asking.micros(asked.get("max_credits")),
            by=_who(request),
        )
        return Response(_whole(request, made), 201)


class WorkflowView(APIView):
    """One workflow."""

    scopes: ClassVar[dict[str, str]] = {
        "GET": asking.SCOPE,
        "PATCH": asking.SCOPE,
        "DELETE": asking.SCOPE,
    }
    Input = _Changes

    @extend_schema(responses=_Whole)
    def get(self, request: Request, workflow_id: UUID) -> Response:
        """Return it with the graph that runs, its form, and the number of that version."""
        return Response(_whole(request, workflows.one(workspace_id(request), workflow_id)))

    @extend_schema(request=_Changes, responses=_Whole)
    def patch(self, request: Request, workflow_id: UUID) -> Response:
        """Change its name or its defaults; only what is there is changed."""
        found = workflows.one(workspace_id(request), workflow_id)
        asked = valid(self.Input, request)
        more: dict[str, Any] = {}
        if "max_credits" in asked:
            more["max_micros"] = asking.micros(asked["max_credits"])
        changed = workflows.change(
            found,
            name=asked.get("name"),
            accelerator=asked.get("accelerator"),
            by=_who(request),
            **more,
        )
        return Response(_whole(request, changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, workflow_id: UUID) -> Response:
        """Take it away; what ran of it stays."""
        workflows.remove(workflows.one(workspace_id(request), workflow_id), by=_who(request))
        return Response(status=204)


class VersionsView(APIView):
    """The versions of a workflow."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE, "POST": asking.SCOPE}
    Input = _Graph

    @extend_schema(
        operation_id="v1_workflows_versions_list",
        responses=holding("Versions", versions=_Pinned(many=True)),
    )
    def get(self, request: Request, workflow_id: UUID) -> Response:
        """Return them, the newest first."""
        found = workflows.one(workspace_id(request), workflow_id)
        return Response({"versions": [_pinned(each) for each in workflows.versions(found)]})

    @extend_schema(request=_Graph, responses={201: _Version, 422: REFUSED})
    def post(self, request: Request, workflow_id: UUID) -> Response:
        """Have another graph be what runs from now on."""
        found = workflows.one(workspace_id(request), workflow_id)
        made = workflows.give_version(found, valid(self.Input, request)["prompt"], by=_who(request))
        return Response({**_pinned(made), "prompt": made.graph, "form": made.form}, 201)


class VersionView(APIView):
    """One version of a workflow."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    @extend_schema(responses=_Version)
    def get(self, request: Request, workflow_id: UUID, number: str) -> Response:
        """Return its graph and its form."""
        found = workflows.one(workspace_id(request), workflow_id)
        kept = workflows.version(found, number)
        return Response({**_pinned(kept), "prompt": kept.graph, "form": kept.form})


def _shown(request: Request, workflow: Workflow) -> dict[str, Any]:
    return {
        "id": str(workflow.pk),
        "name": workflow.name,
        "accelerator": workflow.accelerator or None,
        "max_credits": asking.whole_credits(workflow.max_micros),
        "created_at": workflow.created_at.isoformat(),
        "runs_url": f"{base_url(request)}/api/v1/workflows/{workflow.pk}/runs",
    }


def _whole(request: Request, workflow: Workflow) -> dict[str, Any]:
    newest = workflows.newest(workflow)
    return {
        **_shown(request, workflow),
        "version": newest.number,
        "prompt": newest.graph,
        "form": newest.form,
    }


def _pinned(version: WorkflowVersion) -> dict[str, Any]:
    return {"version": version.number, "created_at": version.created_at.isoformat()}


def _who(request: Request) -> UUID:
    found: UUID = request.user.pk  # type: ignore[assignment]
    return found
