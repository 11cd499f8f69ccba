"""ComfyICU's dialect: runs of a workflow of the workspace, by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from rest_framework.response import Response

from common.drf import base_url
from common.errors import InvalidRequest, InvalidWorkflow, NotFound, PlatformError
from runs import core, dialects, workflows
from runs.faces import asking

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from runs.models import Run

FACE: Final = dialects.ICU
MOST_LISTED: Final = 100


class Icu(asking.Face):
    """A view in this dialect."""

    def refusal(self, exc: PlatformError, *, status: int | None = None) -> tuple[int, Any]:
        """Return `{"error": code, "message"}`."""
        body = {"error": asking.word(exc, status), "message": str(exc)}
        return status or exc.status, body


class RunsView(Icu):
    """Runs of one workflow."""

    def post(self, request: Request, workflow_id: UUID) -> Response:
        """Take a run of it: of its own graph, or of the `prompt` that is sent."""
        who, given = asking.by(request), asking.sent(request)
        workflow = workflows.one(who.workspace_id, workflow_id)
        prompt = given.get("prompt")
        if prompt is not None and not isinstance(prompt, dict):
            raise InvalidWorkflow("prompt: a workflow in API format, a JSON object.")
        ask = core.Ask(
            graph=prompt,
            workflow_id=workflow.pk,
            files=asking.addresses(given),
            accelerator=asking.text(given, "accelerator", longest=32),
            max_micros=asking.most(request, given),
            webhook_url=asking.text(given, "webhook", longest=2000),
            extra={dialects.WORKFLOW: str(workflow.pk), dialects.BASE: base_url(request)},
            face=FACE,
        )
        return _answer(request, core.submit(who, ask), workflow_id)

    def get(self, request: Request, workflow_id: UUID) -> Response:
        """Return its runs, the newest first: `limit` of them, from the one behind `before` on."""
        who, asked = asking.by(request), request.query_params
        workflows.one(who.workspace_id, workflow_id)
        found = core.list_runs(
            who.workspace_id,
            workflow_id=workflow_id,
            before=_before(request, workflow_id),
            limit=asking.count(asked.get("limit", "50"), "limit", most=MOST_LISTED),
        )
        base, made = base_url(request), core.outputs_of(found)
        told = [dialects.icu(run, base, str(workflow_id), made[run.pk]) for run in found]
        return Response(told)


class RunView(Icu):
    """One run of a workflow."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, workflow_id: UUID, run_id: UUID) -> Response:
        """Return how it is; a run of another workflow is not there."""
        return _answer(request, _own(request, workflow_id, run_id), workflow_id)


class CancelView(Icu):
    """The end of a run before its time."""

    scopes: ClassVar[dict[str, str]] = {"POST": asking.SCOPE}

    def post(self, request: Request, workflow_id: UUID, run_id: UUID) -> Response:
        """Have it end; what waits ends at once. Again is fine."""
        who, run = asking.by(request), _own(request, workflow_id, run_id)
        ended = core.cancel(who.workspace_id, run.pk, by=who.user_id)
        return _answer(request, ended, workflow_id)


def _own(request: Request, workflow_id: UUID, run_id: UUID | str) -> Run:
    """Return a run of this workflow, or raise NotFound."""
    run = core.get(asking.by(request).workspace_id, run_id)
    version = run.workflow_version
    own = str(version.workflow_id) if version else run.extra.get(dialects.WORKFLOW)
    if own != str(workflow_id):
        raise NotFound("There is no such run of this workflow.")
    return run


def _before(request: Request, workflow_id: UUID) -> Run | None:
    """Return the last run of the page before, if one is named."""
    said = request.query_params.get("before")
    try:
        return _own(request, workflow_id, said) if said else None
    except NotFound:
        raise InvalidRequest("before: the id of a run of this workflow.") from None


def _answer(request: Request, run: Run, workflow_id: UUID) -> Response:
    made = core.outputs(run.workspace_id, run.pk)
    body = dialects.icu(run, base_url(request), str(workflow_id), made)
    return Response(body, headers={"Run-Id": run.name})
