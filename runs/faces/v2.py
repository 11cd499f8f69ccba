"""Comfy API v2: `/api/v2/jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

from common.errors import InvalidRequest, InvalidWorkflow, NotFound, PlatformError
from runs import core
from runs.faces import asking, jobs, placing, streams
from runs.models import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from rest_framework.request import Request

    from runs.models import Run

FACE: Final = "v2"
MOST_METADATA: Final = 16
MOST_VALUE: Final = 512
MOST_LISTED: Final = 100
RESERVED: Final = ("webhook_url", "inputs")
STATES: Final = {
    "queued": (State.QUEUED, State.STAGING),
    "running": (State.RUNNING, State.COLLECTING),
    "canceling": (State.STAGING, State.CANCELING, State.COLLECTING),
    "succeeded": (State.SUCCEEDED,),
    "failed": (State.FAILED,),
    "canceled": (State.CANCELED,),
    "expired": (State.EXPIRED,),
}
UNDER_WAY: Final = ("queued", "running", "canceling")
"""One that was called off is `canceling` wherever it is (jobs.status)."""


class MetadataInvalid(PlatformError):
    """What a client notes beside its job is not of the form that it may have."""

    code = "metadata_invalid"
    status = 422


class InvalidCursor(PlatformError):
    """A page's mark that is none of this workspace's."""

    code = "invalid_cursor"
    status = 422


class InvalidMetadataFilter(PlatformError):
    """A filter that is none."""

    code = "invalid_metadata_filter"
    status = 422


class V2(asking.Face):
    """A view in this dialect."""

    def refusal(self, exc: PlatformError, *, status: int | None = None) -> tuple[int, Any]:
        """Return `{"error": {"code", "message", "details"}}`."""
        details = dict(getattr(exc, "details", {}))
        if getattr(exc, "node_errors", None):
            details["node_errors"] = exc.node_errors  # type: ignore[attr-defined]
        code, at = asking.word(exc, status), status or exc.status
        if code == "no_worker":
            code, at = "deployment_not_ready", 429
        if at == 403:
            details["reason"] = exc.code
        return at, {"error": {"code": code, "message": str(exc), "details": details}}


class JobsView(V2):
    """Hand over a job; list one's own."""

    def post(self, request: Request) -> Response:
        """Take a job: it is queued, and its first amount is held."""
        given = asking.sent(request)
        for name in RESERVED:
            if name in given:
                raise InvalidWorkflow(f"{name}: this name is reserved, and not taken yet.")
        extra = given.get("extra_data")
        if extra is not None and (not isinstance(extra, dict) or set(extra) - {asking.KEY_NAME}):
            raise InvalidRequest(f"extra_data: only {asking.KEY_NAME}.")
        asking.own_key(request, (extra or {}).get(asking.KEY_NAME))
        if not isinstance(given.get("workflow"), dict):
            raise InvalidWorkflow("workflow: a workflow in API format, a JSON object.")
        who = asking.by(request)
        workflow, files = placing.placed(who.workspace_id, given["workflow"])
        run = core.submit(
            who,
            core.Ask(
                graph=workflow,
                files=files,
                metadata=_metadata(given.get("metadata")),
                accelerator=asking.text(given, "accelerator", longest=32),
                max_micros=asking.most(request, given),
                idempotency_key=request.headers.get("Idempotency-Key"),
                face=FACE,
            ),
        )
        return _answer(request, run, 201)

    def get(self, request: Request) -> Response:
        """Return a page of one's jobs, the newest first."""
        asked, workspace = request.query_params, asking.by(request).workspace_id
        limit = asking.count(asked.get("limit", "50"), "limit", most=MOST_LISTED)
        status = asked.get("status", "")
        if status and status not in STATES:
            raise InvalidRequest(f"status: one of {', '.join(STATES)}.")
        before = None
        if cursor := asked.get("cursor"):
            try:
                before = core.get(workspace, cursor)
            except NotFound:
                raise InvalidCursor("cursor: the `next_cursor` of a page before.") from None
        found = core.list_runs(
            workspace,
            states=STATES.get(status, ()),
            is_ending=status == State.CANCELING if status in UNDER_WAY else None,
            before=before,
            metadata=_filter(asked),
            limit=limit + 1,
        )
        page = found[:limit]
        body: dict[str, Any] = {"jobs": [jobs.short(run) for run in page]}
        if len(found) > len(page):
            body["next_cursor"] = str(page[-1].pk)
        return Response(body)


class JobView(V2):
    """One job."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, run_id: UUID) -> Response:
        """Return how it is."""
        return _answer(request, _own(request, run_id))


class WorkflowView(V2):
    """What was asked to be run."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, run_id: UUID) -> Response:
        """Return its graph as it was sent."""
        run = _own(request, run_id)
        if run.graph is None:
            raise NotFound("The workflow of this run is not kept any more.")
        return Response({"workflow": run.graph, "format": "api"}, headers=_named(run))


class OutputsView(V2):
    """What a job made."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, run_id: UUID) -> Response:
        """Return its files, each with an address for an hour."""
        run = _own(request, run_id)
        return Response({"outputs": jobs.outputs(request, run)}, headers=_named(run))


class CancelView(V2):
    """The end of a job before its time."""

    scopes: ClassVar[dict[str, str]] = {"POST": asking.SCOPE}

    def post(self, request: Request, run_id: UUID) -> Response:
        """Have it end; what waits ends at once. Again is fine."""
        who = asking.by(request)
        return _answer(request, core.cancel(who.workspace_id, run_id, by=who.user_id))


class EventStream(BaseRenderer):
    """What a client of events says that it takes; only refusals are rendered by it, as JSON."""

    media_type = "text/event-stream"
    format = "sse"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return JSON."""
        return JSONRenderer().render(data) or b""


class EventsView(V2):
    """What happens to a job, as it happens."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}
    renderer_classes = (JSONRenderer, EventStream)

    def get(self, request: Request, run_id: UUID) -> StreamingHttpResponse:
        """Send frames until the job has ended; the last one says so."""
        run, who = _own(request, run_id), asking.by(request)
        place = streams.take(who.name)
        return StreamingHttpResponse(
            streams.frames(request, run, place),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **_named(run)},
        )


def _own(request: Request, run_id: UUID) -> Run:
    return core.get(asking.by(request).workspace_id, run_id)


def _named(run: Run) -> dict[str, str]:
    return {"Run-Id": run.name}


def _answer(request: Request, run: Run, status: int = 200) -> Response:
    return Response(jobs.job(request, run), status, headers=_named(run))


def _metadata(given: object) -> dict[str, str]:
    if given is None:
        return {}
    pairs = list(given.items()) if isinstance(given, dict) else None
    if pairs is None or len(pairs) > MOST_METADATA:
        raise MetadataInvalid(f"metadata: a JSON object of at most {MOST_METADATA} pairs.")
    for name, value in pairs:
        if not isinstance(value, str) or max(len(name), len(value)) > MOST_VALUE:
            raise MetadataInvalid(f"metadata: texts of at most {MOST_VALUE} characters.")
    return dict(pairs)


def _filter(asked: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in asked.items():
        if name.startswith("metadata"):
            inner = name[len("metadata[") : -1]
            if not (name.startswith("metadata[") and name.endswith("]") and inner):
                raise InvalidMetadataFilter("metadata[name]=value is how one filters.")
            if "\0" in inner + value:
                raise InvalidMetadataFilter("No text may hold the character NUL.")
            found[inner] = value
    return found
