"""The one server: each vendor under its name, the control API, and the failures of every wire.

request -> note -> credential -> planned failures -> read -> route -> count -> misbehave -> send

A vendor's function answers as if all were well; here its answer is spoilt, the same way for all.

POST /control/{vendor}/next  {"failures": ["status=500"], "times": 1}
POST /control/reset
GET  /control/counts
GET  /control/requests?vendor=bfl
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from sandbox import inline
from sandbox.failures import OF_SUBMIT, Failures, UnknownFailureError, in_body, parse
from sandbox.far_side import Desk, FarSide, Seen, Settings
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, anybody
from sandbox.vendors import VENDORS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FAR_SIDE = web.AppKey("far_side", FarSide)
LARGEST_BODY = 128 * 1024 * 1024
PIECE = 64 * 1024
SOMEBODY_ELSES_PAGE = b"<!doctype html><title>Welcome</title><p>Please accept our terms."


def build_app(settings: Settings | None = None) -> web.Application:
    """Build the server's application; `app[FAR_SIDE]` is its memory."""
    settings = settings or Settings()
    far_side = FarSide(settings, tuple(vendor.name for vendor in VENDORS))
    app = web.Application(client_max_size=LARGEST_BODY)
    app[FAR_SIDE] = far_side
    app.router.add_get("/health", _health)
    app.router.add_post("/control/reset", _reset)
    app.router.add_get("/control/counts", _counts)
    app.router.add_get("/control/requests", _requests)
    app.router.add_post("/control/{vendor}/next", _fail_next)
    for resource in _addresses():
        app.router.register_resource(resource)
    return app


@functools.cache
def _addresses() -> tuple[web.AbstractResource, ...]:
    """Make all vendors' addresses, once for all the sandboxes of a process: there are hundreds."""
    router = web.UrlDispatcher()
    for vendor in VENDORS:
        for name in (vendor.name, *(f"{vendor.name}-{base}" for base in vendor.bases)):
            for route in (*vendor.routes, NOT_THERE):
                router.add_route(route.method, f"/{name}{route.path}", _door(vendor, route))
    return tuple(router.resources())


