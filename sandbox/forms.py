"""Reading multipart forms as a strict vendor does (RFC 7578): every boundary, CRLF and end."""

import re
from dataclasses import dataclass, field
from email.message import Message

NAME = re.compile(r'(?:^|;)\s*name="([^"]*)"')
FILE_NAME = re.compile(r'(?:^|;)\s*filename="([^"]*)"')


class InvalidFormError(ValueError):
    """The body is not the form that its header announces; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class File:
    """A part of a form that has a file name."""

    name: str
    content: bytes
    content_type: str


@dataclass(slots=True)
class Form:
    """What came: every value of each field, and every file, in their order."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[File]] = field(default_factory=dict)

    def value(self, name: str) -> str | None:
        """Return the one value of a field, None where it is missing; twice is a mistake."""
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise InvalidFormError(f"{name} stands twice")
        return values[0] if values else None


def read(content_type: str, raw: bytes) -> Form:
    """Take a form apart; raise InvalidFormError for anything that is none."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise InvalidFormError("it is not multipart/form-data with a boundary")
    line = b"\r\n--" + boundary.encode()
    opening, *parts = (b"\r\n" + raw).split(line)
    if opening or not parts or not parts[-1].startswith(b"--"):
        raise InvalidFormError("it does not begin and end with its boundary")
    if parts[-1] not in {b"--", b"--\r\n"}:
        raise InvalidFormError("something follows its end")
    form = Form()
    for part in parts[:-1]:
        _add(form, part)
    return form


def _add(form: Form, part: bytes) -> None:
    head, gap, content = part.partition(b"\r\n\r\n")
    if not gap or not head.startswith(b"\r\n"):
        raise InvalidFormError("a part has no head")
    headers = dict(_header(line) for line in head[2:].decode("utf-8", "replace").split("\r\n"))
    disposition = headers.get("content-disposition", "")
    name = NAME.search(disposition)
    if not disposition.lower().startswith("form-data") or name is None:
        raise InvalidFormError("a part has no name")
    file_name = FILE_NAME.search(disposition)
    if file_name is not None:
        kind = headers.get("content-type", "application/octet-stream")
        form.files.setdefault(name[1], []).append(File(file_name[1], content, kind))
        return
    try:
        form.fields.setdefault(name[1], []).append(content.decode())
    except UnicodeDecodeError:
        raise InvalidFormError(f"{name[1]} is not text") from None


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
