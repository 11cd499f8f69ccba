"""The site in this process, at an address that a browser can open."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connections


class Quiet(WSGIRequestHandler):
    """Says nothing of what is asked."""

    def log_message(self, *_: Any) -> None:
        """Keep silent."""


class Threads(ThreadingMixIn, WSGIServer):
    """One thread for each request."""

    daemon_threads = True


application = functools.cache(get_wsgi_application)


def django_closing(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Be Django, leaving no file open, and no connection to the thread that it answered in."""
    answer = application()(environ, start_response)
    try:
        yield from answer
    finally:
        answer.close()
        connections.close_all()


@contextmanager
def serving(server: Any) -> Iterator[str]:
    """Serve as long as it is wanted; give the address."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def site() -> Iterator[str]:
    """Serve the site."""
    with serving(make_server("127.0.0.1", 0, django_closing, Threads, Quiet)) as url:
        yield url


@contextmanager
def live_site() -> Iterator[str]:
    """Serve the site by ASGI, where answers are streams: as production does, without its wire."""
    config = uvicorn.Config(
        get_asgi_application(), lifespan="off", access_log=False, log_config=None,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server, door = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "it did not begin"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
