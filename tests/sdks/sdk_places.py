"""Where vendors' libraries find the sandbox and the platform: the SDK_ variables tell."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import threading
import urllib.error
import urllib.request
import wave
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

PICTURE = "https://storage.example.com/in/0001.png"
SOUND = "https://storage.example.com/in/0004.mp3"
FILM = "https://storage.example.com/in/0003.mp4"


class Place:
    """Where a vendor is reached: at its stand-in, with its key, or at the platform with ours."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    @property
    def client(self) -> Any:
        """What a library that takes one sends its requests with; its own at a stand-in."""
        return ours(self.key) if "/proxy/" in self.url else None

    def at(self, vendor: str) -> str:
        return self.url.replace("{vendor}", vendor)


@pytest.fixture(scope="session")
def sandbox() -> Place:
    return Place(os.environ["SDK_SANDBOX"], os.environ["SDK_SANDBOX_KEY"])


@pytest.fixture(scope="session")
def proxy() -> Place:
    return Place(os.environ["SDK_PROXY"], os.environ["SDK_PROXY_KEY"])


@pytest.fixture(params=["sandbox", "proxy"])
def either(request) -> Place:
    """Return both places, one after the other."""
    place: Place = request.getfixturevalue(request.param)
    return place


def ours(key: str, library: Any = httpx) -> Any:
    """Return a client that gives our key in our header, and no other credential."""

    def sign(request: Any) -> None:
        for name in ("authorization", "xi-api-key"):
            request.headers.pop(name, None)
        request.headers["x-api-key"] = key

    return library.Client(event_hooks={"request": [sign]}, timeout=60)


def bytes_at(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        found: bytes = response.read()
        return found


def sound(seconds: float = 1) -> bytes:
    """Return a WAV of silence."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(16000 * seconds)))
    return made.getvalue()


def vendors_there(url: str) -> str:
    with urllib.request.urlopen(f"{url.partition('{')[0]}control/counts", timeout=30) as response:
        return str(response.read())


@pytest.fixture
def at_root(sandbox) -> Callable[..., contextlib.AbstractContextManager[str]]:
    """Return how a vendor is put at the root of an address, for libraries that drop a path."""
    return lambda vendor, **options: _forwarding(sandbox.at(vendor), **options)


@contextlib.contextmanager
def _forwarding(base: str, *, keeps_host: bool = False) -> Iterator[str]:
    """Forward what comes; `keeps_host`: to whom a signature says that it was sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length) if length else None
            left_out = ("connection",) if keeps_host else ("connection", "host")
            headers = {k: v for k, v in self.headers.items() if k.lower() not in left_out}
            asked = urllib.request.Request(base + self.path, body, headers, method=self.command)
            try:
                answer = urllib.request.urlopen(asked, timeout=30)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                told = answer.read()
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

        do_GET = do_POST  # noqa: N815  So it is called.

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
