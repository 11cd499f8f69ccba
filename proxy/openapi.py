"""The OpenAPI document of the proxy's routes, made of the catalogue.

What a vendor's body holds is the vendor's: it is described as far as we read it. What is ours is
whole: the addresses, who may ask, what each refusal looks like, what an answer's head tells.
"""

from __future__ import annotations

import functools
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from proxy.catalogue import Gives, Kind, Takes
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from proxy.catalogue import Operation, Vendor

SAYS: Final = {
    Kind.SYNC: "Metered: the most it can cost is held first; what was delivered is charged.",
    Kind.SUBMIT: "Metered: begins a job, which is charged when it has ended well.",
    Kind.POLL: "Free: asks how a job stands; who asks first after its end settles it.",
    Kind.RESULT: "Free: gives the result of what was paid for.",
    Kind.UPLOAD: "Free: gives the vendor a file.",
    Kind.STEP: "Free: a part of a job that another operation pays for.",
    Kind.CANCEL: "Free: asks the vendor to end a job.",
    Kind.FREE: "Free.",
}
BODIES: Final = {
    Takes.JSON: ("application/json", {"type": "object", "additionalProperties": True}),
    Takes.FORM: ("multipart/form-data", {"type": "object", "additionalProperties": True}),
    Takes.STREAM: ("application/octet-stream", {"type": "string", "format": "binary"}),
}
ANSWERS: Final = {
    Gives.JSON: ("application/json", {}),
    Gives.BYTES: ("application/octet-stream", {"type": "string", "format": "binary"}),
    Gives.LINES: ("application/x-ndjson", {"type": "string"}),
}
REFUSALS: Final = {
    400: "invalid_request: the request is wrong, or what it asks for has no price.",
    401: "unauthorized: no key or token that may be used.",
    402: "insufficient_credits: less is available than this can cost at most.",
    403: "access_disabled, budget_exceeded, provider_disabled: waiting does not help.",
    404: "unknown_route, not_found: it is not in the catalogue, or not yours.",
    409: "idempotency_mismatch, idempotency_consumed, idempotency_in_flight.",
    413: "body_too_large.",
    422: "content_blocked, outcome_unknown, job_expired: nothing is charged, or not yet.",
    429: "concurrency_limit, rate_limited, provider_rate_limited: see Retry-After.",
    502: "provider_error: the vendor did not do it; nothing is charged.",
    503: "service_unavailable: see Retry-After.",
}
COMBINED: Final[dict[str, Any]] = {
    "type": "object",
    "description": "The one shape that every generation of the node client shows well.",
    "required": ["error", "message", "detail"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {"message": {"type": "string"}, "type": {"type": "string"}},
        },
        "message": {"type": "string"},
        "detail": {
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}},
        },
        "error_type": {"type": "string", "description": "Of idempotency states alone"},
    },
    "example": {
        "error": {"message": "Add credits.", "type": "insufficient_credits"},
        "message": "Add credits.",
        "detail": {"message": "Add credits."},
    },
}


@require_safe
def document_view(request: HttpRequest) -> JsonResponse:
    """Answer with it: it is public, as prices are."""
    return JsonResponse(document())


@functools.lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Return it; it changes with the catalogue only, so with a new version of the program."""
    found: dict[str, dict[str, Any]] = {}
    vendors = catalogue().vendors.values()
    for vendor in vendors:
        for each in vendor.operations:
            path = f"/proxy/{each.path}"
            found.setdefault(path, {})[each.method.lower()] = _operation(vendor, each)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "API nodes, metered",
            "version": "0.1.0",
            "description": "What ComfyUI's API nodes call. Bodies are each vendor's own.",
        },
        "tags": [{"name": each.name, "description": each.display} for each in vendors],
        "paths": dict(sorted(found.items())),
        "components": {
            "schemas": {"Refusal": COMBINED},
            "responses": {f"Refused{status}": _refused(status) for status in REFUSALS},
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
                "Token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
        "security": [{"ApiKey": []}, {"Token": []}],
    }


def _refused(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Refusal"}
    waits = {"Retry-After": {"schema": {"type": "integer"}}} if status in (429, 503) else {}
    return {
        "description": f"{HTTPStatus(status).phrase}. {REFUSALS[status]}",
        "content": {"application/json": {"schema": schema}},
        **({"headers": waits} if waits else {}),
    }


def _operation(vendor: Vendor, each: Operation) -> dict[str, Any]:
    is_metered = each.kind in (Kind.SYNC, Kind.SUBMIT)
    kind, schema = ANSWERS[each.gives]
    parts = [_parameter(name, "path") for name in re.findall(r"{(\w+)}", each.path)]
    asked = [_parameter(name, "query") for name in each.query]
    of_client = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": says,
            "schema": {"type": "string", "maxLength": most},
        }
        for name, most, says in (
            ("Idempotency-Key", 255, "The same key and request: the same answer, charged once"),
            ("Comfy-Job-Id", 64, "One press of Run: its calls are one run"),
        )
        if is_metered
    ]
    told: dict[str, Any] = {
        "operationId": _name(each),
        "tags": [vendor.name],
        "summary": each.title or each.path,
        "description": SAYS[each.kind],
        "parameters": [*parts, *asked, *of_client],
        "responses": {
            "200": {
                "description": "What the vendor answers.",
                "headers": _heads(each) if is_metered else {},
                "content": {kind: {"schema": schema}},
            },
            **{
                str(status): {"$ref": f"#/components/responses/Refused{status}"}
                for status in REFUSALS
                if is_metered or status not in (402, 409)
            },
        },
    }
    if each.method not in ("GET", "DELETE", "HEAD"):
        body, of_body = BODIES[each.takes]
        told["requestBody"] = {"required": True, "content": {body: {"schema": of_body}}}
    if each.price_version:
        told["x-price-version"] = each.price_version
    return told


def _heads(each: Operation) -> dict[str, Any]:
    names = {"Call-Id": "By which its receipt is found"}
    if each.kind is Kind.SYNC:
        names["X-Comfy-Credits-Used"] = "What was charged, in credits"
    return {
        name: {"description": says, "schema": {"type": "string"}} for name, says in names.items()
    }


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {
        "name": name, "in": where, "required": where == "path", "schema": {"type": "string"},
    }  # fmt: skip


def _name(each: Operation) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", each.path).strip("_")
    return f"{each.method.lower()}_{words}"
