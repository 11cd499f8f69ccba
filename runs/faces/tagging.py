"""What a run is for, said afterwards: `PATCH /v1/runs/{id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import only, valid, workspace_id
from runs import projects
from runs.faces.preferring import MANAGE

if TYPE_CHECKING:
    from rest_framework.request import Request


class TaggingView(APIView):
    """A press of Run, by its `Comfy-Job-Id`, or a run on a machine, by its id."""

    scopes: ClassVar[dict[str, str]] = {"PATCH": MANAGE}

    class Input(serializers.Serializer[object]):
        """What may be changed of a run that was."""

        project = serializers.CharField(
            max_length=projects.MOST,
            allow_blank=True,
            required=False,
            help_text="Its name; empty: of none",
        )

    class Output(serializers.Serializer[object]):
        """The run as it is now."""

        id = serializers.CharField()
        project = serializers.CharField()

    @extend_schema(operation_id="run_change", request=Input, responses=Output)
    def patch(self, request: Request, run_id: str) -> Response:
        """Have it be of a project: its calls and all sums of them follow, those of old days, too.

        Who sees only what is their own changes their own runs. Limits are not judged anew.
        """
        name = projects.give(
            workspace_id(request),
            run_id,
            valid(self.Input, request).get("project"),
            by=request.user.pk,
            user_id=only(request),
        )
        return Response({"id": run_id, "project": name})
