"""Stripe: which mode, whether it tells us of everything, at the right address."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from common.errors import PlatformError
from config.doctor.verdicts import Verdict, failed, ok, warning
from credits.models import StripeEvent
from credits.payments import stripe_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credits.payments.stripe_objects import Endpoint

PATH = "/webhooks/stripe"
LATE = timedelta(hours=1)
MOST_NAMED = 6


def look() -> Iterator[Verdict]:
    """Look at the key, then ask Stripe with it where it sends what."""
    if not stripe_api.is_configured():
        sentence = "STRIPE_API_KEY is empty: credits cannot be bought here."
        yield warning("stripe", sentence, "Set it, and STRIPE_WEBHOOK_SECRETS, to sell credits.")
        return
    yield _mode()
    secrets = settings.STRIPE_WEBHOOK_SECRETS
    if not secrets:
        sentence = "STRIPE_WEBHOOK_SECRETS is empty: whatever Stripe tells us is refused."
        yield failed("webhook", sentence, "Copy the endpoint's signing secret (whsec_...).")
    elif not all(secret.startswith("whsec_") for secret in secrets):
        sentence = "A secret in STRIPE_WEBHOOK_SECRETS does not begin with whsec_."
        yield warning("webhook", sentence, "Copy the endpoint's signing secret (whsec_...).")
    try:
        found = stripe_api.endpoints()
    except stripe_api.KeyRefused:
        sentence = "Stripe does not let this key read webhook endpoints."
        do = "Mend STRIPE_API_KEY; a restricted key needs to read webhook endpoints, too."
        yield failed("stripe", sentence, do)
    except PlatformError as exc:
        yield failed("stripe", f"Stripe does not answer: {exc}", "See whether we may reach it.")
    else:
        yield from _endpoint(found)


def _mode() -> Verdict:
    _, _, rest = settings.STRIPE_API_KEY.partition("_")
    if settings.STRIPE_API_BASE:
        sentence = f"{settings.STRIPE_API_BASE} stands in for Stripe: no real money moves."
        return warning("stripe", sentence, "Unset STRIPE_API_BASE to sell credits.")
    if rest.startswith("live_"):
        return ok("stripe", "The key is of live mode.")
    if rest.startswith("test_"):
        sentence = "The key is of test mode: credits are had for cards that are none."
        return warning("stripe", sentence, "Set STRIPE_API_KEY to a live key to sell credits.")
    sentence = "STRIPE_API_KEY begins with neither sk_live_ nor sk_test_ (rk_... if restricted)."
    return warning("stripe", sentence, "Copy it again from Stripe's dashboard.")


def _endpoint(found: list[Endpoint]) -> Iterator[Verdict]:
    wanted = f"{settings.PUBLIC_URL}{PATH}"
    if settings.PUBLIC_URL:
        ours = [each for each in found if each.url.rstrip("/") == wanted]
    else:
        ours = [each for each in found if each.url.rstrip("/").endswith(PATH)]
    if not ours:
        there = ", ".join(sorted({each.url for each in found})) or "none"
        sentence = f"Stripe has no webhook endpoint for {wanted}; it has: {there}."
        yield failed("webhook", sentence, f"Add one for {wanted}, with docs/money.md's events.")
        return
    running = [each for each in ours if each.is_enabled]
    if not running:
        sentence = f"Stripe's webhook endpoint for {ours[0].url} is disabled."
        yield failed("webhook", sentence, "Enable it in Stripe's dashboard.")
        return
    heard = {event for each in running for event in each.events}
    missing = [] if "*" in heard else [each for each in stripe_api.HANDLED if each not in heard]
    if missing:
        named = ", ".join(missing[:MOST_NAMED]) + (", ..." if len(missing) > MOST_NAMED else "")
        sentence = f"Stripe does not tell us of {len(missing)} kinds of event: {named}"
        yield failed("webhook", sentence, "Add them to the endpoint (docs/money.md lists all).")
    else:
        yield ok("webhook", f"Stripe tells {running[0].url} of all that we act upon.")


def look_at_events() -> Iterator[Verdict]:
    """Look for events that came only because we asked, and for those that nobody acts upon."""
    now = timezone.now()
    lately = StripeEvent.objects.filter(received_at__gt=now - timedelta(days=1))
    count, listed = lately.count(), lately.filter(listed=True).count()
    waiting = StripeEvent.objects.filter(processed_at=None, received_at__lt=now - LATE).count()
    if listed:
        sentence = f"{listed} of the last day's {count} events were not delivered: we asked."
        do = "See Stripe's dashboard for what our address answered; compare the signing secret."
        yield warning("events", sentence, do)
    if waiting:
        sentence = f"{waiting} events of Stripe's wait for more than an hour to be acted upon."
        do = "Read the `error` of credits_stripeevent; see whether the queue `money` is taken from."
        yield warning("events", sentence, do)
    if not listed and not waiting:
        yield ok("events", "What Stripe tells us comes by itself, and is acted upon.")
