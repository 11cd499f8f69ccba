"""What only a test, or the person at the sandbox's own page, may ask; JSON or a form.

POST /control/reset | keys/forget            be as freshly started | forget the idempotency keys
GET  /control/state | requests | deliveries  everything | the last requests | the last deliveries
POST /control/next      {"failure": "status=503", "times": 1, "method": "POST", "path": "/v1/..."}
     status=N, drop_before: nothing is done;  slow=S: done S seconds later, its key in progress;
     status_after=N, timeout=S, drop_after: done, and the answer lost or held back
POST /control/webhook   {"url", "secrets", "duplicate", "reorder", "delay_seconds", "drop_next",
                         "drop_all", "retry_seconds", "timeout_seconds", "signed_ahead_seconds",
                         "events": ["*"], "enabled", "thin"}
POST /control/webhook/flush {"seconds": 5}   wait until all is delivered
POST /control/webhook/resend {"events": ["evt_..."]}   none named: all that never arrived
POST /control/switches  {"tax_percent": 10, "refunds": "succeeded" | "pending", "methods": [...],
                         "balance_currency": "usd" | "eur"}
POST /control/clock     {"skew_seconds": 0}  of `created`; sessions expire by it
POST /control/sessions/{cs_}/pay | later | decline | save | expire   {"email", "card"}
POST /control/payments/{pi_ or cs_}/succeed | fail            end a pending payment
POST /control/refunds/{re_}/succeed | fail                    {"reason"}
POST /control/disputes  {"charge" or "payment_intent", "amount", "reason", "status", "withdraw"}
POST /control/disputes/{du_}/withdraw | reinstate | under_review | won | lost | prevented
     reinstate {"amount"};  lost {"returned"}: of that, the part comes back
POST /control/early_fraud_warnings | reviews                  {"charge" or "payment_intent"}
POST /control/payment_methods/{pm_} {"behaviour": "declined_later", "automatically_update": true}
"""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from sandbox.stripe import after, checkout, methods
from sandbox.stripe.desk import Desk, shown
from sandbox.stripe.resources import charge_of
from sandbox.stripe.webhooks import Courier
from sandbox.stripe.wire import Json, Refusal, parse_form

FAILURES = ("status", "status_after", "drop_before", "drop_after", "timeout", "slow")
Act = Callable[[Json, str, str], Awaitable[Any]]
UNKNOWN = "The control API has no such thing: {}"


def failure(status: int) -> Refusal:
    """Give what Stripe answers with a status when it is not the caller's fault."""
    if status == 429:
        return Refusal(429, "Too many requests hit the API too quickly.", code="rate_limit")
    return Refusal(status, "An unknown error occurred.", kind="api_error")


def routes(desk: Desk, courier: Courier) -> list[web.RouteDef]:
    """Give the control API's addresses."""
    acts: dict[str, Act] = {
        "/control/reset": _plain(lambda _: desk.reset()),
        "/control/keys/forget": _plain(lambda _: desk.keys.clear()),
        "/control/next": _plain(lambda asked: plan(desk, asked)),
        "/control/webhook": _plain(lambda asked: _set(desk.webhook, asked)),
        "/control/webhook/flush": lambda asked, _, __: _flush(courier, asked),
        "/control/webhook/resend": _plain(lambda asked: resend(desk, asked.get("events"))),
        "/control/switches": _plain(lambda asked: _set(desk.switches, asked)),
        "/control/clock": _plain(lambda asked: set_clock(desk, int(asked["skew_seconds"]))),
        "/control/sessions/{id}/{act}": _on(desk, _session),
        "/control/payments/{id}/{act}": _on(desk, _payment),
        "/control/refunds/{id}/{act}": _on(desk, _refund),
        "/control/disputes": _plain(lambda asked: _dispute_opened(desk, asked)),
        "/control/disputes/{id}/{act}": _on(desk, _dispute),
        "/control/early_fraud_warnings": _plain(
            lambda asked: after.warn_of_fraud(desk, charge_of(desk, asked))
        ),
        "/control/reviews": _plain(lambda asked: after.open_review(desk, charge_of(desk, asked))),
        "/control/payment_methods/{id}": _on(desk, _method),
    }
    reads: dict[str, Callable[[], Any]] = {
        "/control/state": lambda: state(desk),
        "/control/requests": lambda: list(desk.requests),
        "/control/deliveries": lambda: list(desk.deliveries),
        "/control/webhook": lambda: dataclasses.asdict(desk.webhook),
        "/control/switches": lambda: dataclasses.asdict(desk.switches),
    }
    return [
        *(web.post(path, _handler(act)) for path, act in acts.items()),
        *(web.get(path, _reader(read)) for path, read in reads.items()),
    ]


