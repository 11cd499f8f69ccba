"""Let a browser come back from the platform's page of signing in.

A ComfyUI without `--enable-cors-header` refuses whatever a browser marks as coming from another
site, also the plain way back to its own first page. This lets that one through, and nothing else:
no other address, no other method, no frame, no request of a script.
"""

from __future__ import annotations

from aiohttp import web

MARK = "Sec-Fetch-Site"


def is_way_back(request: web.BaseRequest) -> bool:
    """Whether a person comes back to the first page with the answer of signing in."""
    headers, query = request.headers, request.query
    return (
        request.method == "GET"
        and request.path == "/"
        and headers.get(MARK) == "cross-site"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and "state" in query
        and ("code" in query or "error" in query)
    )


@web.middleware
async def way_back(request: web.Request, handler):
    """Hand the request on; without the mark, if it is that one."""
    if is_way_back(request):
        headers = request.headers.copy()
        headers.popall(MARK)
        request = request.clone(headers=headers)
    return await handler(request)
