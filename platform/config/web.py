"""`python -m config.web`: the web process (uvicorn on uvloop, our own wire), one per core.

At SIGTERM `/serving` says 503, and all goes on for `--drain` seconds: so a balancer has seen it
before nobody listens. Then it stops accepting, lets what is in flight finish for `--grace` seconds,
and ends it: a call that is cut off keeps its hold until the sweep frees it, and nothing is charged
for it. A second SIGTERM ends the draining.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys

import django
import uvicorn
from django.db import connection

from config import counted, preflight
from config.serving import DRAIN
from config.wire.connection import Connection
from config.wire.crowd import want_files

NAME = "config.web"


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog=NAME)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--grace", type=int, default=30, help="seconds for what is in flight")
    parser.add_argument(
        "--drain", type=int, default=0, help="seconds to serve on, once /serving says 503"
    )
    options = parser.parse_args()
    os.environ["WEB_BOUND_TO"] = options.host  # Its children read it, too (health.py).
    os.environ[DRAIN] = str(options.drain)
    look_first(options.host, options.port)
    counted.together(processes=options.workers)
    want_files()
    # uvicorn raises the signal again when all is finished: then that is a good end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "config.asgi:application",
        host=options.host,
        port=options.port,
        workers=options.workers,
        loop="uvloop",
        http=Connection,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=4096,
        timeout_graceful_shutdown=options.grace,
        timeout_worker_healthcheck=60,  # A start takes longer than its 5 s where a machine is busy.
        proxy_headers=False,  # What ours say is read in config/wire/forwarded.py.
    )


def look_first(host: str, port: int) -> None:
    """End with one line where nothing can be served: no settings, no database, no port."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    preflight.require_settings(NAME)
    django.setup()
    preflight.require_database(NAME)
    connection.close_pool()  # type: ignore[attr-defined]  # It is not for the processes that come.
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        preflight.stop(NAME, f"cannot listen at {host}, port {port}: {exc.strerror}.")


if __name__ == "__main__":
    main()
