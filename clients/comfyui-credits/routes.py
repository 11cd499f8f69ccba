"""The page on which this machine is paired, and what it asks: /comfyui-credits.

Whoever may open this ComfyUI may pair it while it has no key; once it has one, only whoever can
remove a file on the machine may pair it anew. A page of another site can do nothing here.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from aiohttp import web

from . import place
from .pairing import Away, Pairing, Refused

PATH = "/comfyui-credits"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
}
FILES = {"": "page.html", "/page.js": "page.js", "/page.css": "page.css"}
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
PAGE = place.HERE / "page"


def add(routes: web.RouteTableDef, pairing: Pairing) -> None:
    """Have ComfyUI answer there."""
    for path, name in FILES.items():
        routes.get(PATH + path)(_file(name))

    @routes.get(f"{PATH}/state")
    async def state(request: web.Request) -> web.Response:
        return web.json_response(pairing.shown(), headers=HEADERS)

    for name, act in (
        ("begin", pairing.begin),
        ("confirm", pairing.confirm),
        ("give-up", pairing.give_up),
    ):
        routes.post(f"{PATH}/{name}")(_acting(pairing, act))


def is_ours(request: web.Request) -> bool:
    """Whether a page of this ComfyUI asks: no other site's can send JSON without being asked."""
    if request.content_type != "application/json":
        return False
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()


def _file(name: str):
    async def answer(request: web.Request) -> web.Response:
        kind = KINDS[name.rpartition(".")[2]]
        text = (PAGE / name).read_text("utf-8")
        return web.Response(text=text, content_type=kind, charset="utf-8", headers=HEADERS)

    return answer


def _acting(pairing: Pairing, act):
    async def answer(request: web.Request) -> web.Response:
        if not is_ours(request):
            return web.json_response({"message": "Use this machine's own page."}, status=403)
        try:
            await asyncio.get_running_loop().run_in_executor(None, act)
        except (Refused, Away) as why:
            return web.json_response({**pairing.shown(), "message": str(why)}, headers=HEADERS)
        return web.json_response(pairing.shown(), headers=HEADERS)

    return answer
