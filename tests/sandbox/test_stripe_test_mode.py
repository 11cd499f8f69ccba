"""The same scenarios on Stripe itself, in test mode: the proof that our fake tells no tales.

Runs where STRIPE_TEST_KEY holds the secret test-mode key of an account (sk_test_...), and with it
leaves customers and payments there that are as unreal as their cards.
"""

import os
from collections.abc import Mapping

import pytest
import stripe
from stripe_scenarios import EVERYWHERE, STRIPES_OWN, FarStripe, Scenario


def key_of(environment: Mapping[str, str]) -> str:
    """Return the key; skips without one, and refuses any that could move money."""
    key = environment.get("STRIPE_TEST_KEY")
    if not key:
        pytest.skip("STRIPE_TEST_KEY is not set: no Stripe account to test on")
    if not key.startswith("sk_test_"):
        pytest.fail("STRIPE_TEST_KEY must begin with sk_test_: it is refused", pytrace=False)
    return key


@pytest.fixture(scope="module")
def far():
    key = key_of(os.environ)
    http = stripe.RequestsClient(timeout=30)
    v1 = stripe.StripeClient(key, max_network_retries=2, http_client=http).v1
    yield FarStripe(v1, currency=v1.accounts.retrieve_current().default_currency)
    http.close()


@pytest.mark.stripe_test_mode
@pytest.mark.parametrize("scenario", EVERYWHERE + STRIPES_OWN, ids=lambda each: each.name)
def test_stripe_sees_it(far, scenario: Scenario):
    assert scenario.play(far) == scenario.sees


@pytest.mark.parametrize("key", ["sk_live_x", "rk_live_x", "rk_test_x", "pk_test_x", "x"])
def test_any_other_key_is_refused(key):
    with pytest.raises(pytest.fail.Exception, match="refused") as refused:
        key_of({"STRIPE_TEST_KEY": key})

    assert key not in str(refused.value).split()
