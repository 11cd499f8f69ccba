"""ComfyUI's own dialect, below an address of its own: a script changes its server and nothing else.

    /comfy/…          for who shows a key: a header, Basic, or `extra_data.api_key_comfy_org`
    /run/<token>/…    for who can show nothing: the address stands for a key (address.py)

Each path is also there with `api/` before it. What is somebody's is their workspace's: ids and
names of others are as if they were not there. `/ws` is in sockets.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse
from django.urls import path
from django.utils.cache import get_conditional_response
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from apikeys.authentication import SessionAuthentication, allowed_to
from common import ids
from common.drf import LenientJSONParser
from common.errors import (
    IdempotencyKeyReuse,
    InvalidRequest,
    InvalidWorkflow,
    NotFound,
    PlatformError,
)
from runs import address, core, workers
from runs.faces import asking, entries, native_jobs, nodes, partial, pictures
from runs.models import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http.response import HttpResponseBase
    from django.urls import URLPattern
    from rest_framework.request import Request

    from apikeys.models import ApiKey
    from runs.models import Run

    Door = Callable[..., HttpResponseBase]

FACE: Final = "native"
MOST_HISTORY, USUAL_HISTORY = 1000, 200
UUID_FORM: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class InvalidJson(PlatformError):
    """A body that is no JSON object."""

    code = "invalid_json"


class InvalidPromptId(PlatformError):
    """A prompt_id that is none, or was another prompt's."""

    code = "invalid_prompt_id"


class NativeAuthentication(asking.RunKeyAuthentication):
    """A key in a header; the address; or a key in the body, as headless scripts send it."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Return the key's user and the key, or None without a credential."""
        if found := super().authenticate(request):
            return found
        token = request.parser_context["kwargs"].get("token")
        if token is None:
            return None
        key = address.authenticate(token, address=request.META.get("REMOTE_ADDR", ""))
        key.scopes = [each for each in key.scopes if each in allowed_to(key.role)]  # type: ignore[attr-defined]
        return key.user, key

    def in_body(self, request: Request) -> str:
        """Return the key in `extra_data`, where nothing else was shown."""
        kwargs = request.parser_context["kwargs"]
        if "token" in kwargs or request.method != "POST" or _plain(kwargs["rest"]) != "prompt":
            return ""
        try:
            given = request.data
        except PlatformError:
            return ""
        extra = given.get("extra_data") if isinstance(given, dict) else None
        key = extra.get(asking.KEY_NAME) if isinstance(extra, dict) else None
        return key if isinstance(key, str) else ""


class NativeView(asking.Face):
    """All of a ComfyUI's addresses; which one it is, is read here."""

    authentication_classes = (NativeAuthentication, SessionAuthentication)
    parser_classes = (MultiPartParser, LenientJSONParser)

    def get(self, request: Request, rest: str, token: str = "") -> HttpResponseBase:
        """Answer what reads."""
        return self._answer(READS, request, rest)

    def post(self, request: Request, rest: str, token: str = "") -> HttpResponseBase:
        """Answer what does something."""
        return self._answer(DOES, request, rest)

    def _answer(self, doors: dict[str, Door], request: Request, rest: str) -> HttpResponseBase:
        first, _, more = _plain(rest).partition("/")
        for name, wanted in ((_plain(rest), ""), (f"{first}/*", more)):
            if door := doors.get(name):
                answer = door(request, wanted) if wanted else door(request)
                answer.headers["Referrer-Policy"] = "no-referrer"
                return answer
        raise NotFound("There is no such path here.")

    def refusal(self, exc: PlatformError, *, status: int | None = None) -> tuple[int, Any]:
        """Return ComfyUI's shape: `{"error": {"type", …}, "node_errors"}`."""
        at = status or exc.status
        kind = getattr(exc, "kind", "") or asking.word(exc, status)
        if exc.code in ("workflow_format_ui", "invalid_json", "invalid_prompt_id"):
            kind = exc.code
        error = {
            "type": kind,
            "message": str(exc),
            "details": "",
            "extra_info": getattr(exc, "details", {}),
        }
        errors = getattr(exc, "node_errors", {})
        return 400 if at == 422 else at, {"error": error, "node_errors": errors}


