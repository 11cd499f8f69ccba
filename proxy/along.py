"""Files of ours sent within a request, to a vendor that cannot fetch them here, as it takes them.

A price and ids are read from the request as it came; files take the places of their addresses only
in what is sent. Whatever cannot go along is refused by its sentence, before anything is held. What
a vendor takes by an upload of its own is given to it once the call is held for (`handing.py`).
"""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings

from common.errors import BodyTooLarge, Misconfigured, NotFound
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Route
    from proxy.http import Request
    from proxy.inputs import Ours

NO_FILE = "One of the files that the request names is not here, or its time is over."


@dataclass(frozen=True, slots=True)
class InPlace:
    """Where its address was."""

    is_uri: bool

    def __str__(self) -> str:
        """Return it in words, for the documents."""
        return "data URI" if self.is_uri else "base64"


@dataclass(frozen=True, slots=True)
class Inside:
    """In the object that held its address, as base64 under another name."""

    names: Mapping[str, str]
    """What a field that held an address is called then."""
    kind: str = ""
    """Where that object says the file's type, if it must; what the client said of it stays."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What it says besides."""
    around: Mapping[str, str] = field(default_factory=dict)
    """What a field that held the object is called then."""

    def __str__(self) -> str:
        """Return it in words, for the documents."""
        return "base64 in " + ", ".join(f"`{name}`" for name in dict.fromkeys(self.names.values()))


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a form; what named it is left out."""

    name: str

    def __str__(self) -> str:
        """Return it in words, for the documents."""
        return f"part `{self.name}` of a form"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Given to the vendor first, by its own upload; named after it as the vendor calls it."""

    at: str
    """The path at which a place for it is asked for, by a POST."""
    asks: Callable[[Ours], Mapping[str, Any]]
    """What that request says."""
    put: tuple[str, ...]
    """In the answer, the address that takes the content: the first of these paths that is there."""
    called: str
    """In the answer, what the vendor calls the file from then on."""
    headers: str = ""
    """In the answer, headers that go with the content, in the place of its type alone."""
    fields: str = ""
    """In the answer, fields of a form that go before the content: it is posted then, else put."""
    complete: str = ""
    """The path at which the vendor is told that all is there, by a POST; `{}` is the file."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What a field that held an address is called then; empty: as before, wherever it stands."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What the object that held the address says besides."""
    most_bytes: int = 200 << 20

    def __str__(self) -> str:
        """Return it in words, for the documents."""
        return "its own upload"


How = InPlace | Inside | Part | Uploaded
DATA, PLAIN = InPlace(is_uri=True), InPlace(is_uri=False)


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that goes into a form."""

    name: str
    filename: str
    content_type: str
    content: bytes


async def contents(request: Request, route: Route, asked: Asked) -> dict[str, bytes]:
    """Return the contents of the files that go along, by their addresses.

    Raises Misconfigured for one that the vendor does not take, BodyTooLarge where they are too much
    for one request.
    """
    limit = int(settings.JSON_BODY_LIMIT_BYTES)
    within = {k: ours for k, ours in asked.files.items() if k not in asked.uploads}
    size = sum(-(-ours.size // 3) * 4 for ours in within.values())
    if len(request.body) + size > limit:
        raise BodyTooLarge(
            f"{route.vendor.display} cannot fetch files from this platform, and together they are "
            f"too large to be sent along ({limit >> 20} MiB). Please send smaller ones."
        )
    if any(how_of(route, ours) is None for ours in within.values()):
        raise _cannot(route)
    request.holds(2 * size)
    return {address: await asyncio.to_thread(_content, ours) for address, ours in within.items()}


def uploads(route: Route, asked: Asked) -> dict[str, Ours]:
    """Return the files that the vendor must be given first, by their addresses.

    Raises BodyTooLarge for one that it does not take.
    """
    found = {}
    for address, ours in asked.files.items():
        if isinstance(how := how_of(route, ours), Uploaded):
            if ours.size > how.most_bytes:
                raise BodyTooLarge(
                    f"{route.vendor.display} takes files of at most {how.most_bytes >> 20} MiB. "
                    "Please send a smaller one."
                )
            found[address] = ours
    return found


def filename(ours: Ours) -> str:
    """Return what a file is called at a vendor: nothing of its owner's, but its ending."""
    own = ours.key.rpartition(".")[2] if "." in ours.key.rpartition("/")[2] else ""
    if re.fullmatch(r"[A-Za-z0-9]{2,5}", own):
        return f"input.{own.lower()}"
    return f"input{mimetypes.guess_extension(ours.content_type) or ''}"


