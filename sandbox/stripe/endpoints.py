"""Where events go, as Stripe's two APIs tell it: the fake has one address, that of its webhook.

The first API knows endpoints of whole events; thin ones are for the second alone.
"""

from sandbox.stripe import objects
from sandbox.stripe.desk import Desk, new_id
from sandbox.stripe.resources import PAGING, Call, Route
from sandbox.stripe.wire import Json, Refusal, listing, text

NAME = "we_fake"


def _endpoints(call: Call) -> Json:
    hook = call.desk.webhook
    found = [] if hook.thin or not hook.url else [_endpoint(call.desk)]
    return objects.listed(found, call.path)


def _make(call: Call) -> Json:
    """Have events go there from now on, and nowhere else; the secret is told once."""
    hook, url = call.desk.webhook, text(call.params, "url")
    if not url:
        raise Refusal.invalid("url", "Missing required param: url.")
    hook.url, hook.thin, hook.enabled = url, False, True
    hook.events = [str(each) for each in listing(call.params, "enabled_events")] or ["*"]
    hook.secrets = [new_id("whsec")]
    return {**_endpoint(call.desk), "secret": hook.secrets[0]}


def _endpoint(desk: Desk) -> Json:
    hook = desk.webhook
    return {
        "id": NAME, "object": "webhook_endpoint", "api_version": None, "application": None,
        "created": desk.now(), "description": None, "enabled_events": list(hook.events),
        "livemode": False, "metadata": {}, "status": "enabled" if hook.enabled else "disabled",
        "url": hook.url,
    }  # fmt: skip


def _destinations(call: Call) -> Json:
    """List all of them, as the second API does; an address is shown only to who asks for it."""
    hook = call.desk.webhook
    asked = "webhook_endpoint.url" in listing(call.params, "include")
    found = [
        {
            "id": NAME, "object": "v2.core.event_destination", "description": "", "livemode": False,
            "name": "The fake's own", "type": "webhook_endpoint", "events_from": ["self"],
            "enabled_events": [f"v1.{each}" if hook.thin else each for each in hook.events],
            "event_payload": "thin" if hook.thin else "snapshot", "metadata": {},
            "status": "enabled" if hook.enabled else "disabled",
            "webhook_endpoint": {"url": hook.url if asked else None, "signing_secret": None},
        }
    ]  # fmt: skip
    return {
        "object": "list",
        "data": found if hook.url else [],
        "next_page_url": None,
        "previous_page_url": None,
    }


ROUTES = (
    Route("GET", "/v1/webhook_endpoints", _endpoints, PAGING),
    Route("POST", "/v1/webhook_endpoints", _make, frozenset({"url", "enabled_events"})),
    Route("GET", "/v2/core/event_destinations", _destinations, frozenset({"include", "limit"})),
)
