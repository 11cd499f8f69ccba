"""The door before all requests, and the whole fake as one server.

request -> note -> credential -> planned failure -> parameters -> idempotency key -> do -> answer
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from sandbox.stripe import control, endpoints, idempotency, intents, memory, pages, resources, views
from sandbox.stripe.desk import API_VERSION, Desk, Planned, Settings, new_id
from sandbox.stripe.resources import Call, Route
from sandbox.stripe.webhooks import Courier
from sandbox.stripe.wire import Json, Refusal, parse_form

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NEVER = 3600


def build_app(desk: Desk, courier: Courier) -> web.Application:
    """Build the server's application around its memory."""
    state = desk.settings.state
    app = web.Application(middlewares=[memory.keeping(desk, state)] if state else [])
    for route in (*intents.ROUTES, *resources.ROUTES, *endpoints.ROUTES):
        app.router.add_route(route.method, route.path, _door(desk, route))
    app.router.add_get("/health", _health)
    app.add_routes(control.routes(desk, courier))
    app.add_routes(pages.routes(desk))
    app.router.add_route("*", "/{anything:.*}", _not_there)
    return app


@asynccontextmanager
async def running_stripe(
    settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Desk]:
    """Serve on a real port, any free one unless told, for as long as the block lasts."""
    desk = Desk(settings or Settings())
    if desk.settings.state:
        memory.restore(desk, desk.settings.state)
    courier = Courier(desk)
    runner = web.AppRunner(build_app(desk, courier), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    carrying = asyncio.create_task(courier.run())
    try:
        await web.TCPSite(runner, host, port).start()
        desk.url = f"http://{host}:{runner.addresses[0][1]}"
        yield desk
    finally:
        carrying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await carrying
        await runner.cleanup()


def _door(desk: Desk, route: Route) -> Handler:
    """Put a request behind everything that all of them have in common."""

    async def answer(request: web.Request) -> web.StreamResponse:
        request_id = new_id("req")
        raw = await request.read()
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        seen: Json = {
            "id": request_id,
            "method": request.method,
            "path": request.path,
            "idempotency_key": key,
            "version": request.headers.get("Stripe-Version"),
            "params": {},
            "status": None,
            "replayed": False,
        }
        desk.requests.append(seen)
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key is not None:
            headers["Idempotency-Key"] = key
        planned: Planned | None = None
        try:
            api_key = _admit(desk, request)
            planned = desk.planned_for(request.method, request.path)
            if planned and planned.name == "drop_before":
                return _hang_up(request)
            if planned and planned.name == "status":
                raise control.failure(int(planned.value))
            form = request.query_string if request.method != "POST" else raw.decode("utf-8")
            seen["params"] = params = parse_form(form)
            _check_known(route, params)
            call = Call(desk, params, request.match_info.get("id", ""), request.path)
            slow = planned.value if planned and planned.name == "slow" else 0
            status, body = await _do(route, call, api_key, key, headers, slow)
        except Refusal as refusal:
            status, body = refusal.status, orjson.dumps(refusal.body)
        except UnicodeDecodeError:
            status, body = 400, orjson.dumps(Refusal(400, "The body is not UTF-8.").body)
        seen["status"], seen["replayed"] = status, "Idempotent-Replayed" in headers
        if planned:
            return await _spoilt(request, planned, status, body, headers)
        return _reply(status, body, headers)

    return answer


async def _do(
    route: Route, call: Call, api_key: str, key: str | None, headers: dict[str, str], slow: float
) -> tuple[int, bytes]:
    """Do it, once for each idempotency key."""
    desk, request_id = call.desk, headers["Request-Id"]
    if key is None:
        await asyncio.sleep(slow)
        return 200, _serve(route, call, request_id, None)
    remembered, replay = idempotency.begin(
        desk, api_key, key, path=call.path, params=call.params, request_id=request_id
    )
    if replay:
        headers["Idempotent-Replayed"] = "true"
        headers["Original-Request"] = remembered.request_id
        return remembered.status, remembered.body
    try:
        await asyncio.sleep(slow)
        body = _serve(route, call, request_id, key)
    except Refusal as refusal:
        if not refusal.stored:
            raise
        remembered.body, remembered.status = orjson.dumps(refusal.body), refusal.status
        return refusal.status, remembered.body
    else:
        remembered.body, remembered.status = body, 200
        return 200, body
    finally:
        if not remembered.status:
            idempotency.forget(desk, api_key, key)


def _serve(route: Route, call: Call, request_id: str, key: str | None) -> bytes:
    """Let the route act; events that it causes name this request."""
    desk = call.desk
    desk.asking = {"id": request_id, "idempotency_key": key}
    try:
        thing = route.serve(call)
        try:
            return orjson.dumps(views.answer(desk, thing, call.params))
        except Refusal as refusal:
            refusal.stored = True  # It is done, whatever was wrong with the wish to see it.
            raise
    except Refusal as refusal:
        refusal.error["request_log_url"] = f"{desk.public_url}/control/requests#{request_id}"
        raise
    finally:
        desk.asking = {"id": None, "idempotency_key": None}


def _admit(desk: Desk, request: web.Request) -> str:
    """Compare the credential; without a wanted one, any test key will do."""
    shown = request.headers.get("Authorization", "")
    if not shown:
        message = (
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_KEY')."
        )
        raise Refusal(401, message)
    key, wanted = shown.removeprefix("Bearer ").strip(), desk.settings.key
    good = key.startswith(("sk_test_", "rk_test_"))
    if wanted is not None:
        good = hmac.compare_digest(key.encode(), wanted.encode())
    if not good or not shown.startswith("Bearer "):
        raise Refusal(401, f"Invalid API Key provided: {key[:8]}****{key[-4:]}")
    return key


def _check_known(route: Route, params: Json) -> None:
    unknown = [name for name in params if name not in route.params]
    if unknown:
        message = f"Received unknown parameter: {unknown[0]}"
        raise Refusal.invalid(unknown[0], message, code="parameter_unknown")


async def _spoilt(
    request: web.Request, planned: Planned, status: int, body: bytes, headers: dict[str, str]
) -> web.Response:
    """Spoil the answer to what was done: late, lost, or another status in its place."""
    if planned.name == "drop_after":
        return _hang_up(request)
    if planned.name == "timeout":
        await asyncio.sleep(planned.value or NEVER)
    if planned.name == "status_after":
        refusal = control.failure(int(planned.value))
        return _reply(refusal.status, orjson.dumps(refusal.body), headers)
    return _reply(status, body, headers)


def _reply(status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")


def _hang_up(request: web.Request) -> web.Response:
    """End the connection without a word; the response is for the framework and is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _not_there(request: web.Request) -> web.Response:
    message = f"Unrecognized request URL ({request.method}: {request.path})."
    refusal = Refusal(404, message)
    return _reply(404, orjson.dumps(refusal.body), {"Request-Id": new_id("req")})
