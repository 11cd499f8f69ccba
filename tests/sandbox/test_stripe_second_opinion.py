"""Our fake Stripe beside localstripe: whoever reads Stripe's documentation should see the same.

localstripe is a program of its own, under the GPL, and none of ours imports it. Left to itself it
listens on every interface and keeps a pickle in the temporary folder; here it does neither.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import stripe
from stripe_scenarios import EVERYWHERE, STRIPES_OWN, FarStripe, Scenario
from webhook_receiver import receiving

from local import processes
from sandbox.stripe.remote import stripe_in_thread

pytestmark = pytest.mark.system
SECRET = "whsec_second_opinion"
LOCALSTRIPE = """
import socket
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None
here = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{here.getsockname()[1]}", flush=True)
web.run_app(server.app, sock=here, print=None, access_log=None, shutdown_timeout=0.1)
"""
NUMBERS = {
    "visa": "4242424242424242",
    "chargeCustomerFail": "4000000000000341",
    "authenticationRequired": "4000002760003184",
}


@dataclass(frozen=True)
class Deliverer:
    """A Stripe on this machine: its address, and how it is told where to send events."""

    url: str
    send_to: Callable[[str], object]


@pytest.fixture(scope="module")
def ours():
    with stripe_in_thread() as fake:
        tell = lambda url: fake.post("webhook", url=url, secrets=[SECRET])  # noqa: E731
        yield Deliverer(fake.url, tell)


@pytest.fixture(scope="module")
def theirs():
    command = [*processes.tied("TERM"), sys.executable, "-c", LOCALSTRIPE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        url = program.stdout.readline().strip()

        def tell(address: str) -> None:
            data = json.dumps({"url": address, "secret": SECRET}).encode()
            request = urllib.request.Request(f"{url}/_config/webhooks/test", data=data)
            urllib.request.urlopen(request, timeout=5).close()

        yield Deliverer(url, tell)
        program.terminate()


@pytest.fixture
def far_of():
    """Reach a Stripe through its library, as our code does."""
    opened = []

    def reach(stripe_of: Deliverer, *, by_number: bool = False) -> FarStripe:
        opened.append(stripe.RequestsClient(timeout=10))
        address = {"api": stripe_of.url}
        v1 = stripe.StripeClient(
            "sk_test_opinion", base_addresses=address, http_client=opened[-1]
        ).v1

        def card(name: str) -> str:
            number = {"number": NUMBERS[name], "exp_month": 12, "exp_year": 2040, "cvc": "123"}
            return v1.payment_methods.create({"type": "card", "card": number}).id

        return FarStripe(v1, card) if by_number else FarStripe(v1)

    yield reach
    for each in opened:
        each.close()


@pytest.mark.parametrize("scenario", EVERYWHERE + STRIPES_OWN, ids=lambda each: each.name)
def test_our_fake_sees_it(far_of, ours, scenario: Scenario):
    assert scenario.play(far_of(ours)) == scenario.sees


@pytest.mark.parametrize("scenario", EVERYWHERE, ids=lambda each: each.name)
def test_localstripe_sees_the_same(far_of, theirs, scenario: Scenario):
    assert scenario.play(far_of(theirs, by_number=True)) == scenario.sees


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_webhooks_are_verified_by_stripes_library(request, far_of, whose):
    """Others may come too: localstripe delivers late, also what earlier tests have done."""
    deliverer = request.getfixturevalue(whose)
    with receiving() as receiver:
        deliverer.send_to(receiver.url)
        alice = far_of(deliverer).v1.customers.create({"name": "Alice"})

        def came() -> list[str]:
            events = receiver.events(SECRET)
            return [each.type for each in events if each.data.object["id"] == alice.id]

        end = time.monotonic() + 10
        while not came() and time.monotonic() < end:
            time.sleep(0.02)

        assert came() == ["customer.created"]
        with pytest.raises(stripe.SignatureVerificationError):
            receiver.events("whsec_other")