def prompt(request: Request) -> Response:
    """Hand over a workflow; what of it can run is run."""
    who, given = asking.by(request), _object(request)
    extra = {} if given.get("extra_data") is None else given["extra_data"]
    if not isinstance(extra, dict):
        raise InvalidRequest("extra_data: a JSON object.")
    asking.own_key(request, extra.get(asking.KEY_NAME))
    if given.get("prompt") is None:
        raise InvalidWorkflow("No prompt provided", kind="no_prompt")
    targets = given.get("partial_execution_targets")
    if targets is not None:
        targets = asking.ids_in(targets, "partial_execution_targets")
    client = asking.text(given, entries.CLIENT, longest=200)
    ask = core.Ask(
        graph=given["prompt"],
        max_micros=asking.most(request, {**extra, **given}),
        accelerator=asking.text(extra, "accelerator", longest=32),
        extra={
            **{name: extra[name] for name in entries.KEPT if name in extra},
            **({entries.CLIENT: client} if client else {}),
        },
        face=FACE,
        id=_prompt_id(given.get("prompt_id")),
    )
    try:
        run, wrong = partial.submit(who, ask, targets=targets)
    except IdempotencyKeyReuse as before:
        if not before.is_same:
            raise InvalidPromptId(
                "This prompt_id was another prompt's. Choose a new one."
            ) from None
        run, wrong = core.get(who.workspace_id, before.run_id), {}
    body = {"prompt_id": run.name, "number": entries.number(run), "node_errors": wrong}
    return Response(body, headers={"Run-Id": run.name})


def remaining(request: Request) -> Response:
    """Say how many runs of the workspace have not ended."""
    count = core.remaining(asking.by(request).workspace_id)
    return Response({"exec_info": {"queue_remaining": count}})


def history(request: Request) -> Response:
    """Return ended runs, the oldest first."""
    asked, workspace = request.query_params, asking.by(request).workspace_id
    most = asking.whole(asked.get("max_items"), "max_items", usual=USUAL_HISTORY)
    offset = asked.get("offset")
    start = None if offset in (None, "", "-1") else asking.whole(offset, "offset", usual=0)
    found = core.history(workspace, most=min(most, MOST_HISTORY), offset=start)
    made, room = core.outputs_of(found), entries.Room()
    newest = {run.pk: entries.entry(run, made[run.pk], room) for run in reversed(found)}
    return Response({run.name: newest[run.pk] for run in found})


def history_of(request: Request, run_id: str) -> Response:
    """Return one ended run; nothing of one that has not, or is not there."""
    run = _found(request, run_id)
    return Response(_entry(run) if run else {})


def history_v2_of(request: Request, run_id: str) -> Response:
    """Do the same; what is not there is a 404, as the cloud has it."""
    return Response(_entry(core.get(asking.by(request).workspace_id, run_id)))


def forget(request: Request) -> Response:
    """Have ended runs be in no history any more."""
    given, workspace = _object(request), asking.by(request).workspace_id
    if given.get("clear") is True:
        core.hide(workspace)
    else:
        core.hide(workspace, [found for each in _to_delete(given) if (found := ids.read(each))])
    return Response()


def queue(request: Request) -> Response:
    """Return the workspace's runs that work, and those that wait."""
    found = core.queue(asking.by(request).workspace_id)
    waits = (State.QUEUED, State.STAGING)
    return Response(
        {
            "queue_running": [entries.item(run) for run in found if run.state not in waits],
            "queue_pending": [entries.item(run) for run in found if run.state in waits],
        }
    )


def unqueue(request: Request) -> Response:
    """Call off runs that wait."""
    given, who = _object(request), asking.by(request)
    waiting = [run for run in core.unfinished(who.workspace_id) if run.state == State.QUEUED]
    clear = given.get("clear") is True
    wanted = {} if clear else dict.fromkeys(_to_delete(given))
    gone = [
        run.name
        for run in waiting
        if (clear or run.name in wanted)
        and core.cancel(who.workspace_id, run.pk, by=who.user_id).has_ended
    ]
    return Response({"deleted": gone, "cleared": clear})


