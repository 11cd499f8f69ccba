"""A vendor's long-running job: whose it is, what it says, and settling it when it ends.

    accept --> running --> delivered              paid for, and handed out as often as it is asked
                  |------> failed | moderated     nothing is charged; nothing is handed out
                  '------> expired                its time is over; nothing is charged
                              '--> delivered      it came all the same: charged anew, or kept back

Whoever sees the end first settles it: the member's poll or our own follower (tasks.py). Both call
`end`, and the hold can only be ended once. A poll is never refused for money, and only the
workspace that made the job may ask, or who holds the token that was embedded in its polling URL.
The vendor is asked once in an interval, whoever polls, in whichever process (looking.py).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from django.utils.translation import gettext_noop

from common import logs, metrics, rotating, tracing
from common.addresses import household
from common.errors import InsufficientCredits, JobExpired, NotFound, PlatformError, Unauthorized
from common.money import Micros, credits_text
from proxy import (
    choosing,
    dialect,
    findings,
    looking,
    measure,
    metered,
    passing,
    pollers,
    reading,
    remembered,
)
from proxy.asked import Asked, Evidence
from proxy.catalogue import SeveralJobs, asking
from proxy.dialect import Said, Verdict
from proxy.http import JSON_TYPE, parameters
from proxy.phases import Accept, Settle
from proxy.pricing import booked
from proxy.relay import Lost, Outgoing, Refused
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from proxy.catalogue import Ask, Job, Operation, Route, Vendor
    from proxy.http import Request
    from proxy.metered import Call
    from proxy.pricing.booked import Settled
    from proxy.process import Platform
    from proxy.relay import Reply
    from proxy.remembered import FoundJob

MARGIN_SECONDS = 600
"""A hold outlives its job's deadline by this, so that the follower has the last word."""
FIRST_POLL_SECONDS = 5
"""Our follower lets the member's own polls come first."""
ID_LIMIT = 1000
POLL_LIMIT_BYTES = 64 << 10
"""Of the body of a poll: it holds an id, and is read before anybody is asked whose it is."""
ENDS = {
    Verdict.DONE: "delivered",
    Verdict.FAILED: "failed",
    Verdict.REJECTED: "failed",
    Verdict.MISSING: "failed",
    Verdict.MODERATED: "moderated",
}
REASONS = {
    "failed": gettext_noop("The provider's job ended without a result."),
    "moderated": gettext_noop("The provider's moderation blocked it."),
    "expired": gettext_noop("The provider did not finish in time."),
}


# --- A job begins -------------------------------------------------------------------------------


async def accept(
    platform: Platform, request: Request, call: Call, reply: Reply, said: Said
) -> None:
    """Remember the job that the vendor took, durably; then give its id and our polling URL."""
    vendor, operation, job = call.route.vendor, call.route.operation, call.route.operation.job
    assert job is not None, "a submit has a job"
    named = operation.names
    job_id = job.job_id(said.json) if named is None else named.of(call.asked)
    if job_id is None or not 0 < len(job_id) <= ID_LIMIT or not job_id.isprintable():
        reason = "The provider named no job."
        await metered.settle(platform, call, reply, "refused", reason=reason)
        raise dialect.lost(vendor)
    poll = vendor.poll(job)
    settled = booked.Settled(call.fee)
    if call.fee is None:
        settled = booked.settle(
            operation.price, call.quote.inputs, Evidence(submit=said.json), most=call.quote.most
        )
    price = settled.price
    if settled.absurd is not None:
        await findings.absurd(platform.books, vendor.name, call.id, settled.absurd)
    body = _given(request, call, job, poll, job_id, said)
    headers = [*said.headers, *call.headers]
    if price is not None:
        # Clients do not read it on an absolute polling URL (client-behaviour C2).
        used = credits_text(min(price, call.quote.most))
        headers.append((b"x-comfy-credits-used", used.encode()))
    pending = call.pending_answer(request, reply.status, headers, body)
    ask = (job.ask and job.ask(call.route, said.json, call.account)) or asking(vendor, poll, job_id)
    accepting = _accepted(call, job, job_id, ask, settled, reply, said)
    if not await metered.owed(call, platform.books.accept(accepting, pending=pending)):
        # The hold ended meanwhile, or the job is another call's: not handed out, not paid for.
        reason = "The provider's job is not its own."
        await metered.settle(platform, call, reply, "refused", reason=reason)
        raise dialect.lost(vendor)
    metrics.outcome(vendor.name, "accepted")
    if tracing.tell is not None:
        tracing.tell(outcome="accepted")
    metered.served(platform, call, "accepted")
    logs.line(event="accepted", call=call.id, operation=call.route.name, held=call.quote.most)
    await request.answer(reply.status, body, headers)
    await platform.books.keep(call.id, pending)


