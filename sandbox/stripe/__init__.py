"""A stateful stand-in for Stripe, driven by Stripe's own library, for `up` and for tests.

    StripeClient("sk_test_any", base_addresses={"api": url}, max_network_retries=2)

server.py       the door before all of it     resources.py, intents.py  which request does what
idempotency.py  the same key again            desk.py      all it remembers; events begin here
wire.py         forms in, errors out          objects.py   what each object looks like
views.py        expanded, and in pages        payments.py  charging, and what may go wrong
checkout.py     hosted payments and set-ups   after.py     refunds, disputes, warnings
methods.py      cards, saved and removed      webhooks.py  signed deliveries, and their faults
pages.py        what a payer sees             control.py   what only a test may ask
remote.py       the whole from outside: in a thread, controlled over HTTP

It keeps no file and asks no network but the webhook's address; all it knows is gone when it stops.
"""
