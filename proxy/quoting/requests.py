"""A request as it would be made, told in JSON: read to what a price is quoted of.

    {"method": "POST", "path": "/proxy/...", "body": {...}, "headers": {...}, "files": [...]}

A file of a form is `{"field", "filename", "content_type", "data"}`, its data in base64; without
data a price that measures it is told as a range.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from common.errors import InvalidRequest
from proxy.asked import Asked
from proxy.catalogue import Kind, Takes
from proxy.forms import MULTIPART, File, Form
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.catalogue import Route

METERED = (Kind.SYNC, Kind.SUBMIT)
MOST_FILES = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """An operation, and what would be asked of it."""

    route: Route
    body: dict[str, Any]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    files: tuple[Mapping[str, Any], ...] = ()

    @contextmanager
    def asked(self) -> Iterator[Asked]:
        """Return it as a call would be read; a form's files are gone afterwards."""
        operation = self.route.operation
        made = Asked(parts=self.route.parts, query=self.query, headers=self.headers, body=self.body)
        made.is_question = True
        if operation.takes is not Takes.FORM:
            yield made
            return
        form = Form(MULTIPART, operation.repeated)
        try:
            for name, value in self.body.items():
                for each in value if isinstance(value, list) else [value]:
                    form.add(name, each if isinstance(each, str) else orjson.dumps(each).decode())
            for each in self.files:
                _add(form, each)
            made.form, made.body = form, dict(form.fields)
            yield made
        finally:
            form.close()


def _add(form: Form, told: Mapping[str, Any]) -> None:
    data = told.get("data", "")
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except ValueError as exc:  # Also letters of no alphabet of it.
        raise InvalidRequest("The data of a file must be base64.") from exc
    start = form.spool.seek(0, 2)
    form.spool.write(content)
    name, filename = _text(told, "field"), _text(told, "filename", default="file")
    kind = _text(told, "content_type", default="application/octet-stream")
    form.add(name, File(name, filename, kind, start, len(content)))


def _text(told: Mapping[str, Any], name: str, *, default: str = "") -> str:
    value = told.get(name, default)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise InvalidRequest(f"The {name} of a file must be a short text.")
    return value


def read(told: Mapping[str, Any]) -> Wanted:
    """Return the request that is told, or raise InvalidRequest or UnknownRoute."""
    path, method = told.get("path"), told.get("method", "POST")
    if not isinstance(path, str) or not isinstance(method, str):
        raise InvalidRequest("A request has a path like /proxy/bfl/flux-pro-1.1/generate.")
    if not path.startswith("/proxy/"):
        path = f"/proxy/{path.lstrip('/')}"
    route = catalogue().find(method.upper(), path)
    if route.operation.kind not in METERED:
        raise InvalidRequest(f"{path[:200]} costs nothing by itself.")
    body, files = told.get("body", {}), told.get("files", [])
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be an object.")
    if not isinstance(files, list) or len(files) > MOST_FILES:
        raise InvalidRequest(f"files must be a list of at most {MOST_FILES} objects.")
    if not all(isinstance(each, dict) for each in files):
        raise InvalidRequest("Each of the files must be an object.")
    headers = {
        name: value
        for name, value in _texts(told, "headers").items()
        if name in route.operation.headers
    }
    return Wanted(route, body, _texts(told, "query"), headers, tuple(files))


def _texts(told: Mapping[str, Any], name: str) -> dict[str, str]:
    value = told.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise InvalidRequest(f"{name} must be an object of texts.")
    return {f"{key}".lower() if name == "headers" else key: each for key, each in value.items()}