def state(desk: Desk) -> Json:
    """Give everything that is remembered, newest first, by kind."""
    kinds: Json = {}
    for each in reversed(desk.objects.values()):
        kinds.setdefault(each["object"], []).append(shown(each))
    return {**kinds, "planned": [dataclasses.asdict(each) for each in desk.planned]}


def plan(desk: Desk, asked: Json) -> None:
    """Plan a failure of the next requests."""
    name, _, value = str(asked["failure"]).partition("=")
    if name not in FAILURES:
        raise Refusal(400, f"No failure {name!r}: there are {', '.join(FAILURES)}")
    desk.fail_next(
        name, float(value or (500 if name.startswith("status") else 0)),
        times=int(asked.get("times", 1)), method=str(asked.get("method", "POST")),
        path=str(asked.get("path", "")),
    )  # fmt: skip


def resend(desk: Desk, events: list[str] | None = None) -> int:
    """Deliver named events again; without names, those that never arrived, oldest first."""
    if events is not None:
        chosen = [desk.find("event", name, param="events") for name in events]
    else:
        waiting = {each["id"] for each in desk.outbox}
        arrived = {each["event"] for each in desk.deliveries if each["outcome"] in range(200, 300)}
        kept = reversed(desk.all("event"))
        chosen = [each for each in kept if each["id"] not in arrived | waiting]
    desk.outbox.extend(chosen)
    desk.posted()
    return len(chosen)


def set_clock(desk: Desk, skew_seconds: int) -> None:
    """Move the fake's time; open sessions whose time is over expire."""
    desk.skew_seconds = skew_seconds
    for session in desk.all("checkout.session"):
        checkout.lapse(desk, session)


async def _flush(courier: Courier, asked: Json) -> Json:
    return {"idle": await courier.idle(float(asked.get("seconds", 5)))}


def _set(switches: Any, asked: Json) -> Json:
    """Set switches, each to a value of its own kind."""
    for name, value in asked.items():
        if name not in switches.__slots__:
            raise Refusal(400, f"No switch {name!r}: there are {', '.join(switches.__slots__)}")
        if name not in ("url",) and type(value) is not type(getattr(switches, name)):
            wanted = type(getattr(switches, name))
            if wanted is not float or not isinstance(value, int):
                raise Refusal(400, f"{name} is a {wanted.__name__}")
        setattr(switches, name, value)
    return dataclasses.asdict(switches)


def _session(desk: Desk, asked: Json, name: str, act: str) -> Json:
    session = desk.find("checkout.session", name)
    if act == "expire":
        checkout.expire(desk, session)
        return session
    try:
        operate(desk, session, act, email=asked.get("email"), card=str(asked.get("card", "visa")))
    except Refusal as refusal:
        if refusal.status != 402:
            raise
    return session


def operate(desk: Desk, session: Json, act: str, *, email: str | None, card: str = "visa") -> None:
    """Do what a button of the hosted page does; raises the refusal of a declined card."""
    cards = {"pay": card, "save": card, "later": "later", "decline": "chargeDeclined"}
    if act not in cards:
        raise Refusal(404, UNKNOWN.format(act))
    if session["mode"] == "setup":
        if act == "later":
            raise Refusal(400, "A card is saved at once, or not.")
        checkout.save(desk, session, email=email, card=cards[act])
    else:
        checkout.pay(desk, session, email=email, card=cards[act])