def placed(route: Route, asked: Asked, body: dict[str, Any]) -> tuple[Any, list[Attached]]:
    """Return what is sent, with the files in it, and those that go beside it as parts of a form.

    Raises Misconfigured if the vendor must fetch one that is named where none can stand.
    """
    made = _Placing(route, asked)
    sent = made.of(body)
    if made.left:
        raise _cannot(route)
    if made.parts and asked.form is None:
        sent = {name: _text(value) for name, value in sent.items()}
    return sent, made.parts


def _text(value: Any) -> Any:
    """Return a value as a form's field has it: what is more than a text is JSON."""
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def how_of(route: Route, ours: Ours) -> How | None:
    """Return how the vendor takes a file of that kind; None where it must fetch it."""
    operation = route.operation
    takes = route.vendor.along if operation.along is None else operation.along
    return takes.get(ours.content_type.partition("/")[0])


def _cannot(route: Route) -> Misconfigured:
    return Misconfigured(
        f"{route.vendor.display} must fetch this file by itself, and cannot reach the files of "
        "this platform. Nothing was charged. The operator has to set PUBLIC_URL, or a bucket."
    )


def _content(ours: Ours) -> bytes:
    try:
        with shelf.opened(ours.key) as content:
            return content.read(ours.size)
    except OSError as exc:
        raise NotFound(NO_FILE) from exc


_OUT: Any = object()
"""Stands for what is left out."""


class _Placing:
    """Puts files in the places of their addresses."""

    def __init__(self, route: Route, asked: Asked) -> None:
        self.parts: list[Attached] = []
        self.left = False
        """Whether an address had to stay."""
        self._route, self._asked = route, asked

    def of(self, value: Any) -> Any:
        """Return a JSON value with each file where the vendor takes it."""
        if isinstance(value, str) and value in self._asked.files:
            return self._instead(value)
        if isinstance(value, list):
            return [made for one in value if (made := self.of(one)) is not _OUT]
        if isinstance(value, dict):
            return self._object(value)
        return value

    def _instead(self, address: str) -> Any:
        ours = self._asked.files[address]
        match how_of(self._route, ours):
            case InPlace(is_uri=is_uri):
                text = base64.b64encode(self._asked.along[address]).decode()
                return f"data:{ours.content_type};base64,{text}" if is_uri else text
            case Part(name=name):
                filename = ours.key.rpartition("/")[2]
                content = self._asked.along[address]
                self.parts.append(Attached(name, filename, ours.content_type, content))
                return _OUT
            case Uploaded(names=names) if not names:
                return self._asked.given.get(address, address)
        self.left = True
        return address

    def _object(self, value: dict[str, Any]) -> Any:
        made: dict[str, Any] = {}
        is_out = False
        for name, one in value.items():
            ours = self._asked.files.get(one) if isinstance(one, str) else None
            how = how_of(self._route, ours) if ours is not None else None
            if ours is not None and isinstance(how, Inside | Uploaded) and name in how.names:
                if isinstance(how, Uploaded):
                    made[how.names[name]] = self._asked.given.get(one, one)
                else:
                    made[how.names[name]] = base64.b64encode(self._asked.along[one]).decode()
                    if how.kind and not _says(value, how.kind):
                        made[how.kind] = ours.content_type
                made.update(how.also)
                continue
            placed_one = self.of(one)
            if placed_one is _OUT:
                is_out = True
            elif name not in made:
                made[self._around(name, one)] = placed_one
        # An entry of a list that only said what the file is goes with it.
        return _OUT if is_out and set(made) <= {"type"} and value.keys() != made.keys() else made

    def _around(self, name: str, value: Any) -> str:
        """Return what a field is called that holds an object whose file is inside it now."""
        if not isinstance(value, dict):
            return name
        for inner, address in value.items():
            ours = self._asked.files.get(address) if isinstance(address, str) else None
            how = how_of(self._route, ours) if ours is not None else None
            if isinstance(how, Inside) and inner in how.names:
                return how.around.get(name, name)
        return name


def _says(value: Mapping[str, Any], kind: str) -> bool:
    """Whether an object says a file's type, in whatever spelling."""
    wanted = re.sub("_", "", kind).lower()
    return any(re.sub("_", "", name).lower() == wanted and value[name] for name in value)
