"""`python -m sandbox.comfy_worker --port P [--api-base URL] [--home FOLDER]`: serve until ended.

COMFY_WORKER_TOKEN  what has to come as `Authorization: Bearer`; unset: nothing
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from aiohttp import web

from sandbox.comfy_worker.server import Server


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="comfy_worker", description="A machine for runs.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--api-base", default="http://127.0.0.1:8000", help="of paid nodes")
    parser.add_argument("--home", type=Path, help="where its files lie; none: a new folder")
    asked = parser.parse_args()
    home = asked.home or Path(tempfile.mkdtemp(prefix="comfy-worker-"))
    server = Server(home, api_base=asked.api_base, token=os.environ.get("COMFY_WORKER_TOKEN", ""))
    web.run_app(server.app(), host=asked.host, port=asked.port, print=None)


if __name__ == "__main__":
    main()
