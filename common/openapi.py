"""How the OpenAPI document names what our views take and give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import inline_serializer

from common.errors import is_for_nodes

if TYPE_CHECKING:
    from rest_framework.serializers import BaseSerializer


class Schema(AutoSchema):
    """A serializer that is nested in its view is named with it.

    `CreditInput`, not one of many `Input`s, of which the document would keep the last for all.
    """

    def get_serializer_name(self, serializer: BaseSerializer[Any], direction: Any) -> str:
        """Return the qualified name without its dots; a view's own ending says nothing."""
        view, _, nested = serializer.__class__.__qualname__.partition(".")
        return view.removesuffix("View" if nested else "") + nested.replace(".", "")

    def get_tags(self) -> list[str]:
        """Return under what it stands: below /v1/ what it is about, else its first word."""
        words = [word for word in self.path.split("/") if word]
        return [words[1] if words[0] == "v1" and len(words) > 1 else words[0]]

    def map_parsers(self) -> list[str]:
        """Say that bodies are JSON; that we read it under any other name, too, is a kindness."""
        return ["application/json"]


def holding(name: str, **fields: Any) -> Any:
    """Return an object of these fields, for the document alone; `name` is its schema's."""
    return inline_serializer(name, fields)


ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Each refusal: a stable code, and a sentence for a person.",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "description": "A stable code"},
        "message": {"type": "string", "description": "What happened, and what to do next"},
        "code": {"type": "string", "description": "The code again, below /api/ alone"},
    },
    "example": {"error": "not_found", "message": "There is no such call, or it is not yours."},
}
COMBINED: Final[dict[str, Any]] = {
    "type": "object",
    "description": "The same where nodes ask.",
    "required": ["error", "message", "detail"],
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": {"type": "string"}, "type": {"type": "string"}},
        },
        "message": {"type": "string"},
        "detail": {"type": "object", "properties": {"message": {"type": "string"}}},
    },
}
OF_ALL: Final = {
    "401": "No credential, or one that is unknown, expired or ended.",
    "400": "The request is wrong; the sentence names the field.",
    "403": "The credential may not do this; waiting does not help.",
    "404": "There is no such thing, or it is not yours.",
    "409": "It is not as it was when this was asked.",
    "413": "The body is too large.",
    "429": "Too often, or too much at once: Retry-After says when the next is heard.",
    "503": "What is needed for it is away; Retry-After says when to ask again.",
}
SCHEMES: Final = {
    "ApiKey": "A key of a workspace. What it may is its scopes; it works from anywhere.",
    "Token": "An access token of a program that somebody allowed to act for them.",
    "Session": "Who is signed in at our own pages; what changes something needs X-CSRFToken, too.",
}


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to the document what all operations have in common: refusals, examples, schemes.

    A hook of drf-spectacular: it sees the document when it is whole.
    """
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name, says in SCHEMES.items():
        if name in components.get("securitySchemes", {}):
            components["securitySchemes"][name]["description"] = says
    for path, methods in result["paths"].items():
        shape = "ErrorForNodes" if is_for_nodes(path) else "Error"
        for operation in methods.values():
            _refuses(operation, shape)
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for each in bodies:
                told = each.get("content", {}).get("application/json")
                if told is not None and not told.get("examples"):
                    told.setdefault("example", example(told["schema"], schemas))
    schemas |= {"Error": ERROR, "ErrorForNodes": COMBINED}
    return result


def _refuses(operation: dict[str, Any], shape: str) -> None:
    for status, says in OF_ALL.items():
        schema = {"$ref": f"#/components/schemas/{shape}"}
        operation["responses"].setdefault(status, _answer(says, schema))


def _answer(says: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "content": {"application/json": {"schema": schema}}}


OF_FORMAT: Final = {
    "uuid": "0197a5c2-7d3e-7b41-9c55-2f6f8f3f7a10",
    "date-time": "2026-11-28T09:30:00Z",
    "date": "2026-11-28",
    "uri": "https://credits.example.org/",
    "email": "ada@example.org",
    "double": 1.5,
    "decimal": "1.50",
}


def example(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return something that fits a schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        shapes = {"Error": ERROR, "ErrorForNodes": COMBINED, **schemas}
        return example(shapes[name], schemas, depth + 1)
    for told in ("example", "default"):
        if told in schema:
            return schema[told]
    for several in ("allOf", "oneOf", "anyOf"):
        if some := schema.get(several):
            return example(some[0], schemas, depth + 1)
    if some := schema.get("enum"):
        return some[0]
    return _of_type(schema, schemas, depth)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> Any:
    match schema.get("type"):
        case "object":
            told = schema.get("properties", {})
            return {name: example(each, schemas, depth + 1) for name, each in told.items()}
        case "array":
            least = schema.get("minItems", 0)
            some = [example(schema["items"], schemas, depth + 1)] if depth < DEEPEST else []
            return some * max(least, 1)
        case "integer":
            return max(int(schema.get("minimum", 0)), min(60_000, int(schema.get("maximum", 1e9))))
        case "number":
            return OF_FORMAT["double"]
        case "boolean":
            return True
        case "string":
            return OF_FORMAT.get(schema.get("format", ""), "text")
        case _:
            return {}


DEEPEST: Final = 8
