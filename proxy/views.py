"""What a call's owner may ask afterwards: where its result is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import workspace_id
from common.errors import NotFound
from proxy.catalogue import Kind
from proxy.models import Asset, Job
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from proxy.catalogue import Route

STATUS = {"": "running", "delivered": "delivered"}


class CallResultView(APIView):
    """The result of a job whose client could not wait for it (a restart, a closed laptop)."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Output(serializers.Serializer[object]):
        """Where the result is, for as long as the vendor keeps it."""

        call_id = serializers.UUIDField()
        status = serializers.ChoiceField(["running", "delivered", "failed", "moderated", "expired"])
        urls = serializers.ListField(child=serializers.CharField())
        answer = serializers.JSONField(allow_null=True)
        ask = serializers.JSONField(allow_null=True)
        """Where the answer names no address: what to ask for them here, with a key."""
        kept_until = serializers.DateTimeField(allow_null=True)

    @extend_schema(responses=Output)
    def get(self, request: Request, call_id: UUID) -> Response:
        """Return how the job stands; its addresses and the vendor's words once it is paid for."""
        job = Job.objects.filter(pk=call_id, workspace_id=workspace_id(request)).first()
        if job is None:
            raise NotFound("There is no such call, or its result is no longer kept.")
        submit = catalogue().submit(job.vendor, job.operation)
        answer = _answer(job) if job.outcome == "delivered" else None
        kept = job.ended_at + timedelta(seconds=job.kept_seconds) if job.ended_at else None
        if kept is not None and kept < timezone.now():
            raise NotFound("The provider no longer keeps the result of this call.")
        return Response(
            {
                "call_id": job.pk,
                "status": STATUS.get(job.outcome, job.outcome),
                "urls": _urls(submit, answer),
                "answer": _as_polled(submit, answer),
                "ask": _ask(submit, job) if job.outcome == "delivered" else None,
                "kept_until": kept,
            }
        )


def _answer(job: Job) -> Any:
    try:
        return orjson.loads(bytes(job.said)) if job.said is not None else None
    except orjson.JSONDecodeError:
        return None


def _urls(submit: Route | None, answer: Any) -> list[str]:
    if submit is None or submit.operation.job is None or answer is None:
        return []
    return list(submit.operation.job.results(answer))


def _ask(submit: Route | None, job: Job) -> dict[str, Any] | None:
    """Return the question that gives the addresses, where the vendor's end of a job has none."""
    for each in submit.vendor.operations if submit is not None else ():
        if each.kind is not Kind.RESULT or each.names is None or each.names.where != "body":
            continue
        made = Asset.objects.filter(vendor=job.vendor, scope=each.scope, call_id=job.pk).first()
        if made is not None:
            body = {each.names.name: made.asset}
            return {"method": each.method, "path": f"/proxy/{each.path}", "body": body}
    return None


def _as_polled(submit: Route | None, answer: Any) -> Any:
    """Return what a poll would answer: nothing of the operator's account with the vendor."""
    if submit is None or submit.operation.job is None or answer is None:
        return None
    reply = submit.vendor.poll(submit.operation.job).reply
    return answer if reply is None else reply(answer)
