"""ModelsLab's dialect: one workflow, values for its inputs, and addresses of what it made.

    POST /api/v7/comfyui/execute     GET or POST /api/v7/comfyui/fetch/<id>

An answer waits a while for the end. It waits on the loop and not in a thread, and as many wait for
one key as it may have streams; more are answered at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.response import Response

from apikeys.authentication import SessionAuthentication
from common import db
from common.drf import base_url
from common.errors import InvalidRequest, InvalidWorkflow, NotFound, PlatformError
from runs import core, dialects
from runs.faces import asking, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from rest_framework.request import Request

    from runs.faces.streams import Place
    from runs.models import Run

FACE: Final = dialects.MODELSLAB
USUAL_WAIT: Final = 20
MOST_WAIT: Final = 60
LOOK_SECONDS: Final = 0.5


class InBody(asking.RunKeyAuthentication):
    """A key also as `key` in the body; one in a header is taken before it."""

    def in_body(self, request: Request) -> str:
        """Return it; empty if there is none."""
        given = request.data
        key = given.get("key") if isinstance(given, dict) else None
        return key if isinstance(key, str) else ""


class ModelsLab(asking.Face):
    """A view in this dialect."""

    authentication_classes = (InBody, SessionAuthentication)

    def refusal(self, exc: PlatformError, *, status: int | None = None) -> tuple[int, Any]:
        """Return `{"status": "error", "code", "message"}`."""
        body = {"status": "error", "code": asking.word(exc, status), "message": str(exc)}
        return status or exc.status, body


class ExecuteView(ModelsLab):
    """Hand over a workflow."""

    scopes: ClassVar[dict[str, str]] = {"POST": asking.SCOPE}

    def post(self, request: Request) -> HttpResponse | StreamingHttpResponse | Response:
        """Take a run, and answer with its end if that comes soon."""
        who, given = asking.by(request), asking.sent(request)
        if not isinstance(given.get("workflow"), dict):
            raise InvalidWorkflow("workflow: a workflow in API format, a JSON object.")
        if given.get("inputs") is not None and not isinstance(given["inputs"], dict):
            raise InvalidWorkflow("inputs: a JSON object, by the ids of nodes.")
        replace_links = given.get("replace_links", False)
        if not isinstance(replace_links, bool):
            raise InvalidRequest("replace_links: true or false.")
        seconds = _wait(given)
        ask = core.Ask(
            graph=given["workflow"],
            inputs=given.get("inputs"),
            replace_links=replace_links,
            files=asking.addresses(given),
            accelerator=asking.text(given, "accelerator", longest=32),
            max_micros=asking.most(request, given),
            webhook_url=_webhook(given),
            extra={
                dialects.TRACK: asking.text(given, "track_id") or None,
                dialects.BASE: base_url(request),
            },
            face=FACE,
        )
        run = core.submit(who, ask)
        place = _place(who) if seconds else None
        if place is None:
            return _answer(request, run)
        return StreamingHttpResponse(
            _once_ended(run, base_url(request), seconds, place),
            content_type="application/json",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **_named(run)},
        )


class FetchView(ModelsLab):
    """How a run is."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE, "POST": asking.SCOPE}

    def get(self, request: Request, run_id: UUID) -> Response:
        """Return it."""
        return _answer(request, core.get(asking.by(request).workspace_id, run_id))

    def post(self, request: Request, run_id: UUID) -> Response:
        """Do the same, for who shows the key in the body."""
        return self.get(request, run_id)


async def _once_ended(run: Run, base: str, seconds: int, place: Place) -> AsyncIterator[bytes]:
    """Yield the answer, once: when the run has ended, or so many seconds are over."""
    until = time.monotonic() + seconds
    try:
        while True:
            said, has_ended = await sync_to_async(_look)(run, base)
            if has_ended or time.monotonic() >= until:
                yield said
                return
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        place.leave()


def _look(run: Run, base: str) -> tuple[bytes, bool]:
    try:
        now = core.standing(run.workspace_id, run.pk)
        return orjson.dumps(dialects.modelslab(now, base)), now.has_ended
    except NotFound:  # Its workspace was deleted meanwhile.
        return orjson.dumps(
            {"status": "error", "code": "not_found", "message": "It is gone."}
        ), True
    finally:
        db.give_back()


def _place(who: core.By) -> Place | None:
    """Return a place to wait in; None where all of a key's are taken: then it is told at once."""
    try:
        return streams.take(who.name)
    except streams.TooManyStreams:
        return None


def _wait(given: dict[str, Any]) -> int:
    said = given.get("wait", USUAL_WAIT)
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MOST_WAIT:
        raise InvalidRequest(f"wait: seconds, from 0 to {MOST_WAIT}.")
    return said


def _webhook(given: dict[str, Any]) -> str:
    name = "webhook_url" if given.get("webhook_url") else "webhook"
    return asking.text(given, name, longest=2000)


def _named(run: Run) -> dict[str, str]:
    return {"Run-Id": run.name}


def _answer(request: Request, run: Run) -> Response:
    return Response(dialects.modelslab(run, base_url(request)), headers=_named(run))
