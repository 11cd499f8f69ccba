"""Read what was asked, and make of it what the vendor is sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from accounts import signingkeys, tokens
from accounts.signingkeys import ring
from apikeys import callers
from proxy import along, callbacks, dialect, forms, inputs
from proxy.asked import Asked
from proxy.catalogue import Kind, Takes
from proxy.relay import Lost, Outgoing, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apikeys.callers import Caller
    from proxy.catalogue import Route
    from proxy.credentials import Account
    from proxy.http import Request
    from proxy.process import Platform

PASSED_ON = ("content-type", "accept")
JSON = "application/json"
PAID = (Kind.SYNC, Kind.SUBMIT)
STREAM_SECONDS = 3600
"""The whole of an exchange whose body or answer passes through as it comes."""


async def read(platform: Platform, request: Request, route: Route, caller: Caller | None) -> Asked:
    """Read what a price or an id in it depends on: a body whole, except one that streams through.

    A large body is not read before its caller was looked up: strangers fill no memory.
    """
    operation = route.operation
    if caller is not None and request.is_large:
        await platform.books.may_call(route.vendor.name, caller)
        request.owner = caller.label
    asked = Asked(
        parts=route.parts,
        query=request.query if operation.query or operation.names else {},
        headers={
            name: value for name in operation.headers if (value := request.header(name.encode()))
        },
        caller=caller.name if caller is not None else b"",
    )
    if request.method == "GET":
        return asked
    if operation.takes is Takes.STREAM:
        request.check_stream_length()
    elif operation.takes is Takes.FORM:
        asked.form = await forms.read(request, repeated=operation.repeated)
        asked.body = dict(asked.form.fields)
    else:
        await request.read()
        if reads_body(route) or inputs.is_marked(request.body):
            asked.body = request.json()
    if caller is not None:
        await _look_at_files(platform, request, route, asked, caller)
    if operation.price.fits_wallet and caller is not None:
        asked.available = await platform.books.available(caller)
    return asked


async def _look_at_files(
    platform: Platform, request: Request, route: Route, asked: Asked, caller: Caller
) -> None:
    """Find the caller's files that are named, measure what a price needs, and send them along."""

    async def workspace() -> str:
        return await platform.books.may_call(route.vendor.name, caller)

    if asked.form is not None or inputs.is_marked(request.body):
        asked.files = await inputs.found_in(platform, asked.body, workspace)
    if route.operation.measures:
        asked.measured = await inputs.measured(platform, request, route, asked, workspace)
    if asked.files and not inputs.can_fetch(route.vendor):
        asked.uploads = along.uploads(route, asked)
        asked.along = await along.contents(request, route, asked)


def reads_body(route: Route) -> bool:
    """Whether anything depends on what the body says."""
    operation = route.operation
    return bool(operation.kind in PAID or operation.prepare or operation.uses or operation.names)


async def outgoing(
    platform: Platform,
    request: Request,
    route: Route,
    asked: Asked,
    *,
    account: Account,
    priced: Mapping[str, Any],
    name: str = "",
) -> Outgoing:
    """Return the request to the vendor, signed. Everything that can refuse it does so here.

    It is called `name` at a vendor that knows requests again.
    """
    operation = route.operation
    prepared = operation.prepare(asked, priced) if operation.prepare is not None else None
    if operation.kind in PAID:
        ours_alone = callbacks.left_out(asked.body if prepared is None else prepared)
        prepared = prepared if ours_alone is None else ours_alone
    headers = _headers(request, asked)
    if operation.known_by is not None and name:
        prepared = operation.known_by.put(name, headers, asked.body, prepared)
    parts: list[along.Attached] = []
    if asked.along or asked.uploads:
        body = asked.body if prepared is None else prepared
        prepared, parts = along.placed(route, asked, body)
    made = Outgoing(
        method=operation.sends or operation.method,
        url=_url(request, route, account, asked),
        headers=headers,
        silence_seconds=operation.timeout_seconds,
        total_seconds=operation.timeout_seconds,
        name=name,
        cover=account.redacted,
    )
    if operation.takes is Takes.STREAM:
        made.body, made.total_seconds = request.stream(), STREAM_SECONDS
        length = request.header(b"content-length")
        made.length = int(length) if length.isdigit() else None
    elif asked.form is not None:
        made.body, made.length, content_type = asked.form.sent(
            prepared, operation.file_names, multipart=operation.sends_form, more=parts
        )
        made.headers["content-type"] = content_type
        made.total_seconds = STREAM_SECONDS
    elif prepared is not None:
        if operation.sends_form or parts:
            made.body, made.headers["content-type"] = forms.written(prepared, parts)
        else:
            made.body, made.headers["content-type"] = orjson.dumps(prepared), JSON
        request.sent_as(len(made.body) + sum(map(len, asked.along.values())))
    else:
        made.body = request.body
        if made.body:
            # As JSON it is priced; as a form, or in another charset, it may say something else.
            made.headers["content-type"] = JSON
    scheme = operation.credential or route.vendor.credential
    try:
        await scheme.sign(made, account, platform.relay.exchange)
    except (Refused, Lost) as exc:
        # Who gives the token did not answer: of the call itself nothing was sent to anybody.
        raise dialect.unreachable(route.vendor) from exc
    return made


def _url(request: Request, route: Route, account: Account, asked: Asked) -> str:
    url, operation = route.url(account, asked), route.operation
    if operation.query and request.scope["query_string"]:
        given = {k: v for k, v in request.query.items() if k in operation.query}
        url += ("&" if "?" in url else "?") + urlencode(given) if given else ""
    return url


def _headers(request: Request, asked: Asked) -> dict[str, str]:
    passed = {name: value for name in PASSED_ON if (value := request.header(name.encode()))}
    return {**passed, **asked.headers}


async def caller_of(platform: Platform, request: Request) -> Caller:
    """Return who calls, as the request tells; raise Unauthorized if it does not.

    A bearer token wins over a key (contract 2.1). It is verified here, once for this process;
    whether its sign-in has ended is asked where it acts, as of a key.
    """
    given = request.header(b"authorization")
    if not given:
        return callers.by_key(request.key(), request.client)
    token, now = tokens.of_header(given), time.time()
    claims = tokens.remembered.get(token, now=now)
    if claims is None:
        if ring.is_due(tokens.kid_of(token)):
            ring.take(await platform.books.query(signingkeys.PUBLISHED))
        claims = tokens.verified(token, ring, now=now)
    return callers.by_token(claims, request.client)
