"""Forms: multipart (RFC 7578) and urlencoded. Fields are read, files wait on disk.

A client that tries again makes a new boundary, so what a form is known by (`fingerprint`) is its
parts. It is always written anew: two readers of one form may find other names and other fields in
it (a name that stands twice in a part's head), and what was priced here is what the vendor reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import tempfile
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from common.errors import BodyTooLarge, InvalidRequest, Unavailable
from proxy import memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from proxy.along import Attached
    from proxy.http import Request

IN_MEMORY_BYTES = 1 << 20
FIELDS_LIMIT_BYTES = 8 << 20
HEAD_LIMIT_BYTES = 16 << 10
PARTS_LIMIT = 200
BLOCK_BYTES = 256 << 10
DISK_LIMIT_BYTES = 8 << 30
"""Of all forms that a process has on disk at a time; a quarter of it for any one who sends."""
MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"


on_disk = memory.Memory(lambda: DISK_LIMIT_BYTES)
"""The process's."""


@dataclass(slots=True)
class File:
    """A file of a form: where it lies in the spool, and what its client calls it."""

    name: str
    filename: str
    content_type: str
    start: int
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class Form:
    """A form that was read whole."""

    def __init__(
        self, content_type: str, repeated: tuple[str, ...] = (), *, owner: str = ""
    ) -> None:
        """`owner` has it in their shares of memory and disk."""
        self.content_type = content_type
        self.fields: dict[str, str | list[str]] = {}
        """Its texts; of a name that may come several times, always a list."""
        self.files: list[File] = []
        self.order: list[tuple[str, str | File]] = []
        self.length = 0
        self.in_memory = memory.held.reserve(owner)
        """Its texts, and what of it is not on disk."""
        self.on_disk = on_disk.reserve(owner)
        self._repeated = repeated
        self._one_at_a_time = threading.Lock()
        self.spool: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - see `close`
            IN_MEMORY_BYTES, dir=_folder()
        )

    def add(self, name: str, part: str | File) -> None:
        """Note a part; a text field that comes twice would be read as one or the other."""
        if len(self.order) >= PARTS_LIMIT:
            raise InvalidRequest(f"The form has more than {PARTS_LIMIT} parts.")
        self.order.append((name, part))
        if isinstance(part, File):
            self.files.append(part)
        elif name in self._repeated:
            listed = self.fields.setdefault(name, [])
            assert isinstance(listed, list), "a name is a list from its first text on"
            listed.append(part)
        elif name in self.fields:
            raise InvalidRequest(f"The form has the field {name[:100]} twice.")
        else:
            self.fields[name] = part

    def has_file(self, name: str) -> bool:
        """Whether a file of that field name came."""
        return any(file.name == name for file in self.files)

    def check_files(self, *names: str) -> None:
        """Raise InvalidRequest for a file of another name: a vendor may read it as a field."""
        for file in self.files:
            if file.name not in names:
                raise InvalidRequest(f"{file.name[:100]} must be a text, not a file.")

    def fingerprint(self, head: bytes) -> str:
        """Return 128 bits of a digest of the head and all parts, in hex, whatever the boundary."""
        whole = hashlib.sha256(head)
        for name, part in self.order:
            told = (
                ["file", name, part.filename, part.content_type, part.digest.hexdigest()]
                if isinstance(part, File)
                else ["text", name, part]
            )
            for text in told:
                raw = text.encode(errors="surrogatepass")
                whole.update(len(raw).to_bytes(8, "big") + raw)
        return whole.hexdigest()[:32]

    async def head_of(self, file: File, count: int) -> bytes:
        """Return the first bytes of a file, to measure it."""
        return await asyncio.to_thread(self._slice, file.start, min(count, file.size))

    def on_the_disk(self) -> IO[bytes]:
        """Return all of it as a file that another program can read, too."""
        self.spool.fileno()  # From now on it is one.
        self.spool.flush()
        return self.spool

    def _slice(self, start: int, size: int) -> bytes:
        # A thread that reads for an exchange which was given up may still be at it.
        with self._one_at_a_time:
            self.spool.seek(start)
            return self.spool.read(size)

    def sent(
        self,
        fields: Mapping[str, Any] | None,
        files: Mapping[str, str] | None = None,
        *,
        multipart: bool = False,
        more: Sequence[Attached] = (),
    ) -> tuple[AsyncIterator[bytes], int, str]:
        """Return the body, its length and its Content-Type.

        `fields` stands in the place of its texts; a value that is None leaves one out, a list is
        several. `files`: what fields of files are called at the vendor; `multipart`: it takes no
        other form; `more`: files that did not come with it.
        """
        texts = [
            (name, str(each))
            for name, value in (self.fields if fields is None else fields).items()
            for each in (value if isinstance(value, list) else [value])
            if each is not None
        ]
        is_multipart = multipart or self.files or more
        if not is_multipart and self.content_type.startswith(URLENCODED):
            body = urlencode(texts).encode()
            return _once(body), len(body), URLENCODED
        boundary = secrets.token_hex(16)
        pieces: list[bytes | File] = []
        for name, text in texts:
            pieces.append(_head(boundary, name) + text.encode() + b"\r\n")
        for file in self.files:
            name = (files or {}).get(file.name, file.name)
            pieces += [_head(boundary, name, file), file, b"\r\n"]
        for each in more:
            pieces += [_head(boundary, each.name, each), each.content, b"\r\n"]
        pieces.append(f"--{boundary}--\r\n".encode())
        length = sum(p.size if isinstance(p, File) else len(p) for p in pieces)
        return self._pieces(pieces), length, f"{MULTIPART}; boundary={boundary}"

    async def _pieces(self, pieces: list[bytes | File]) -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, File):
                async for block in self._blocks(piece.start, piece.size):
                    yield block
            else:
                yield piece

    async def _blocks(self, start: int, size: int) -> AsyncIterator[bytes]:
        for at in range(start, start + size, BLOCK_BYTES):
            yield await asyncio.to_thread(self._slice, at, min(BLOCK_BYTES, start + size - at))

    def close(self) -> None:
        """Leave nothing on disk."""
        with contextlib.suppress(OSError):  # A full disk; the file is nameless and goes anyway.
            self.spool.close()
        self.in_memory.release()
        self.on_disk.release()