def _accepted(
    call: Call, job: Job, job_id: str, ask: Ask, settled: Settled, reply: Reply, said: Said
) -> Accept:
    return Accept(
        hold=call.id,
        ttl=job.deadline_seconds + MARGIN_SECONDS,
        vendor=call.route.vendor.name,
        operation=call.route.name,
        scope=job.scope,
        vendor_job_id=job_id,
        vendor_request_id=reply.request_id,
        poll_url=ask.url,
        poll_method=ask.method,
        poll_body=ask.body,
        price=settled.price,
        most=call.quote.most,
        inputs={**call.quote.inputs, **settled.details},
        deadline=job.deadline_seconds,
        first_poll=FIRST_POLL_SECONDS,
        kept_seconds=job.kept_seconds,
        account=call.account.name,
        assets=[(job.scope, job_id), *job.assets(said.json)],
    )


def _given(
    request: Request, call: Call, job: Job, poll: Operation, job_id: str, said: Said
) -> bytes:
    """Return what the member reads of a job that was taken: never what it made.

    A vendor that was fast, or was asked again later, may tell of the end already; that is a poll's
    to give, once it is paid for. What a lookup says is as a poll's, with what our account paid.
    """
    operation = call.route.operation
    is_looked_up = call.asked_again and operation.known_by and operation.known_by.lookup
    answer, is_raw = said.json, False
    if is_looked_up or any(job.results(answer)):
        answer = job.pending(job_id)
    elif operation.reply is not None:
        answer = operation.reply(answer)
    else:
        is_raw = True
    if job.rewrite is not None:
        return orjson.dumps(job.rewrite(answer, polling_url(request, poll, job_id, call.id)))
    return said.body if is_raw else orjson.dumps(answer)


def token(job_id: str) -> str:
    """Return the secret part of a job's polling URL: 128 bits that only this platform can make."""
    return _token(job_id, rotating.secret_keys()[0])


def is_token(given: str, job_id: str) -> bool:
    """Whether somebody has that, by the SECRET_KEY of today or one that is still known."""
    return any(
        hmac.compare_digest(given.encode(), _token(job_id, key).encode())
        for key in rotating.secret_keys()
    )


def _token(job_id: str, key: bytes) -> str:
    return hmac.digest(key, b"job:" + job_id.encode(), "sha256").hex()[:32]


def polling_url(request: Request, poll: Operation, job: str, call: str) -> str:
    """Return the absolute URL of ours at which this job can be polled without a credential."""
    assert poll.names is not None, "a poll names its job"
    where = f"{poll.names.name}={quote(job, safe='')}"
    return f"{request.origin()}/proxy/{poll.path}?{where}&token={token(call)}"


# --- A job is asked for -------------------------------------------------------------------------


