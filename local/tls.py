"""Ends TLS before a web process on this machine, as a reverse proxy does: for local trials.

`python -m local.tls --port 8443 --to http://127.0.0.1:8000 --cert FILE --key FILE`. It says from
where a request comes (`X-Forwarded-*`), whatever was said of that before, and passes bodies and
answers on as they come.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

OF_ONE_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade", "expect")
)  # fmt: skip
NO_LIMIT = aiohttp.ClientTimeout(total=None, connect=5)


class Forwarder:
    """Passes requests on to one address."""

    def __init__(self, to: str) -> None:
        self._to = to.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def session(self, app: web.Application) -> object:
        """Have connections to the web process, from the start to the end."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=NO_LIMIT,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as self._session:
            yield

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Ask the web process, and answer with what it says."""
        assert self._session is not None, "it is there before anybody asks"
        answer = None
        try:
            async with self._session.request(
                request.method,
                URL(self._to + request.raw_path, encoded=True),
                headers=_said(request),
                data=request.content if request.can_read_body else None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as got:
                answer = web.StreamResponse(
                    status=got.status, reason=got.reason, headers=_kept(got.headers)
                )
                await answer.prepare(request)
                async for part in got.content.iter_any():
                    await answer.write(part)
                await answer.write_eof()
        except aiohttp.ClientError:
            if answer is None:
                return web.Response(status=502, text="The web process does not answer.\n")
            if request.transport is not None:
                request.transport.abort()  # What came is not whole, and must not look so.
        return answer


def _said(request: web.Request) -> CIMultiDict[str]:
    headers = _kept(request.headers)
    for name in [name for name in headers if name.lower().startswith("x-forwarded-")]:
        headers.popall(name, None)
    headers["X-Forwarded-Proto"] = "https"
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-For"] = request.remote or ""
    return headers


def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict(headers)
    for name in OF_ONE_HOP:
        kept.popall(name, None)
    return kept


async def serve(*, host: str, port: int, to: str, context: ssl.SSLContext) -> web.AppRunner:
    """Listen; return what ends it."""
    forwarder = Forwarder(to)
    app = web.Application(client_max_size=0)
    app.cleanup_ctx.append(forwarder.session)  # type: ignore[arg-type]
    app.router.add_route("*", "/{any:.*}", forwarder.pass_on)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=context).start()
    return runner


async def forever(options: argparse.Namespace) -> None:
    """Serve until we are ended."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.cert, options.key)
    runner = await serve(host=options.host, port=options.port, to=options.to, context=context)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the flags, and serve."""
    parser = argparse.ArgumentParser(prog="local.tls", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    asyncio.run(forever(parser.parse_args()))


if __name__ == "__main__":
    main()
