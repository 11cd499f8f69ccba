"""What a member bought, as staff read it."""

import io
import json

from django.core.management import call_command

from common.money import usd


def told(*words):
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_what_a_member_bought_is_told_to_people_and_to_programs(alice, shop):
    bought = shop.buy(alice, "25.00")
    shop.spend(alice, "3.00")  # A dollar of it was granted.

    (row,) = json.loads(told("money", "purchases", alice.user.email, "--json"))
    said = told("money", "purchases", alice.user.email)

    assert (row["id"], row["state"], row["amount_micros"]) == (
        str(bought.pk), "credited", usd("25.00"),
    )  # fmt: skip
    assert (row["unspent_micros"], row["refunded_micros"]) == (usd("23.00"), 0)
    assert said.startswith(f"{bought.pk}  ")
    assert said.endswith("  credited         $25.00  unspent $23.00  refunded $0.00\n")
