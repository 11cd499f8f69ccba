"""`python -m config.web`: the web process (uvicorn, uvloop, httptools), one per core.

SIGTERM stops accepting, lets what is in flight finish for `--grace` seconds, then ends it: a call
that is cut off keeps its hold until the sweep frees it, and nothing is charged for it.
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

from config import preflight
from config.gathered import Gathered

NAME = "config.web"


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog=NAME)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--grace", type=int, default=30, help="seconds for what is in flight")
    parser.add_argument(
        "--forwarded-allow-ips",
        default="",
        help="proxies whose X-Forwarded-* is believed; not needed where PUBLIC_URL is set",
    )
    options = parser.parse_args()
    os.environ["WEB_BOUND_TO"] = options.host  # Its children read it, too (health.py).
    look_first(options.host, options.port)
    # uvicorn raises the signal again when all is finished: then that is a good end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "config.asgi:application",
        host=options.host,
        port=options.port,
        workers=options.workers,
        loop="uvloop",
        http=Gathered,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=options.grace,
        proxy_headers=bool(options.forwarded_allow_ips),
        forwarded_allow_ips=options.forwarded_allow_ips or None,
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