async def poll(platform: Platform, request: Request, route: Route) -> None:
    """Answer a member's poll with the vendor's own words; settle the job if they say its end.

    While the vendor cannot be asked, the answer is "still running": a client of October 2025
    gives a job up on any other (client-behaviour 3).
    """
    try:
        found, shape = await _find(platform, request, route)
    except NotFound:
        if not route.operation.public:
            raise
        await passing.free(platform, request, route)
        return
    said = await seen(platform, found, shape)
    headers = [JSON_TYPE, (b"call-id", found.id.encode())]
    if found.outcome == "delivered":
        headers.append((b"x-comfy-credits-used", credits_text(found.price or 0).encode()))
    await request.answer(200, _words(route, found, shape, said), headers)


def _words(route: Route, found: FoundJob, shape: Job, said: Said | None) -> bytes:
    """Return what the member reads: of an end only what is paid for, or why there is nothing."""
    if found.outcome == "expired":
        raise JobExpired(
            f"{route.vendor.display} did not finish in time. Nothing was charged. Run the node "
            "again, or ask later: what comes is yours once it is paid for."
        )
    if found.outcome not in ("", "delivered") and said is None:
        told = shape.failed(found.vendor_job_id, REASONS.get(found.outcome, ""))
        return orjson.dumps(told)
    if said is None:
        return orjson.dumps(shape.pending(found.vendor_job_id))
    if found.outcome != "delivered":
        return orjson.dumps(_unpaid(route, found, shape, said))
    if route.operation.reply is not None:
        return orjson.dumps(_translated(route, said.json))
    return said.body


def _unpaid(route: Route, found: FoundJob, shape: Job, said: Said) -> Any:
    """Return the vendor's words of what runs or failed: nothing of our account, and no result.

    A vendor may show a part of it while it works, or what its moderation then keeps back. What it
    says of a job that it lost is an error, in which no client finds a state.
    """
    judged = shape.judge(said)
    if found.outcome and judged is not None and judged.verdict is Verdict.MISSING:
        return shape.failed(found.vendor_job_id, REASONS.get(found.outcome, ""))
    if any(shape.results(said.json)):
        if not found.outcome:
            return shape.pending(found.vendor_job_id)
        return shape.failed(found.vendor_job_id, REASONS[found.outcome])
    return dialect.cleaned(route.vendor, _translated(route, said.json))


def _translated(route: Route, answer: Any) -> Any:
    return route.operation.reply(answer) if route.operation.reply is not None else answer


async def seen(platform: Platform, found: FoundJob, shape: Job) -> Said | None:
    """Return what the vendor says of a job, None if it says nothing now; `found` then is settled.

    A result is returned only if it is paid for.
    """
    vendor = catalogue().vendors[found.vendor]
    if found.outcome in ("failed", "moderated"):
        before = await remembered.said_of(platform.books, found.id)
        return before if before is not None and not _is_result(shape, before) else None
    said = await looking.look(platform, vendor, found, shape)
    judged = shape.judge(said) if said is not None else None
    if said is None or judged is None or judged.verdict not in ENDS:
        return said if judged is not None and judged.verdict is Verdict.RUNNING else None
    if judged.verdict is Verdict.MISSING and found.age_seconds < looking.NOT_YET_SECONDS:
        return None
    outcome = ENDS[judged.verdict]
    if found.outcome == "expired":
        return await _come_late(platform, found, said) if outcome == "delivered" else None
    if not found.outcome:
        await end(platform, found, outcome, said)
    return said if outcome == found.outcome else None


def _is_result(shape: Job, said: Said) -> bool:
    judged = shape.judge(said)
    return judged is not None and judged.verdict is Verdict.DONE


