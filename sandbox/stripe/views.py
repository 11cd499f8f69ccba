"""How objects are answered: expanded where asked, and in pages, newest first."""

import copy
from collections.abc import Callable
from typing import Any

from sandbox.stripe import objects
from sandbox.stripe.desk import Desk, shown
from sandbox.stripe.wire import Json, Refusal, integer, listing, mapping, text

DEEPEST = 4
# Objects that a name holds only when it is asked for.
_Included = Callable[[Desk, Json], Json]
INCLUDED: dict[tuple[str, str], _Included] = {
    ("checkout.session", "line_items"): lambda _, session: objects.listed(
        copy.deepcopy(session["_lines"]), f"/v1/checkout/sessions/{session['id']}/line_items"
    ),
    ("charge", "refunds"): lambda desk, charge: objects.listed(
        [copy.deepcopy(each) for each in desk.all("refund") if each["charge"] == charge["id"]],
        f"/v1/charges/{charge['id']}/refunds",
    ),
}


def answer(desk: Desk, thing: Json, params: Json) -> Json:
    """Give a copy of an object, or of a page of them, expanded as asked."""
    given = copy.deepcopy(shown(thing))
    for path in listing(params, "expand"):
        steps = str(path).split(".")
        if len(steps) > DEEPEST + (given.get("object") == "list"):
            raise Refusal(400, f"You cannot expand more than {DEEPEST} levels of a property.")
        _expand(desk, given, steps, str(path))
    return given


def _expand(desk: Desk, thing: Any, steps: list[str], path: str) -> None:
    if isinstance(thing, list):
        for each in thing:
            _expand(desk, each, steps, path)
        return
    if not steps or thing is None:
        return
    name = steps[0]
    build = INCLUDED.get((thing.get("object", ""), name))
    if build is not None and name not in thing:
        thing[name] = build(desk, desk.objects[thing["id"]])
    if name not in thing or isinstance(thing[name], (int, bool)):
        raise Refusal(
            400,
            f"This property cannot be expanded ({path}). You may want to try expanding another "
            "property, or check the documentation.",
        )
    value = thing[name]
    if isinstance(value, str):
        if value not in desk.objects:
            raise Refusal(400, f"This property cannot be expanded ({path}).")
        thing[name] = copy.deepcopy(shown(desk.objects[value]))
    _expand(desk, thing[name], steps[1:], path)


def page(desk: Desk, things: list[Json], params: Json, url: str) -> Json:
    """Cut a page out of things that stand newest first."""
    limit = integer(params, "limit") if "limit" in params else 10
    if not 1 <= limit <= 100:
        raise Refusal.invalid("limit", "This value must be between 1 and 100.")
    after, before = text(params, "starting_after"), text(params, "ending_before")
    if after and before:
        raise Refusal(400, "You may only specify one of starting_after and ending_before.")
    things = [each for each in things if _is_created_within(each, params)]
    if before:
        newer = things[: _position(desk, things, before, "ending_before")]
        chosen, more = newer[-limit:], len(newer) > limit
    else:
        start = _position(desk, things, after, "starting_after") + 1 if after else 0
        rest = things[start:]
        chosen, more = rest[:limit], len(rest) > limit
    return objects.listed([shown(each) for each in chosen], url, has_more=more)


def _position(desk: Desk, things: list[Json], name: str, param: str) -> int:
    for position, each in enumerate(things):
        if each["id"] == name:
            return position
    raise Refusal.invalid(param, f"No such object: '{name}'", code="resource_missing")


def _is_created_within(thing: Json, params: Json) -> bool:
    """Tell whether an object was created when `created` says."""
    if "created" not in params:
        return True
    made = int(thing["created"])
    if isinstance(params["created"], str):
        return made == integer(params, "created")
    bounds = mapping(params, "created")
    unknown = set(bounds) - {"gt", "gte", "lt", "lte"}
    if unknown:
        raise Refusal.invalid("created", f"Received unknown parameter: created[{unknown.pop()}]")
    return all(
        {
            "gt": made > (bound := integer(bounds, name)),
            "gte": made >= bound,
            "lt": made < bound,
            "lte": made <= bound,
        }[name]
        for name in bounds
    )
