"""A vendor's long-running job: whose it is, what it says, and settling it when it ends.

Whoever sees the end first settles it: the member's poll or our own follower (tasks.py). Both call
`end`, and the hold can only be ended once. A poll is never refused for money, and only the
workspace that made the job may ask, or who holds the token that was embedded in its polling URL.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from django.conf import settings

from apikeys import keys
from common import logs, metrics
from common.errors import NotFound, Unauthorized
from common.money import Micros, credits_text
from proxy import measure
from proxy.books import FoundJob, Settle
from proxy.http import JSON_TYPE, parameters
from proxy.relay import Lost, Refused
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from proxy.catalogue import Operation, Route, Vendor
    from proxy.http import Request
    from proxy.process import Platform

ANSWER_LIMIT_BYTES = 32 << 20
MARGIN_SECONDS = 600
"""A hold outlives its job's deadline by this, so that the follower has the last word."""

REASONS = {
    "failed": "The provider's job ended without a result.",
    "moderated": "The provider's moderation blocked it.",
    "expired": "The provider did not finish in time.",
}


def token(job_id: str) -> str:
    """Return the secret part of a job's polling URL: 128 bits that only this platform can make."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"job:" + job_id.encode(), "sha256").hex()[:32]


def polling_url(request: Request, operation: Operation, vendor: Vendor, job: str, call: str) -> str:
    """Return the absolute URL of ours at which this job can be polled without a credential."""
    path = f"/proxy/{vendor.name}/{operation.path}"
    return f"{request.origin()}{path}?id={quote(job, safe='')}&token={token(call)}"


async def poll(platform: Platform, request: Request, route: Route) -> None:
    """Answer a member's poll with the vendor's own words; settle the job if they say its end.

    While the vendor cannot be asked, the answer is "still running": a client of October 2025
    gives a job up on any other (client-behaviour 3).
    """
    job = await _find(platform, request, route)
    vendor, shape = route.vendor, route.vendor.job
    assert shape is not None, "a vendor with a poll has jobs"
    headers = [JSON_TYPE, (b"call-id", job.id.encode())]
    said = await ask(platform, vendor, job)
    if said is None:
        await request.answer(200, orjson.dumps(shape.pending(job.vendor_job_id)), headers)
        return
    body, raw = said
    outcome = shape.outcome(body)
    if outcome is not None:
        charged = await end(platform, job, outcome, body)
        if charged is not None and outcome == "delivered":
            headers.append((b"x-comfy-credits-used", credits_text(charged).encode()))
    await request.answer(200, raw, headers)


async def ask(
    platform: Platform, vendor: Vendor, job: FoundJob
) -> tuple[dict[str, Any], bytes] | None:
    """Return what the vendor says of a job now, or None if it cannot be asked at the moment.

    Parsed, and as it came: a member gets the vendor's own bytes.
    """
    if not vendor.owns(job.poll_url):
        return None  # The operator moved the vendor's address; the deadline ends this job.
    try:
        reply = await platform.relay.poll(vendor, job.poll_url)
        try:
            raw = await reply.read(ANSWER_LIMIT_BYTES)
        finally:
            reply.close()
        parsed = orjson.loads(raw)
    except (Refused, Lost, orjson.JSONDecodeError):
        return None
    if not isinstance(parsed, dict):
        return None
    known = vendor.job is not None and vendor.job.outcome(parsed) is not None
    # BFL says "Task not found" with a 404, and that is an end; any other status is a bad moment.
    return (parsed, raw) if reply.status == 200 or (reply.status == 404 and known) else None


async def end(
    platform: Platform, job: FoundJob, outcome: str, answer: dict[str, Any]
) -> Micros | None:
    """Settle a job that ended, once; return what it cost (micros), None if nobody knows now.

    A delivered one costs what its submit answer said, or what the delivered file measures.
    """
    if job.ended:
        return Micros(job.price or 0) if job.outcome == "delivered" else Micros(0)
    charged = Micros(0)
    details: dict[str, Any] = {}
    if outcome == "delivered":
        charged, details = await _price(platform, job, answer)
    settled = await platform.books.settle(
        Settle(
            hold=job.id,
            wallet=job.workspace,
            outcome=outcome,
            charged=charged,
            reason="" if outcome == "delivered" else REASONS[outcome],
            status=200,
            vendor_job_id=job.vendor_job_id,
            vendor_request_id=job.vendor_request_id,
            details=details,
            is_job=True,
        )
    )
    if settled is None:
        return None
    metrics.outcome(job.vendor, outcome)
    logs.line(event="job", call=job.id, operation=job.operation, outcome=outcome, charged=charged)
    return Micros(settled.charged)


async def _price(
    platform: Platform, job: FoundJob, answer: dict[str, Any]
) -> tuple[Micros, dict[str, Any]]:
    if job.price is not None:
        return Micros(job.price), {}
    route = catalogue().operation(job.operation)
    assert route.vendor.job is not None, "only a job is measured at its end"
    url = route.vendor.job.result_url(answer)
    seconds = None
    if url is not None and route.vendor.owns(url):
        try:
            reply = await platform.relay.fetch(url)
            try:
                seconds = await measure.mp4_seconds(reply.chunks()) if reply.status == 200 else None
            finally:
                reply.close()
        except (Refused, Lost):
            seconds = None
    price = route.operation.price.measured(job.inputs, seconds)
    return price, {"measured_seconds": None if seconds is None else round(float(seconds), 3)}


async def _find(platform: Platform, request: Request, route: Route) -> FoundJob:
    """Return the asked job, or raise NotFound or Unauthorized.

    The job is named by `id`, or by `polling_url` (the node of August 2026 hands back the one we
    gave it, contract 6.4): only the parts of it are read, it is never fetched.
    """
    query = request.query
    if "id" not in query and "polling_url" in query:
        query = parameters(query["polling_url"].partition("?")[2])
    name, given = query.get("id", ""), query.get("token", "")
    if not name or len(name) > 200 or "\x00" in name:
        raise NotFound("A poll needs the id of its job.")
    digests = [] if given else keys.digests(request.credential())
    job, known, own = await platform.books.find_job(route.vendor.name, name, digests)
    if not given and not known:
        raise Unauthorized("This API key is unknown, expired or revoked.")
    if job is None or not (
        hmac.compare_digest(given.encode(), token(job.id).encode()) if given else own
    ):
        raise NotFound("Task not found. It is unknown, or another workspace's.")
    return job
