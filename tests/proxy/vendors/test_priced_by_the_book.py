"""A call is held, settled and recorded under the version that held when its money was set aside."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from priced import an_empty_book, publish
from proxy_stage import ECHO, IMAGE, ULTRA, ULTRA_MICROS
from sample_calls import SAMPLES, sample_of, send
from test_samples import asked_of
from vendor_calls import RICH

from common.errors import InvalidRequest
from prices import terms
from proxy.asked import Evidence
from proxy.pricing import booked
from proxy.pricing.shapes import Ruled


@pytest.fixture
def book(stage):
    with an_empty_book(stage.db):
        yield lambda *written, **rest: publish(stage.db, *written, **rest)


def more(about, percent):
    return {"about": about, "kind": "markup", "amount": percent * 10_000}


async def test_a_markup_is_held_charged_and_written_down(stage, book):
    member = await stage.member()
    await stage.post(IMAGE, member, json={})
    book(more("*", 50), more("sandbox/v1/image", 25))

    await stage.post(IMAGE, member, json={})
    await stage.post(ECHO, member, json={"units": 3, "most_units": 5})

    first, nearest, general = stage.calls(member)
    assert first["price_version"].partition("+")[2] == ""
    assert first["charged_micros"] == 10_000
    assert nearest["price_version"].endswith("+1")
    assert (nearest["held_micros"], nearest["charged_micros"]) == (12_500, 12_500)
    assert nearest["facts"]["retail"] == 10_000
    assert nearest["facts"]["inputs"]["book"]["amount"] == 250_000
    assert (general["held_micros"], general["charged_micros"]) == (7_500, 4_500)
    assert stage.wallet(member) == (5_000_000 - 10_000 - 12_500 - 4_500, 0)


async def test_a_fixed_amount_is_asked_whatever_the_call_comes_to(stage, book):
    member = await stage.member()
    book({"about": "sandbox/v1/echo", "kind": "fixed", "amount": 4_321})

    for units in (5, 1, 0):
        await stage.post(ECHO, member, json={"units": units, "most_units": 5})

    assert [call["charged_micros"] for call in stage.calls(member)] == [4_321, 4_321, 0]


async def test_a_job_that_ends_after_a_change_costs_what_held_at_its_hold(stage, book):
    member = await stage.member()
    book(more("bfl", 10))
    begun = await stage.post(ULTRA, member, json={"prompt": "fox"})
    assert stage.wallet(member)[1] == ULTRA_MICROS * 11 // 10

    book(more("bfl", 100))
    await stage.poll_until_end(begun.json()["polling_url"], member)
    await stage.settled(member)
    await stage.post(ULTRA, member, json={"prompt": "fox"})

    (call,) = stage.calls(member)
    assert (call["charged_micros"], call["price_version"][-2:]) == (ULTRA_MICROS * 11 // 10, "+1")
    assert call["facts"]["retail"] == ULTRA_MICROS
    assert stage.wallet(member)[1] == ULTRA_MICROS * 2


async def test_the_price_changes_at_its_instant_whatever_a_process_remembers(stage, book):
    """No call is written with a version that did not hold when it was placed.

    The version is committed long before its instant, as `LEAD` has it be.
    """
    member = await stage.member(micros=RICH)
    loop = asyncio.get_running_loop()

    async def crowd() -> None:
        await asyncio.gather(*(stage.post(IMAGE, member, json={}) for _ in range(4)))

    await crowd()
    change = loop.run_in_executor(None, lambda: book(more("*", 100), seconds=4))
    while not change.done():
        await crowd()
    await crowd()
    await change

    wrong = stage.rows(
        "SELECT call.id FROM usage_call call, prices_version version WHERE workspace_id = %s"
        " AND (started_at >= effective_at) <> (price_version LIKE '%%+1')",
        member.workspace,
    )
    charged = [call["charged_micros"] for call in stage.calls(member)]
    assert wrong == []
    assert charged == sorted(charged)
    assert set(charged) == {10_000, 20_000}


async def test_what_the_wallet_affords_is_reckoned_at_the_price_that_is_asked(stage, book):
    """A limit of tokens is set by itself: under a mark-up it must be lower."""
    member = await stage.member(micros=150_000)
    sample = sample_of("/proxy/openai/v1/responses")
    stage.vendor.desks["openai"].overlay = sample.entry.get("answer", {})
    book(more("openai", 300))
    body = {"model": "gpt-4.1", "input": [{"role": "user", "content": "hi"}], "stream": False}

    answer = await stage.post("/proxy/openai/v1/responses", member, json=body)

    assert answer.status == 200, answer.body
    (call,) = stage.calls(member)
    assert 140_000 < call["held_micros"] <= 150_000


FORM, STREAM = "/proxy/ideogram/ideogram-v3/generate", "/proxy/sandbox/v1/upload"


async def test_what_is_priced_anew_is_sent_once_and_whole(stage, book):
    """A form, and a body that passes through: what was made of it for the old price is dropped."""
    member = await stage.member(micros=RICH)
    sample = sample_of(FORM)
    book(more("*", 100))
    formed = await send(stage, member, sample.entry)
    book(more("*", 200))
    passed = await stage.post(STREAM, member, data=b"x" * 100_000)

    assert (formed.status, passed.status) == (200, 200), passed.body
    assert [call["charged_micros"] for call in stage.calls(member)] == [sample.most * 2, 30_000]
    assert stage.vendor.counts("ideogram")["submits"] == 1


def versions_of(sample):
    yield terms.Term("*", terms.MARKUP, 333_333)
    yield terms.Term("*", terms.MARKUP, -333_333)
    yield terms.Term("*", terms.MARKUP, -1_000_000)
    yield terms.Term("*", terms.FIXED, 12_345)
    yield terms.Term("*", terms.BY, 7_777, "seconds")
    yield terms.Term("*", terms.BY, 7_777, "n")


@pytest.mark.slow
def test_no_price_under_a_term_is_more_than_what_is_held():
    for sample in SAMPLES:
        price, path = sample.operation.price, sample.operation.path
        for term in versions_of(sample):
            asked = asked_of(sample, sample.entry["body"])
            asked.headers = sample.entry.get("headers", {})
            made = terms.Book(1, {"*": term})
            try:
                quote = asyncio.run(
                    booked.quote(price, asked, book=made, vendor="v", operation=path)
                )
            except InvalidRequest:
                continue
            finally:
                if asked.form is not None:
                    asked.form.close()
            for seconds in (Fraction(1, 3), Fraction(quote.inputs.get("most", 5))):
                known = Evidence(submit={}, end={}, measured={"seconds": seconds})
                settled = booked.settle(price, quote.inputs, known, most=quote.most)
                assert settled.price is not None
                assert 0 <= settled.price <= quote.most, (path, term, quote)
                if term.kind == terms.MARKUP:
                    exact = Fraction(settled.retail) * (1_000_000 + term.amount) / 1_000_000
                    assert 0 <= settled.price - exact < 1


def test_an_amount_by_the_second_takes_the_place_of_the_published_rate():
    rule = Ruled(lambda asked: None)
    by_second = terms.Term("*", terms.BY, 10, "seconds")
    delivered = {"rate": 50, "least": "1", "most": "10", "base": 70}
    known = {"price": 250, "seconds": "2.5"}

    assert booked.by_unit(rule, by_second, delivered)["rate"] == 10
    assert rule.settle(
        booked.by_unit(rule, by_second, delivered),
        Evidence(end={}, measured={"seconds": Fraction(3)}),
    ) == 30  # fmt: skip
    assert booked.by_unit(rule, by_second, known) == {"price": 25}
    assert booked.by_unit(rule, by_second, {"price": 250}) is None


async def test_a_sample_is_held_for_more_by_its_markup(stage, book):
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/bfl/flux-pro-1.1/generate")
    book(more("bfl/flux-pro-1.1/generate", 1))

    answer = await send(stage, member, sample.entry)

    assert answer.status == 200
    assert stage.wallet(member)[1] == sample.most * 101 // 100