def written(fields: Mapping[str, Any], files: Sequence[Attached] = ()) -> tuple[bytes, str]:
    """Return fields, and files, as a multipart body, and its Content-Type."""
    boundary = secrets.token_hex(16)
    texts = [
        (name, str(each))
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]
    parts = [_head(boundary, name) + text.encode() + b"\r\n" for name, text in texts]
    parts += [_head(boundary, one.name, one) + one.content + b"\r\n" for one in files]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"{MULTIPART}; boundary={boundary}"


def around(fields: Mapping[str, str], file: Attached) -> tuple[bytes, bytes, dict[str, str]]:
    """Return what stands before and after a file in a form that ends with it, and its headers."""
    boundary = secrets.token_hex(16)
    texts = [_head(boundary, name) + text.encode() + b"\r\n" for name, text in fields.items()]
    head = b"".join(texts) + _head(boundary, file.name, file)
    headers = {"content-type": f"{MULTIPART}; boundary={boundary}"}
    return head, f"\r\n--{boundary}--\r\n".encode(), headers


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _head(boundary: str, name: str, file: File | Attached | None = None) -> bytes:
    told = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if file is not None:
        told += f'; filename="{_quoted(file.filename)}"\r\nContent-Type: {file.content_type}'
    return f"{told}\r\n\r\n".encode()


