"""What a workspace prefers for all of its runs: `/v1/run-preferences`.

Every member of it may read that, for it holds for their runs; who sees all of it may change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import require_all, valid, workspace_id
from runs import preferences
from runs.faces import asking

if TYPE_CHECKING:
    from rest_framework.request import Request

    from runs.preferences import Preferred

MANAGE: Final = "keys:manage"


class _Wishes(serializers.Serializer[object]):
    """Only what is there is changed; null is as the platform has it."""

    keep_days = serializers.IntegerField(
        min_value=1,
        allow_null=True,
        required=False,
        help_text="For how long files and workflows are kept, from a run's end on",
    )
    max_credits = serializers.IntegerField(
        min_value=1,
        max_value=asking.MOST_CREDITS,
        allow_null=True,
        required=False,
        help_text="The most that a run may cost, unless it or its workflow says",
    )
    accelerator = serializers.CharField(
        max_length=32, allow_null=True, allow_blank=True, required=False
    )
    drop_workflows = serializers.BooleanField(
        required=False, help_text="Whether a run's workflow is forgotten the moment it ends"
    )
    keep_workflows_in_files = serializers.BooleanField(
        required=False,
        help_text="Whether a forgotten one stays in the files that it made",
    )


class _Preferred(_Wishes):
    """All of it, with the platform's own days."""

    usual_keep_days = serializers.IntegerField()
    most_keep_days = serializers.IntegerField()


class PreferencesView(APIView):
    """What holds for all runs of a workspace."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE, "PATCH": MANAGE}
    Input = _Wishes

    @extend_schema(responses=_Preferred)
    def get(self, request: Request) -> Response:
        """Return what the workspace prefers; null is as the platform has it."""
        return Response(_shown(preferences.of(workspace_id(request))))

    @extend_schema(request=_Wishes, responses=_Preferred)
    def patch(self, request: Request) -> Response:
        """Have it prefer that from now on: for what ends, or is handed over, from then on."""
        require_all(request)
        asked = valid(self.Input, request)
        wanted: dict[str, Any] = {}
        if "keep_days" in asked:
            wanted["keep_days"] = asked["keep_days"]
        if "max_credits" in asked:
            wanted["max_micros"] = asking.micros(asked["max_credits"])
        if "accelerator" in asked:
            wanted["accelerator"] = asked["accelerator"] or ""
        if "drop_workflows" in asked:
            wanted["drops_workflows"] = asked["drop_workflows"]
        if "keep_workflows_in_files" in asked:
            wanted["leaves_in_files"] = asked["keep_workflows_in_files"]
        by = request.user.pk
        assert by is not None, "who may change it is somebody"
        return Response(_shown(preferences.change(workspace_id(request), wanted, by=by)))


def _shown(preferred: Preferred) -> dict[str, Any]:
    return {
        "keep_days": preferred.keep_days,
        "max_credits": asking.whole_credits(preferred.max_micros),
        "accelerator": preferred.accelerator or None,
        "drop_workflows": preferred.drops_workflows,
        "keep_workflows_in_files": preferred.leaves_in_files,
        "usual_keep_days": settings.RUNS_KEEP_DAYS,
        "most_keep_days": preferences.most_days(),
    }