@asynccontextmanager
async def running(
    settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[FarSide]:
    """Serve on a real port, any free one unless told, for as long as the block lasts."""
    app = build_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        app[FAR_SIDE].url = f"http://{host}:{runner.addresses[0][1]}"
        yield app[FAR_SIDE]
    finally:
        await runner.cleanup()


def _door(vendor: Vendor, route: Route) -> Handler:
    """Put a route behind everything that all vendors' routes have in common."""
    at_address = route

    async def answer(request: web.Request) -> web.StreamResponse:
        route = (at_address.instead and at_address.instead(request)) or at_address
        desk = request.app[FAR_SIDE].desks[vendor.name]
        seen = _note(desk, route, request)
        refused = _refused(vendor, route, desk, request)
        planned = {} if refused else _planned(route, desk)
        if "drop_before" in planned:
            return _hang_up(request)
        exchange = Exchange(request, desk, seen, route.kind, planned)
        if route.reads_body:
            await _read(exchange)
        try:
            if refused:
                desk.tally.refused_credentials += 1
                raise refused
            kind = request.headers.get("content-type", "")
            body = exchange.body or {}
            seen.files = inline.found(vendor.name, kind, exchange.raw, body, desk.uploads)
            return await _serve(vendor, route, exchange)
        except RefusedError as refusal:
            return await _send(request, vendor.refuse(refusal.status, refusal.detail))
        except UnknownFailureError as unknown:
            return await _send(request, vendor.refuse(400, f"The sandbox has no failure {unknown}"))

    return answer


def _note(desk: Desk, route: Route, request: web.Request) -> Seen:
    tally = desk.tally
    seen = Seen.of(request)
    tally.requests.append(seen)
    tally.by_path[route.path] += 1
    tally.submits += route.kind is Kind.SUBMIT
    tally.polls += route.kind is Kind.POLL
    tally.downloads += route.kind is Kind.DOWNLOAD
    return seen


def _refused(vendor: Vendor, route: Route, desk: Desk, request: web.Request) -> RefusedError | None:
    """Check the credential, where there is a key to check it against."""
    if desk.settings.key is None:
        return None
    return (route.credential or vendor.credential)(desk, request)


def _planned(route: Route, desk: Desk) -> Failures:
    if route.kind is Kind.SUBMIT:
        return desk.plans.next_submit()
    if route.kind.prefix:
        return desk.plans.next_question(route.kind.prefix)
    return {}


async def _read(exchange: Exchange) -> None:
    """Read the body and, where it is a JSON object, parse it."""
    exchange.raw = await exchange.request.read()
    exchange.seen.note_body(exchange.raw)
    try:
        body = orjson.loads(exchange.raw)
    except orjson.JSONDecodeError:
        return
    if isinstance(body, dict):
        exchange.body = body


async def _serve(vendor: Vendor, route: Route, exchange: Exchange) -> web.StreamResponse:
    """Let the route answer, and then spoil the answer as the failures say."""
    request = exchange.request
    if route.kind is Kind.SUBMIT:
        asked = in_body(exchange.raw)
        if useless := asked.keys() - OF_SUBMIT - vendor.failures:
            raise UnknownFailureError(f"{min(useless)} at {vendor.name}")
        exchange.failures = exchange.failures | asked
        if "drop_before" in exchange.failures:
            return _hang_up(request)
    answer = _refusal(vendor, exchange.failures) if route.kind is Kind.SUBMIT else None
    if answer is None:
        answer = await route.serve(exchange)
        exchange.desk.tally.accepted += route.kind is Kind.SUBMIT
        if route.kind.prefix:  # A question has learnt its job's failures meanwhile.
            answer = _refusal(vendor, exchange.failures) or answer
    failures = exchange.failures
    if slow := failures.get("slow"):
        await asyncio.sleep(slow)
    if "drop_after" in failures:
        return _hang_up(request)
    return await _send(request, _spoilt(vendor, answer, exchange), cut="cut" in failures)


def _refusal(vendor: Vendor, failures: Failures) -> Answer | None:
    """Refuse by a status, by the vendor's own code, or in the body of a success; or not at all."""
    if (status := failures.get("status")) is not None:
        answer = vendor.refuse(int(status), None)
        if status == 429:
            answer.headers["Retry-After"] = "2"
        return answer
    name = next((each for each in ("code", "inside") if each in failures), None)
    if name is None:
        return None
    assert vendor.in_its_words is not None, "a vendor without words takes no such failure"
    code = failures[name]
    refused = vendor.in_its_words(None if code is None else int(code))
    answer = vendor.refuse(refused.status, refused.detail)
    if name == "inside":
        answer.status = vendor.inside_status
    return answer


def _spoilt(vendor: Vendor, answer: Answer, exchange: Exchange) -> Answer:
    """Lay over it what is planned; make it somebody else's page, take ids away, add credentials."""
    if "nonjson" in exchange.failures:
        return Answer(SOMEBODY_ELSES_PAGE, content_type="text/html")
    if not isinstance(answer.body, bytes) or answer.content_type != "application/json":
        return answer  # The file that a job made has nothing to take or to add.
    if exchange.desk.overlay and answer.status < 300:
        answer.body = orjson.dumps(_over(exchange.desk.overlay, orjson.loads(answer.body)))
    if "no_id" in exchange.failures:
        answer.body = orjson.dumps(_without(orjson.loads(answer.body), vendor.ids))
    if "echo" in exchange.failures:
        answer.body = orjson.dumps(_with_echo(orjson.loads(answer.body), exchange.request))
    return answer


def _without(content: Any, names: frozenset[str]) -> Any:
    if isinstance(content, list):
        return [_without(each, names) for each in content]
    if isinstance(content, dict):
        return {name: _without(each, names) for name, each in content.items() if name not in names}
    return content


def _with_echo(content: Any, request: web.Request) -> Any:
    """Add what the request carried, its credential too, as a careless debugging aid would."""
    headers = sorted(request.headers.items(), key=lambda held: held[0].lower() != "authorization")
    return content | {"debug": [value for _, value in headers]}


def _over(overlay: Any, content: Any) -> Any:
    """Return a JSON value with another one over it, object by object."""
    if not isinstance(overlay, dict) or not isinstance(content, dict):
        return overlay
    return content | {name: _over(each, content.get(name)) for name, each in overlay.items()}


async def _send(request: web.Request, answer: Answer, *, cut: bool = False) -> web.StreamResponse:
    """Send an answer; or half of its body, and then end the connection."""
    headers = {"Content-Type": answer.content_type, **answer.headers}
    if isinstance(answer.body, bytes):
        if not cut:
            return web.Response(status=answer.status, headers=headers, body=answer.body)
        answer.length = len(answer.body)
    response = web.StreamResponse(status=answer.status, headers=headers)
    if answer.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = answer.length
    left = answer.length // 2 if cut else answer.length
    try:
        await response.prepare(request)
        async for piece in _pieces(answer.body):
            await response.write(piece[:left])
            left -= min(left, len(piece))
            if left == 0:
                break
        if cut and request.transport is not None:
            request.transport.close()  # Unlike abort(), it sends what was written first.
        else:
            await response.write_eof()
    except ConnectionError:
        pass  # The caller went away, which is the caller's affair.
    return response


async def _pieces(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        for start in range(0, len(body), PIECE):
            yield body[start : start + PIECE]
    else:
        async for piece in body:
            yield piece


def _hang_up(request: web.Request) -> web.Response:
    """End the connection without a word; the response is for the framework and is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _not_there(_: Exchange) -> Answer:
    raise RefusedError(404)


NOT_THERE = Route("*", "/{anything:.*}", Kind.UNKNOWN, _not_there, credential=anybody)


def _json(content: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")


async def _health(_: web.Request) -> web.Response:
    return _json({"status": "ok"})


async def _reset(request: web.Request) -> web.Response:
    request.app[FAR_SIDE].reset()
    return _json({"reset": True})


async def _counts(request: web.Request) -> web.Response:
    far_side = request.app[FAR_SIDE]
    return _json({vendor: far_side.counts(vendor) for vendor in far_side.desks})


async def _requests(request: web.Request) -> web.Response:
    far_side = request.app[FAR_SIDE]
    vendor = request.query.get("vendor", "")
    if vendor not in far_side.desks:
        return _json({"detail": f"No vendor {vendor!r}"}, status=404)
    return _json(far_side.requests(vendor))


async def _fail_next(request: web.Request) -> web.Response:
    """Plan failures; refuse those that this vendor cannot have, and then plan nothing."""
    far_side = request.app[FAR_SIDE]
    vendor = request.match_info["vendor"]
    if vendor not in far_side.desks:
        return _json({"detail": f"No vendor {vendor!r}"}, status=404)
    try:
        asked = orjson.loads(await request.read())
        failures, times = [str(each) for each in asked["failures"]], int(asked.get("times", 1))
        names = {parse(each)[0] for each in failures}
    except UnknownFailureError as unknown:
        return _json({"detail": f"No failure {unknown}"}, status=400)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        return _json({"detail": 'Send {"failures": ["NAME=VALUE"], "times": 1}'}, status=400)
    if useless := names - OF_SUBMIT - _failures_of(vendor):
        return _json({"detail": f"{vendor} never fails by {sorted(useless)}"}, status=400)
    far_side.fail_next(vendor, *failures, times=times)
    return _json({"planned": failures, "times": times})


def _failures_of(name: str) -> frozenset[str]:
    return next(vendor.failures for vendor in VENDORS if vendor.name == name)
