"""`python -m sandbox.stripe --port P [--host H]`: serve until interrupted or terminated.

FAKE_STRIPE_KEY             the only API key that is taken; unset: any that begins with sk_test_
FAKE_STRIPE_WEBHOOK_URL     where events are posted; unset: nowhere, until the control API says
FAKE_STRIPE_WEBHOOK_SECRET  what they are signed with; two, parted by a comma, while one is rolled
FAKE_STRIPE_STATE           a file in which customers and payments outlive a restart; unset: none
FAKE_STRIPE_PUBLIC_URL      what the addresses of pages begin with; unset: where it listens
"""

import argparse
import asyncio
import signal
import sys

from sandbox.stripe.desk import Settings
from sandbox.stripe.server import running_stripe


async def serve(*, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, having said on standard output where."""
    stop = asyncio.Event()
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    async with running_stripe(Settings.from_environment(), host=host, port=port) as desk:
        sys.stdout.write(f"The fake Stripe is at {desk.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Read the command line and serve; port 0 takes any free one."""
    parser = argparse.ArgumentParser(prog="sandbox.stripe", description="Stripe, as a program.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    asked = parser.parse_args()
    asyncio.run(serve(host=asked.host, port=asked.port))


if __name__ == "__main__":
    main()
