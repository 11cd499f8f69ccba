"""The operator's machines, for the operator's own programs: `/admin/workers`.

What `manage.py worker` and the page *Machines* do, by the same functions. A token is written, and
never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import valid
from common.errors import NotFound
from common.operators import HasAdminSecret, known_as
from runs import graph, standing, workers

if TYPE_CHECKING:
    from rest_framework.request import Request

    from runs.standing import Standing

MOST_IN_A_LIST: Final = 1000


def _names(longest: int) -> serializers.ListField:
    each = serializers.CharField(max_length=longest)
    return serializers.ListField(child=each, max_length=MOST_IN_A_LIST, required=False)


class _Reason(serializers.Serializer[object]):
    """Why: it stands in the log of what staff and programs did."""

    reason = serializers.CharField(max_length=300)


class _Machine(_Reason):
    """What an operator says of a machine; prices are micros of a dollar."""

    name = serializers.CharField(max_length=60)
    base_url = serializers.CharField(max_length=300)
    token = serializers.CharField(max_length=400, default="", allow_blank=True)
    user = serializers.CharField(max_length=workers.MOST_USER, default="", allow_blank=True)
    accelerator = serializers.CharField(max_length=32)
    slots = serializers.IntegerField(min_value=1, max_value=workers.MOST_SLOTS, default=1)
    dialect = serializers.ChoiceField(["native", "v2"], default="native")
    nodes = serializers.DictField(
        required=False, help_text="Of v2: what its ComfyUI answers at /object_info"
    )
    micros_per_second = serializers.IntegerField(min_value=0, max_value=workers.MOST_MICROS)
    minimum_micros = serializers.IntegerField(min_value=0, max_value=workers.MOST_MICROS, default=0)
    micros_per_output = serializers.IntegerField(
        min_value=0, max_value=workers.MOST_MICROS, default=0
    )
    reserved_for = serializers.ListField(
        child=serializers.UUIDField(), max_length=MOST_IN_A_LIST, required=False
    )
    allowed_classes = _names(graph.MOST_CLASS)
    denied_classes = _names(graph.MOST_CLASS)
    shared_inputs = _names(graph.MOST_CLASS)
    keep_files = serializers.BooleanField(default=False)


class _Nodes(_Reason):
    """Of a machine of the dialect v2."""

    nodes = serializers.DictField(help_text="What its ComfyUI answers at /object_info")


class _View(APIView):
    authentication_classes = ()
    permission_classes = (HasAdminSecret,)


class MachinesView(_View):
    """List the machines; register one."""

    @extend_schema(operation_id="admin_workers", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return all that are not removed, with how each stands and what it earned."""
        return Response({"workers": [_shown(each) for each in standing.machines()]})

    @extend_schema(
        operation_id="admin_worker_add", request=_Machine, responses={201: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        """Register one: it gets runs once it was seen to be up."""
        asked = valid(_Machine, request)
        lists = ("reserved_for", "allowed_classes", "denied_classes", "shared_inputs")
        same = (
            "base_url", "user", "accelerator", "slots", "dialect", "micros_per_second",
            "minimum_micros", "micros_per_output",
        )  # fmt: skip
        said: dict[str, Any] = {name: asked[name] for name in same}
        said |= {name: tuple(asked[name]) for name in lists if name in asked}
        terms = workers.Terms(scrubs=not asked["keep_files"], **said)
        made = workers.add(
            asked["name"],
            terms,
            token=asked["token"],
            nodes=asked.get("nodes"),
            by=None,
            reason=asked["reason"],
            program=known_as(request),
        )
        return Response(_one(made.name), 201)


class MachineView(_View):
    """One machine."""

    @extend_schema(operation_id="admin_worker", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, name: str) -> Response:
        """Return how it stands."""
        return Response(_one(name))

    @extend_schema(operation_id="admin_worker_remove", request=_Reason, responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Remove it for good: what runs there is lost to it, and runs elsewhere."""
        why = valid(_Reason, request)["reason"]
        workers.remove(name, by=None, reason=why, program=known_as(request))
        return Response(status=204)


class MachineNodesView(_View):
    """What one of the dialect v2 has of nodes by now."""

    @extend_schema(
        operation_id="admin_worker_nodes", request=_Nodes, responses={200: OpenApiTypes.OBJECT}
    )
    def put(self, request: Request, name: str) -> Response:
        """Note what its ComfyUI answers at /object_info: its proxy does not tell."""
        asked = valid(_Nodes, request)
        workers.hand_over_nodes(
            name, asked["nodes"], by=None, reason=asked["reason"], program=known_as(request)
        )
        return Response(_one(name))


class MachineDrainView(_View):
    """No new runs."""

    @extend_schema(
        operation_id="admin_worker_drain", request=_Reason, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request, name: str) -> Response:
        """Give it no new runs; those that are there end there. Again is fine."""
        why = valid(_Reason, request)["reason"]
        workers.drain(name, by=None, reason=why, program=known_as(request))
        return Response(_one(name))


class MachineBackView(_View):
    """New runs again."""

    @extend_schema(
        operation_id="admin_worker_back", request=_Reason, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request, name: str) -> Response:
        """Give a drained one runs again."""
        why = valid(_Reason, request)["reason"]
        workers.take_back(name, by=None, reason=why, program=known_as(request))
        return Response(_one(name))


def _one(name: str) -> dict[str, Any]:
    found = workers.find(name)
    for each in standing.machines():
        if each.worker.pk == found.pk:
            return _shown(each)
    raise NotFound(f"There is no worker {name!r}.")  # It was removed meanwhile.


def _shown(found: Standing) -> dict[str, Any]:
    worker = found.worker
    told = (
        "name", "base_url", "dialect", "accelerator", "slots", "micros_per_second",
        "minimum_micros", "micros_per_output", "allowed_classes", "denied_classes",
        "shared_inputs", "error", "version",
    )  # fmt: skip
    return {
        **{each: getattr(worker, each) for each in told},
        "reserved_for": [str(each) for each in worker.reserved_for],
        "state": found.state,
        "seen_at": worker.seen_at.isoformat() if worker.seen_at else None,
        "keep_files": not worker.scrubs,
        "to_wipe": found.to_wipe,
        "classes": found.classes,
        "at_work": found.at_work,
        "runs_of_a_day": found.runs_of_a_day,
        "earned_of_a_day_micros": found.earned_of_a_day,
        "earned_micros": found.earned,
    }
