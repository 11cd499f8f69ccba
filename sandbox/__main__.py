"""`python -m sandbox --port P [--host H]`: serve until interrupted or terminated.

SANDBOX_KEY            the credential that every vendor wants; unset: none is asked for
SANDBOX_SECRET         its other half, for vendors that want requests signed with a pair
SANDBOX_JOB_SECONDS    how long a job takes, 0.3 unless told
SANDBOX_LINK_SECONDS   how long a link to a result lives where links die, 600 unless told
SANDBOX_TOKEN_SECONDS  how long an access token lives where there are some, 3600 unless told
SANDBOX_SERVICE_ACCOUNT  the key file of who may sign in at Google; unset: one of its own
SANDBOX_PUBLIC_URL     what the addresses of results begin with; unset: as the request came
"""

import argparse
import asyncio
import signal
import sys

from sandbox.far_side import Settings
from sandbox.server import running


async def serve(*, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, having said on standard output where."""
    stop = asyncio.Event()
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    async with running(Settings.from_environment(), host=host, port=port) as far_side:
        sys.stdout.write(f"The sandbox is at {far_side.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Read the command line and serve; port 0 takes any free one."""
    parser = argparse.ArgumentParser(prog="sandbox", description="The vendors, as a program.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    asked = parser.parse_args()
    serving = serve(host=asked.host, port=asked.port)
    if sys.platform == "win32":
        asyncio.run(serving)
    else:
        import uvloop

        uvloop.run(serving)


if __name__ == "__main__":
    main()
