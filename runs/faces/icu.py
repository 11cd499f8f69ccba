"""ComfyICU's dialect: runs of a workflow of the workspace, by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from rest_framework.response import Response

from common.errors import InvalidWorkflow, NotFound, PlatformError
from common.money import credits_text
from runs import core, workflows
from runs.faces import asking, files
from runs.models import ENDED, Output, State

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from runs.models import Run

FACE: Final = "icu"
WORDS: Final = {State.QUEUED: "QUEUED", State.STAGING: "QUEUED", State.SUCCEEDED: "COMPLETED"}
ERRORS: Final = (State.FAILED, State.CANCELED, State.EXPIRED)
ID: Final = "workflow_id"


class Icu(asking.Face):
    """A view in this dialect."""

    def refusal(self, exc: PlatformError, *, status: int | None = None) -> tuple[int, Any]:
        """Return `{"error": code, "message"}`."""
        body = {"error": asking.word(exc, status), "message": str(exc)}
        return status or exc.status, body


class RunsView(Icu):
    """Runs of one workflow."""

    scopes: ClassVar[dict[str, str]] = {"POST": asking.SCOPE}

    def post(self, request: Request, workflow_id: UUID) -> Response:
        """Take a run of it: of its own graph, or of the `prompt` that is sent."""
        who, given = asking.by(request), asking.sent(request)
        workflow = workflows.one(who.workspace_id, workflow_id)
        prompt = given.get("prompt")
        if prompt is not None and not isinstance(prompt, dict):
            raise InvalidWorkflow("prompt: a workflow in API format, a JSON object.")
        if given.get("webhook"):
            raise InvalidWorkflow("webhook: runs call no address yet. Ask for the run's status.")
        ask = core.Ask(
            graph=prompt,
            workflow_id=workflow.pk,
            files=asking.addresses(given),
            accelerator=asking.text(given, "accelerator", longest=32),
            max_micros=asking.most(request, given),
            extra={ID: str(workflow.pk)},
            face=FACE,
        )
        return _answer(request, core.submit(who, ask), workflow_id)


class RunView(Icu):
    """One run of a workflow."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    def get(self, request: Request, workflow_id: UUID, run_id: UUID) -> Response:
        """Return how it is; a run of another workflow is not there."""
        who = asking.by(request)
        run = core.get(who.workspace_id, run_id)
        version = run.workflow_version
        own = str(version.workflow_id) if version else run.extra.get(ID)
        if own != str(workflow_id):
            raise NotFound("There is no such run of this workflow.")
        return _answer(request, run, workflow_id)


def _answer(request: Request, run: Run, workflow_id: UUID) -> Response:
    body = {
        "id": str(run.pk),
        "status": "ERROR" if run.state in ERRORS else WORDS.get(State(run.state), "STARTED"),
        "workflow_id": str(workflow_id),
        "accelerator": run.accelerator or None,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "completed_at": run.ended_at.isoformat() if run.ended_at else None,
        "output": _output(request, run, workflow_id),
        "error": {"code": run.error_code, "message": run.error_message} if run.error_code else None,
        "credits": credits_text(run.charged_micros),
    }
    return Response(body, headers={"Run-Id": str(run.pk)})


def _output(request: Request, run: Run, workflow_id: UUID) -> list[dict[str, Any]]:
    made = core.outputs(run.workspace_id, run.pk) if run.state in ENDED else []
    return [
        {
            "filename": f"/workflows/{workflow_id}/output/{run.pk}/{each.name}",
            "url": files.address(request, each)[0],
            "thumbnail_url": None,
        }
        for each in made
        if each.kind == Output.Kind.OUTPUT
    ]