async def result(platform: Platform, request: Request, route: Route) -> None:
    """Give what a job made, to its owner only, and only once it is paid for."""
    await platform.vault.ready(platform.books)
    caller = await reading.caller_of(platform, request)
    asked = await reading.read(platform, request, route, caller)
    assert route.operation.names is not None, "a result names its job"
    asset = (route.operation.scope, route.operation.names.of(asked))
    workspace = await platform.books.may_call(route.vendor.name, caller, [asset])
    found = await remembered.job_of(platform.books, route.vendor.name, asset)
    if found is None and not route.operation.of_call:
        raise NotFound("There is no result of this job any more.")
    if found is not None:
        shape = _shape(found)
        await seen(platform, found, shape)
        if found.outcome != "delivered":
            raise NotFound("There is no result of this job (yet).")
    made = await platform.books.made_under(route.vendor.name, [asset])
    account = choosing.of_maker(platform, route, *made, workspace=workspace)
    outgoing = await reading.outgoing(platform, request, route, asked, account=account, priced={})
    try:
        reply = await platform.relay.exchange(outgoing)
    except Refused as exc:
        raise dialect.unreachable(route.vendor) from exc
    except Lost as exc:
        raise dialect.lost(route.vendor) from exc
    try:
        await passing.give(
            platform, request, route, account=account, reply=reply, workspace=workspace
        )
    except passing.Unserved as exc:
        raise exc.refusal from exc  # No other account has it.
    except Lost as exc:
        raise dialect.lost(route.vendor) from exc
    finally:
        reply.close()


async def _find(platform: Platform, request: Request, route: Route) -> tuple[FoundJob, Job]:
    """Return the asked job, or raise NotFound or Unauthorized.

    The job is named where the catalogue says, or by `polling_url` (the node of August 2026 hands
    back the one we gave it, contract 6.4): only the parts of it are read, it is never fetched.
    """
    operation = route.operation
    assert operation.names is not None, "a poll names its job"
    if request.method != "GET":
        await request.read(POLL_LIMIT_BYTES)
    query = request.query
    if operation.names.name not in query and "polling_url" in query:
        query = parameters(query["polling_url"].partition("?")[2])
    body = request.json() if operation.names.where == "body" else {}
    asked = Asked(parts=route.parts, query=query, body=body)
    name, given = _named(operation, asked), query.get("token", "")
    if given:
        pollers.by_token.check(household(request.client))
    caller = None if given else await reading.caller_of(platform, request)
    looked = await platform.books.find_job(route.vendor.name, operation.scope, name, caller)
    if not given and not looked.known:
        raise Unauthorized("This API key or sign-in is unknown, expired or ended.")
    found = remembered.found(looked.job) if looked.job is not None else None
    if found is None or not (is_token(given, found.id) if given else looked.own):
        raise NotFound("Task not found. It is unknown, or another workspace's.")
    shape = _shape(found)
    if operation.path not in (shape.poll, *shape.also_polled):
        raise NotFound("Task not found. It is another operation's.")
    return found, shape


def _named(operation: Operation, asked: Asked) -> str:
    assert operation.names is not None, "a poll names its job"
    try:
        return operation.names.of(asked)
    except SeveralJobs:
        raise
    except PlatformError as exc:
        raise NotFound("A poll needs the id of its job.") from exc


def _shape(found: FoundJob) -> Job:
    submit = catalogue().submit(found.vendor, found.operation)
    if submit is None or submit.operation.job is None:
        raise NotFound("Task not found. Its operation is no longer served.")
    return submit.operation.job


# --- A job ends ---------------------------------------------------------------------------------


async def end(platform: Platform, found: FoundJob, outcome: str, said: Said | None) -> None:
    """Settle a job that ended, once; `found` then says how it ended, whoever settled it.

    A delivered one costs what its submit answer said, what its end says, or what the delivered
    file measures.
    """
    charged = Micros(0)
    details: dict[str, Any] = {}
    if outcome == "delivered" and said is not None:
        charged, details = await _price(platform, found, said)
    settled = await platform.books.settle(
        Settle(
            hold=found.id,
            wallet=found.workspace,
            outcome=outcome,
            charged=charged,
            reason="" if outcome == "delivered" else REASONS[outcome],
            status=said.status if said else 0,
            vendor_job_id=found.vendor_job_id[:200],
            vendor_request_id=found.vendor_request_id,
            details=details,
            is_job=True,
            vendor=found.vendor,
            account=found.account,
            assets=_assets(found, said) if outcome == "delivered" else None,
        )
    )
    if settled is None:
        again = await remembered.read(platform.books, found.id)
        found.outcome, found.price = (again.outcome, again.price) if again else ("expired", None)
        return
    found.outcome, found.price = outcome, settled.charged
    metrics.outcome(found.vendor, outcome)
    if tracing.tell is not None:
        tracing.tell(call=found.id, outcome=outcome, charged_micros=settled.charged)
    platform.health.note(found.vendor, found.account, outcome)
    logs.line(
        event="job", call=found.id, operation=found.operation, outcome=outcome, charged=charged
    )


