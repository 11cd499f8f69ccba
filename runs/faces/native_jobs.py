"""Jobs in ComfyUI's own dialect, as its newer versions and its cloud list them.

GET jobs?status=&limit=&offset=     GET jobs/<id>     GET job/<id>/status
POST jobs/<id>/cancel               POST jobs/cancel {"job_ids": [...]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rest_framework.response import Response

from common.errors import InvalidRequest, NotFound
from runs import core
from runs.faces import asking, entries
from runs.models import State

if TYPE_CHECKING:
    from datetime import datetime

    from rest_framework.request import Request

    from runs.models import Output, Run

STATES: Final = {
    "pending": (State.QUEUED, State.STAGING),
    "in_progress": (State.RUNNING, State.CANCELING, State.COLLECTING),
    "completed": (State.SUCCEEDED,),
    "failed": (State.FAILED, State.EXPIRED),
    "cancelled": (State.CANCELED,),
}
WORDS: Final = {state: word for word, states in STATES.items() for state in states}
MOST_LISTED, USUAL_LISTED = 1000, 100


def listed(request: Request) -> Response:
    """Return jobs of the workspace, the newest first."""
    asked, workspace = request.query_params, asking.by(request).workspace_id
    words = [each for each in asked.get("status", "").split(",") if each]
    if not set(words) <= set(STATES):
        raise InvalidRequest(f"status: of {', '.join(STATES)}.")
    limit = asking.count(asked.get("limit", f"{USUAL_LISTED}"), "limit", most=MOST_LISTED)
    offset = asking.whole(asked.get("offset"), "offset", usual=0)
    states = [state for word in words for state in STATES[word]]
    found, total = core.page(workspace, states=states, limit=limit, offset=offset)
    made = core.outputs_of(found)
    return Response(
        {
            "jobs": [_short(run, made[run.pk]) for run in found],
            "pagination": {
                "offset": offset,
                "limit": limit,
                "total": total,
                "has_more": offset + len(found) < total,
            },
        }
    )


def one(request: Request, rest: str) -> Response:
    """Return one job with what it made, and with what was asked."""
    run = core.get(asking.by(request).workspace_id, rest)
    made = core.outputs(run.workspace_id, run.pk)
    entry = entries.entry(run, made)
    whole = {
        **_short(run, made),
        "outputs": entry["outputs"],
        "execution_status": entry["status"],
        "workflow": {"prompt": entry["prompt"][2], "extra_data": entry["prompt"][3]},
    }
    return Response(whole, headers={"Run-Id": run.name})


def status(request: Request, rest: str) -> Response:
    """Return where one job is, in the words of the cloud."""
    run_id, _, what = rest.partition("/")
    if what != "status":
        raise NotFound("There is no such path here.")
    run = core.get(asking.by(request).workspace_id, run_id)
    word = {"failed": "error"}.get(WORDS[State(run.state)], WORDS[State(run.state)])
    return Response(
        {
            "id": run.name,
            "status": "waiting_to_dispatch" if run.state == State.QUEUED else word,
            "created_at": run.created_at.isoformat(),
            "updated_at": (run.ended_at or run.started_at or run.created_at).isoformat(),
        }
    )


def cancel(request: Request, rest: str) -> Response:
    """Call off one job, or those that are named; say whether any was there to be."""
    who, given = asking.by(request), asking.sent(request)
    if rest == "cancel":
        wanted = asking.ids_in(given.get("job_ids"), "job_ids")
        found = [core.get(who.workspace_id, each) for each in wanted]
    else:
        run_id, _, what = rest.partition("/")
        if what != "cancel":
            raise NotFound("There is no such path here.")
        found = [core.get(who.workspace_id, run_id)]
    live = [run for run in found if not run.has_ended]
    for run in live:
        core.cancel(who.workspace_id, run.pk, by=who.user_id)
    return Response({"cancelled": bool(live)})


def _short(run: Run, made: list[Output]) -> dict[str, Any]:
    files = [each for each in made if each.kind == each.Kind.OUTPUT] or made
    known = {
        "id": run.name,
        "status": WORDS[State(run.state)],
        "priority": entries.number(run),
        "create_time": _ms(run.created_at),
        "execution_start_time": _ms(run.started_at),
        "execution_end_time": _ms(run.ended_at),
        "outputs_count": len(made),
        "preview_output": _preview(files[0]) if files else None,
        "execution_error": entries.last(run)[1] if run.state == State.FAILED else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _preview(output: Output) -> dict[str, Any]:
    return {
        "filename": output.name,
        "subfolder": output.subfolder,
        "type": output.kind,
        "nodeId": output.node_id,
        "mediaType": output.section,
    }


def _ms(at: datetime | None) -> int | None:
    return int(at.timestamp() * 1000) if at else None