def interrupt(request: Request) -> Response:
    """Stop one run, or those of this credential that work; nothing of others'."""
    who, wanted = asking.by(request), _object(request).get("prompt_id")
    if wanted:
        runs = [run] if (run := _found(request, str(wanted))) else []
    else:
        key = who.key.pk if who.key else None
        found = core.unfinished(who.workspace_id)
        runs = [run for run in found if run.state == State.RUNNING and run.key_id == key]
    for each in runs:
        core.cancel(who.workspace_id, each.pk, by=who.user_id)
    return Response()


def object_info(request: Request, name: str | None = None) -> HttpResponse:
    """Return the nodes that this workspace's runs may have."""
    found = json.dumps(nodes.shown(asking.by(request).workspace_id, name)).encode()
    tag = f'"{hashlib.sha256(found).hexdigest()[:32]}"'
    whole = HttpResponse(found, content_type="application/json", headers={"ETag": tag})
    known = get_conditional_response(request._request, etag=tag, response=whole)  # noqa: SLF001
    return known or whole


def models(request: Request) -> Response:
    """Return the folders of models that the machines have."""
    return Response(list(nodes.folders(asking.by(request).workspace_id)))


def models_in(request: Request, folder: str) -> Response:
    """Return the names of the models in one of them."""
    found = nodes.folders(asking.by(request).workspace_id).get(folder)
    if found is None:
        raise NotFound("There is no such folder of models.")
    return Response(found)


def embeddings(request: Request) -> Response:
    """Return the names of embeddings, as prompts have them."""
    found = nodes.folders(asking.by(request).workspace_id).get("embeddings", [])
    return Response([each.rpartition(".")[0] or each for each in found])


def features(request: Request) -> Response:
    """Return what a client may rely on."""
    return Response({"supports_preview_metadata": True, "max_upload_size": pictures.MOST_BYTES})


def system_stats(request: Request) -> Response:
    """Return the newest version of ComfyUI that is there, and nothing of its machine."""
    found = workers.open_to(asking.by(request).workspace_id).exclude(version="")
    versions = sorted(found.values_list("version", flat=True), key=_numbers)
    system = {"comfyui_version": versions[-1] if versions else "", "python_version": "", "os": ""}
    return Response({"system": system, "devices": []})


def socket(request: Request) -> Response:
    """Say that this is for websockets."""
    raise InvalidRequest("Connect to /ws as a websocket.")


READS: Final[dict[str, Door]] = {
    "prompt": remaining,
    "history": history,
    "history/*": history_of,
    "history_v2/*": history_v2_of,
    "queue": queue,
    "view": pictures.view,
    "object_info": object_info,
    "object_info/*": object_info,
    "models": models,
    "models/*": models_in,
    "embeddings": embeddings,
    "features": features,
    "system_stats": system_stats,
    "ws": socket,
    "jobs": native_jobs.listed,
    "jobs/*": native_jobs.one,
    "job/*": native_jobs.status,
}
DOES: Final[dict[str, Door]] = {
    "prompt": prompt,
    "history": forget,
    "queue": unqueue,
    "interrupt": interrupt,
    "upload/image": pictures.upload,
    "upload/mask": pictures.upload_mask,
    "jobs/*": native_jobs.cancel,
}


def urls(base: str) -> list[URLPattern]:
    """Return the addresses below a base."""
    return [path(base + "/<path:rest>", NativeView.as_view())]


def _plain(rest: str) -> str:
    return rest.removeprefix("api/").rstrip("/")


def _object(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent, whatever it was called; nothing is an empty one."""
    try:
        return asking.sent(request)
    except InvalidRequest as refusal:
        raise InvalidJson(str(refusal)) from None


def _prompt_id(given: object) -> Any:
    if given is None:
        return None
    if not isinstance(given, str) or not UUID_FORM.fullmatch(given):
        raise InvalidPromptId("prompt_id: a UUID in lower case.")
    return ids.read(given)


def _found(request: Request, run_id: str) -> Run | None:
    try:
        return core.get(asking.by(request).workspace_id, run_id)
    except NotFound:
        return None


def _entry(run: Run) -> dict[str, Any]:
    if not run.has_ended or run.hidden_at is not None:
        return {}
    return {run.name: entries.entry(run, core.outputs(run.workspace_id, run.pk))}


def _to_delete(given: dict[str, Any]) -> list[str]:
    return asking.ids_in(given.get("delete") or [], "delete")


def _numbers(version: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d{1,9}", version)]