def _quoted(text: str) -> str:
    """Return a name as browsers write it (WHATWG, multipart/form-data)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def read(request: Request, *, repeated: tuple[str, ...] = ()) -> Form:
    """Read the request's form whole, within the memory and the disk that all forms share.

    Raises InvalidRequest, BodyTooLarge, RateLimited, Unavailable or Left.
    """
    request.check_stream_length()
    kind, options = parse_options_header(request.headers.get(b"content-type", b""))
    form = Form(request.header(b"content-type"), repeated, owner=request.owner)
    request.form = form
    if kind == URLENCODED.encode():
        await _urlencoded(request, form)
        return form
    boundary = options.get(b"boundary", b"")
    if kind != MULTIPART.encode() or not 0 < len(boundary) <= 200:
        raise InvalidRequest(f"The body must be a form ({MULTIPART} with a boundary).")
    parts = _Parts(form)
    parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
    try:
        async for block in request.stream():
            parts.base = form.length
            parser.write(block)
            await _spool(form, block)
        parser.finalize()
    except FormParserError as exc:
        raise InvalidRequest("The body is not a form that can be read.") from exc
    if not parts.is_whole:
        raise InvalidRequest("The form breaks off before its last boundary.")
    return form


async def _spool(form: Form, block: bytes) -> None:
    form.length += len(block)
    is_large = form.length > IN_MEMORY_BYTES
    (form.on_disk if is_large else form.in_memory).add(len(block))
    try:
        if is_large:
            await asyncio.to_thread(form.spool.write, block)
        else:
            form.spool.write(block)
    except OSError as exc:
        raise Unavailable("The platform has no room for files right now.") from exc


async def _urlencoded(request: Request, form: Form) -> None:
    body = b""
    async for block in request.stream():
        form.in_memory.add(len(block))
        body += block
        if len(body) > FIELDS_LIMIT_BYTES:
            raise BodyTooLarge("The form is larger than 8 MiB.")
    await _spool(form, body)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=PARTS_LIMIT, strict_parsing=True
        )
    except ValueError as exc:
        raise InvalidRequest("The body is not a form that can be read.") from exc
    for name, text in pairs:
        form.add(name, text)


class _Parts:
    """Takes what the parser finds, part by part."""

    def __init__(self, form: Form) -> None:
        self.base = 0
        """Bytes of the form before the block that is read now."""
        self.is_whole = False
        self._form = form
        self._texts = 0
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value, self._head = b"", b"", 0
        self._part: File | bytearray = bytearray()
        self._called = ""

    def callbacks(self) -> dict[str, Any]:
        """Return what the parser calls."""
        names = ("part_begin", "part_data", "part_end", "header_begin", "header_field",
                 "header_value", "header_end", "headers_finished", "end")  # fmt: skip
        return {f"on_{name}": getattr(self, f"_on_{name}") for name in names}

    def _on_part_begin(self) -> None:
        self._headers, self._head = {}, 0

    def _on_header_begin(self) -> None:
        self._name = self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += self._counted(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _counted(self, data: bytes) -> bytes:
        self._head += len(data)
        if self._head > HEAD_LIMIT_BYTES:
            raise InvalidRequest("The head of a part of the form is too long.")
        return data

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise InvalidRequest("A part of the form has no name.")
        self._called = options[b"name"].decode(errors="replace")
        self._part = bytearray()
        if b"filename" in options:
            kind = self._headers.get(b"content-type", b"application/octet-stream")
            filename = options[b"filename"].decode(errors="replace")
            self._part = File(self._called, filename, _clean(kind), start=-1)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if isinstance(self._part, File):
            if self._part.start < 0:
                self._part.start = self.base + start
            self._part.size += end - start
            self._part.digest.update(memoryview(data)[start:end])
            return
        self._texts += end - start
        if self._texts > FIELDS_LIMIT_BYTES:
            raise BodyTooLarge("The text fields of the form are larger than 8 MiB.")
        self._form.in_memory.add(end - start)
        self._part += data[start:end]

    def _on_part_end(self) -> None:
        if isinstance(self._part, File):
            self._part.start = max(0, self._part.start)
            self._form.add(self._called, self._part)
            return
        try:
            self._form.add(self._called, self._part.decode())
        except UnicodeDecodeError as exc:
            raise InvalidRequest(f"The field {self._called[:100]} is not text.") from exc

    def _on_end(self) -> None:
        self.is_whole = True


def _clean(content_type: bytes) -> str:
    text = content_type.decode("latin-1")
    return text if text.isprintable() and text.isascii() else "application/octet-stream"


def _folder() -> str | None:
    folder = settings.DATA_DIR / "forms"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Unavailable("The platform has no room for files right now.") from exc
    return str(folder)
