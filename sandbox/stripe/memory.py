"""What the fake remembers over a restart: a file, written before a change is answered.

So that a platform whose data is kept finds its customers and payments again. Idempotency keys,
planned failures and what is on its way to a webhook are forgotten.
"""

import dataclasses
from pathlib import Path

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sandbox.stripe.desk import Desk, Switches


def restore(desk: Desk, file: Path) -> None:
    """Be as the file says, if there is one."""
    if not file.exists():
        return
    kept = orjson.loads(file.read_bytes())
    desk.objects.update(kept["objects"])
    desk.behaviours.update(kept["behaviours"])
    desk.switches = Switches(**kept["switches"])
    desk.invoices_numbered = kept["invoices_numbered"]
    desk.skew_seconds = kept["skew_seconds"]


def save(desk: Desk, file: Path) -> None:
    """Write the file anew, whole or not at all."""
    kept = {
        "objects": desk.objects,
        "behaviours": desk.behaviours,
        "switches": dataclasses.asdict(desk.switches),
        "invoices_numbered": desk.invoices_numbered,
        "skew_seconds": desk.skew_seconds,
    }
    new = file.with_suffix(".new")
    new.write_bytes(orjson.dumps(kept))
    new.replace(file)


def keeping(desk: Desk, file: Path) -> Middleware:
    """Save after each request that may have changed something, before it is answered."""

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        finally:
            if request.method != "GET":
                save(desk, file)

    return keep