def _assets(found: FoundJob, said: Said | None) -> list[tuple[str, str]] | None:
    submit = catalogue().submit(found.vendor, found.operation)
    if submit is None or submit.operation.job is None or said is None:
        return None
    return list(submit.operation.job.assets(said.json)) or None


async def _price(platform: Platform, found: FoundJob, said: Said) -> tuple[Micros, dict[str, Any]]:
    """Return what a delivered job costs, and what was measured for it."""
    if found.price is not None:
        known = {name: found.inputs[name] for name in ("retail",) if name in found.inputs}
        return Micros(found.price), known
    submit = catalogue().submit(found.vendor, found.operation)
    assert submit is not None, "a job whose operation is gone is not judged"
    shape, measured, details = submit.operation.job, {}, {}
    assert shape is not None, "a submit has a job"
    if shape.measured:
        urls = list(shape.results(said.json))
        length = shape.stated(said.json)
        if length is None:
            length = await _length(platform, submit.vendor, urls, shape.measured)
        measured = {} if length is None else {shape.measured: length}
        told = None if length is None else round(float(length), 3)
        details = {f"measured_{shape.measured}": told}
        if length is None:
            await findings.unmeasured(platform.books, submit.vendor.name, found, urls)
    settled = booked.settle(
        submit.operation.price,
        found.inputs,
        Evidence(end=said.json if said.json is not None else {}, measured=measured),
        most=Micros(found.most),
    )
    assert settled.price is not None, "what is final has a price"
    if settled.absurd is not None:
        await findings.absurd(platform.books, found.vendor, found.id, settled.absurd)
    if not submit.operation.reports(said.json):
        await findings.unreported(platform.books, found.vendor, found.operation, found.id)
    return settled.price, {**details, **settled.details}


async def _length(platform: Platform, vendor: Vendor, urls: list[str], what: str) -> Any:
    """Return the length of what was delivered, None if it cannot be read."""
    url = urls[0] if urls else ""
    if not vendor.may_fetch(url):
        return None
    try:
        reply = await platform.relay.exchange(
            Outgoing("GET", url, {}, silence_seconds=30, total_seconds=60)
        )
        try:
            if reply.status != 200:
                return None
            return await measure.delivered(what, reply.chunks())
        finally:
            reply.close()
    except (Refused, Lost):
        return None


async def _come_late(platform: Platform, found: FoundJob, said: Said) -> Said | None:
    """Charge a result that came after its hold had ended; raise if it cannot be paid for.

    None while another request does that: until then the job reads as one that runs.
    """
    if not await remembered.claim_late(platform.books, found):
        again = await remembered.read(platform.books, found.id)
        if again is None or again.outcome != "delivered":
            found.outcome = ""
            return None
        found.outcome, found.price = again.outcome, again.price
        return said
    price, details = await _price(platform, found, said)
    charged = await remembered.charge_late(platform.books, found, price, details)
    if charged is None:
        raise InsufficientCredits(
            "The result came after its time was over, and your credits do not cover it now. Add "
            "credits, and ask for it again."
        )
    found.outcome, found.price = "delivered", charged
    assets = _assets(found, said) or []
    await platform.books.own(found.vendor, found.workspace, assets, account=found.account)
    logs.line(event="late_result", call=found.id, operation=found.operation, charged=charged)
    return said