def _payment(desk: Desk, _: Json, name: str, act: str) -> Json:
    if name.startswith("cs_"):
        name = desk.find("checkout.session", name)["payment_intent"] or ""
    intent = desk.find("payment_intent", name)
    checkout.settle(desk, intent, paid=_one_of(act, "succeed", "fail") == "succeed")
    return intent


def _refund(desk: Desk, asked: Json, name: str, act: str) -> Json:
    refund = desk.find("refund", name)
    succeeded = _one_of(act, "succeed", "fail") == "succeed"
    reason = str(asked.get("reason", "unknown"))
    after.finish_refund(desk, refund, succeeded=succeeded, reason=reason)
    return refund


def _dispute_opened(desk: Desk, asked: Json) -> Json:
    return after.open_dispute(
        desk, charge_of(desk, asked), reason=str(asked.get("reason", "fraudulent")),
        amount=int(asked["amount"]) if asked.get("amount") else None,
        status=str(asked.get("status", "needs_response")),
        withdraw=asked.get("withdraw", True) in (True, "true"),
    )  # fmt: skip


def _dispute(desk: Desk, asked: Json, name: str, act: str) -> Json:
    dispute = desk.find("dispute", name)
    if act == "withdraw":
        after.withdraw_funds(desk, dispute)
    elif act == "reinstate":
        after.reinstate_funds(desk, dispute, amount=asked.get("amount"))
    elif act == "under_review":
        after.update_dispute(desk, dispute, status=act)
    else:
        outcome = _one_of(act, "won", "lost", "prevented", "warning_closed")
        move_funds = asked.get("move_funds", True) in (True, "true")
        after.end_dispute(
            desk, dispute, outcome, move_funds=move_funds, returned=int(asked.get("returned", 0))
        )
    return dispute


def _method(desk: Desk, asked: Json, name: str, _: str) -> Json:
    method = desk.find("payment_method", name)
    if "behaviour" in asked:
        desk.behaviours[name] = _one_of(str(asked["behaviour"]), *methods.BEHAVIOURS)
    if asked.get("automatically_update"):
        renewed = {**method["card"], "exp_year": method["card"]["exp_year"] + 4}
        before = desk.change(method, card=renewed)
        desk.emit("payment_method.automatically_updated", method, before)
    return method


def _one_of(value: str, *allowed: str) -> str:
    if value not in allowed:
        raise Refusal(404, UNKNOWN.format(f"{value!r}, only {', '.join(allowed)}"))
    return value


def _plain(act: Callable[[Json], Any]) -> Act:
    async def do(asked: Json, _: str, __: str) -> Any:
        return act(asked)

    return do


def _on(desk: Desk, act: Callable[[Desk, Json, str, str], Json]) -> Act:
    async def do(asked: Json, name: str, what: str) -> Json:
        return shown(act(desk, asked, name, what))

    return do


def _handler(act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Read JSON or a form, act, and answer; a form from a page goes back to the page."""

    async def handle(request: web.Request) -> web.Response:
        raw = await request.read()
        is_form = request.content_type == "application/x-www-form-urlencoded"
        try:
            asked = parse_form(raw.decode()) if is_form else orjson.loads(raw or b"{}")
            done = await act(
                dict(asked), request.match_info.get("id", ""), request.match_info.get("act", "")
            )
        except Refusal as refusal:
            return _json(refusal.body, refusal.status)
        except (ValueError, KeyError, TypeError) as problem:
            body = {"error": {"message": f"{type(problem).__name__}: {problem}"}}
            return _json(body, 400)
        if is_form:
            return web.Response(status=303, headers={"Location": "/"})
        return _json({"done": True} if done is None else done)

    return handle


def _reader(read: Callable[[], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        return _json(read())

    return handle


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
