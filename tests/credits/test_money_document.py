"""docs/money.md is what an accountant reads: it names all that there is."""

from pathlib import Path

import pytest

from credits.models import Account, Entry
from credits.payments import stripe_api

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "money.md").read_text()


@pytest.mark.parametrize("event", stripe_api.HANDLED)
def test_every_event_that_we_ask_for_is_explained(event):
    family, _, last = event.rpartition(".")

    assert family in TEXT
    assert f"{event}`" in TEXT or f"`.{last}`" in TEXT


@pytest.mark.parametrize("account", [kind for kind in Account.Kind if kind != "wallet"])
def test_every_account_is_explained(account):
    assert f"| `{account}` |" in TEXT


KEYS = ("topup", "tax", "call", "shortfall", "grant", "adjustment", "refund", "dispute")


@pytest.mark.parametrize("key", [*KEYS, "expiry", "reversal"])
def test_every_key_is_explained(key):
    assert f"`{key}:" in TEXT


def test_every_kind_of_entry_has_its_posting():
    assert {str(kind) for kind in Entry.Kind} == {
        "top_up", "grant", "call", "shortfall", "refund", "adjustment", "reversal", "dispute",
        "receivable", "tax", "expiry",
    }, "a new kind needs a line in docs/money.md, and a name here"  # fmt: skip
