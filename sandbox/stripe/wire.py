"""The wire as Stripe speaks it: forms with nested brackets in, objects and its errors out."""

import re
from typing import Any, Self
from urllib.parse import parse_qsl

Json = dict[str, Any]

_SEGMENT = re.compile(r"\[([^\[\]]*)\]")
_CARD_MESSAGES = {
    "card_declined": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": (
        "Your card was declined. This transaction requires authentication."
    ),
}


class Refusal(Exception):
    """An answer in the shape of Stripe's errors.

    `stored` tells whether an idempotency key remembers it: Stripe stores what was tried and
    failed, and not what never began.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        stored: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        error = {"code": code, "message": message, "param": param, "type": kind, **more}
        self.error = {name: value for name, value in error.items() if value is not None}

    @property
    def body(self) -> Json:
        """Give the answer's content."""
        return {"error": self.error}

    @classmethod
    def missing(cls, param: str) -> Self:
        """Refuse for want of a parameter."""
        return cls(400, f"Missing required param: {param}.", code="parameter_missing", param=param)

    @classmethod
    def invalid(cls, param: str, message: str, *, code: str | None = None) -> Self:
        """Refuse a value that a parameter cannot have."""
        return cls(400, message, code=code, param=param)

    @classmethod
    def state(cls, code: str, message: str, **more: Any) -> Self:
        """Refuse what is well-formed, but not possible in the object's state."""
        return cls(400, message, code=code, stored=True, **more)

    @classmethod
    def card(cls, code: str, decline_code: str | None = None, **more: Any) -> Self:
        """Refuse as the card's issuer does."""
        return cls(
            402,
            _CARD_MESSAGES[code],
            kind="card_error",
            code=code,
            stored=True,
            decline_code=decline_code,
            doc_url=f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
            **more,
        )


def parse_form(text: str) -> Json:
    """Read `a[b][0][c]=d` into dictionaries and lists."""
    tree: Json = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise Refusal(400, "Invalid request body: it is not UTF-8.") from None
    for name, value in pairs:
        head = name.split("[", 1)[0]
        rest = name[len(head) :]
        segments = _SEGMENT.findall(rest)
        if not head or "".join(f"[{each}]" for each in segments) != rest:
            raise Refusal(400, f"Invalid parameter name: {name}", param=name)
        _plant(tree, [head, *segments], value)
    return {name: _listed(value) for name, value in tree.items()}


def _plant(tree: Json, path: list[str], value: str) -> None:
    for position, each in enumerate(path):
        key = each or str(len(tree))
        if position == len(path) - 1:
            tree[key] = value
            return
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            raise Refusal(400, f"Invalid parameters: {path[0]} is given twice.", param=path[0])
        tree = below


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(each) for key, each in value.items()}


def integer(params: Json, name: str, *, least: int | None = None) -> int:
    """Read a required whole number."""
    if name not in params:
        raise Refusal.missing(name)
    try:
        number = int(params[name])
    except (TypeError, ValueError):
        message = f"Invalid integer: {params[name]}"
        raise Refusal.invalid(name, message, code="parameter_invalid_integer") from None
    if least is not None and number < least:
        message = f"This value must be greater than or equal to {least}."
        raise Refusal.invalid(name, message, code="parameter_invalid_integer")
    return number


def text(params: Json, name: str, *, required: bool = False) -> str | None:
    """Read a text; an empty one is none, as on Stripe."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise Refusal.invalid(name, f"Invalid string: {value}")
    if required and not value:
        raise Refusal.missing(name)
    return value or None


def flag(params: Json, name: str, *, default: bool = False) -> bool:
    """Read `true` or `false`."""
    value = params.get(name)
    if value is None:
        return default
    if value not in ("true", "false"):
        raise Refusal.invalid(name, f"Invalid boolean: {value}")
    return bool(value == "true")


def mapping(params: Json, name: str, *known: str) -> Json:
    """Read a nested form; none is an empty one. Where names are known, no other is taken."""
    value = params.get(name) or {}
    if not isinstance(value, dict):
        raise Refusal.invalid(name, "Invalid object")
    for each in value:
        if known and each not in known:
            full = f"{name}[{each}]"
            message = f"Received unknown parameter: {full}"
            raise Refusal.invalid(full, message, code="parameter_unknown")
    return value


def listing(params: Json, name: str) -> list[Any]:
    """Read a list; none is an empty one."""
    value = params.get(name) or []
    if not isinstance(value, list):
        raise Refusal.invalid(name, "Invalid array")
    return value


def merged_metadata(before: Json, params: Json) -> Json:
    """Apply a `metadata` parameter: an empty value removes its name, an empty whole removes all."""
    if "metadata" not in params:
        return dict(before)
    if params["metadata"] == "":
        return {}
    given = mapping(params, "metadata")
    if len(given) > 50 or any(
        len(name) > 40 or len(str(value)) > 500 for name, value in given.items()
    ):
        raise Refusal.invalid(
            "metadata", "Metadata can have up to 50 keys of 40 and values of 500."
        )
    together = {**before, **given}
    return {name: value for name, value in together.items() if value != ""}
