"""The sandbox's own prices, and that no price exceeds its quote, whatever the vendor says."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from PIL import Image

from common.errors import InvalidRequest
from proxy import pricing
from proxy.asked import Asked, Evidence
from proxy.catalogue import Kind, Takes
from proxy.vendors import catalogue
from tests.plugin import examples

VIDEO_UPSCALE = "/proxy/bfl/v1/flux-tools/video-upscale-v1"


def quoted(price, body):
    """Return the quote of a body; no price waits for anything but a measurement."""
    return asyncio.run(price.quote(Asked(body=body)))


@pytest.mark.parametrize(
    ("path", "body", "charged"),
    [
        ("image", {}, 10_000),
        ("stream?bytes=10", {}, 10_000),
        ("lines", {}, 10_000),
        ("upload", {}, 10_000),
        ("echo", {"units": 3, "most_units": 5}, 3_000),
        ("echo", {"units": 0}, 0),
        ("echo", {"units": 9, "most_units": 2}, 2_000),
        ("free", {}, 0),
    ],
)
async def test_the_sandboxs_own_operations(stage, path, body, charged):
    member = await stage.member()
    answer = await stage.post(f"/proxy/sandbox/v1/{path}", member, json=body)
    assert answer.status == 200
    assert stage.spent(member) == charged
    assert stage.wallet(member) == (5_000_000 - charged, 0)


def picture(width: int, height: int) -> str:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


PICTURES = [picture(w, h) for w, h in ((1, 1), (1024, 1024), (3000, 1), (2048, 2049), (6000, 4000))]
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 9000),
    st.floats(allow_nan=False),
    st.sampled_from(["auto", "AUTO", "t2v", "i2v", "v2v", "hd", "fhd", "", "5"]),
)
requests = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("width", "height"), st.one_of(st.integers(1, 8192), anything)),
        **dict.fromkeys(("duration", "creativity"), st.one_of(st.integers(0, 60), anything)),
        "mode": st.one_of(st.sampled_from(["t2v", "i2v", "v2v"]), anything),
        "resolution": st.one_of(st.sampled_from(["hd", "fhd"]), anything),
        **dict.fromkeys(
            ("image", "person", "input_image", "input_image_2", "input_image_8"),
            st.one_of(st.sampled_from(PICTURES), anything),
        ),
        "most_units": st.one_of(st.integers(1, 1000), anything),
    },
)
PRICED = [
    (vendor.name, operation)
    for vendor in catalogue().vendors.values()
    for operation in vendor.operations
    if operation.kind in (Kind.SYNC, Kind.SUBMIT) and operation.takes is Takes.JSON
]


@rules(max_examples=examples(400), deadline=None)
@given(
    which=st.sampled_from(PRICED),
    asked=requests,
    seconds=st.one_of(st.none(), st.fractions(Fraction(1, 100), 20)),
)
def test_what_we_work_out_is_never_more_than_was_quoted(which, asked, seconds):
    """A vendor may name any figure: what is over the hold is not the member's."""
    price = which[1].price
    try:
        quote = quoted(price, asked)
    except InvalidRequest:
        return
    assert quote.most >= 0
    json.dumps(quote.inputs, allow_nan=False)  # They are written down.
    settled = price.settle(quote.inputs, Evidence(submit={}))
    if settled is None:
        measured = {} if seconds is None else {"seconds": seconds}
        settled = price.settle(quote.inputs, Evidence(end={}, measured=measured))
    assert isinstance(settled, int)
    assert 0 <= settled <= quote.most


@rules(max_examples=examples(200), deadline=None)
@given(
    which=st.sampled_from(PRICED),
    asked=requests,
    answer=st.dictionaries(
        st.sampled_from(["cost", "usage", "id"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=5),
            st.fixed_dictionaries({"units": st.one_of(st.none(), st.integers(), st.floats())}),
        ),
    ),
)
def test_whatever_the_vendor_says_is_an_amount(which, asked, answer):
    price = which[1].price
    try:
        quote = quoted(price, asked)
    except InvalidRequest:
        return
    for known in (Evidence(submit=answer), Evidence(end=answer), Evidence(submit=answer, end={})):
        settled, absurd = pricing.settle(price, quote.inputs, known, most=quote.most)
        assert settled is None or (isinstance(settled, int) and settled >= 0)
        assert settled is None or settled <= pricing.BELIEVED * quote.most
        assert absurd is None or absurd > pricing.BELIEVED * quote.most


@pytest.mark.parametrize(
    ("said", "micros"),
    [
        (5.5, 55_000),
        (1.1, 11_000),  # As it is written, not as a binary fraction has it, which is more.
        (1.23456, 12_346),  # A part of a micro is rounded up: the vendor bills it to us.
        (0.00001, 1),
        (0, 0),
        (10**12 - 1, (10**12 - 1) * 10_000),
    ],
)
def test_a_vendors_price_in_cents_is_exact_and_rounded_up_once(said, micros):
    assert pricing.vendor_cents({"cost": said}, "cost") == micros


@pytest.mark.parametrize(
    "said", [None, True, "5.5", [], -0.01, math.nan, math.inf, 10**12, {"cents": 5}]
)
def test_what_is_no_price_in_cents_is_none(said):
    assert pricing.vendor_cents({"cost": said}, "cost") is None
    assert pricing.vendor_cents(said, "cost") is None
