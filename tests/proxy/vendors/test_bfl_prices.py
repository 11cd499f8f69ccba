"""What Black Forest Labs' own rules come to, to the micro."""

from __future__ import annotations

import asyncio
import base64
import io

import pytest
from PIL import Image

from common.money import usd
from proxy.asked import Asked, Evidence
from proxy.vendors.bfl import BFL
from proxy.vendors.bfl_prices import ByInputPixels

PRO = next(each for each in BFL.operations if each.path == "bfl/flux-2-pro/generate").price
TOOLS = [each for each in BFL.operations if isinstance(each.price, ByInputPixels)]


def quote(price, **body):
    return asyncio.run(price.quote(Asked(body=body)))


def picture(width: int, height: int) -> str:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    ("references", "most", "least"),
    [(0, "0.03", "0.03"), (1, "0.09", "0.045"), (3, "0.21", "0.075")],
)
def test_a_reference_is_held_at_four_megapixels_and_costs_one_at_least(references, most, least):
    names = ["input_image", *(f"input_image_{n}" for n in range(2, 9))][:references]
    asked = quote(PRO, width=1024, height=1024, **dict.fromkeys(names, picture(8, 8)))

    assert asked.most == usd(most)
    assert PRO.settle(asked.inputs, Evidence(submit={})) == usd(least)


def test_what_the_vendor_counted_is_what_a_reference_costs():
    asked = quote(PRO, width=1024, height=1024, input_image=picture(8, 8))

    assert PRO.settle(asked.inputs, Evidence(submit={"cost": 7.5})) == usd("0.075")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.path)
def test_a_tool_costs_no_more_than_the_top_of_its_range(tool):
    asked = quote(tool.price, **{tool.price.image: picture(6000, 4000)})

    assert asked.most == tool.price.most
    assert tool.price.settle(asked.inputs, Evidence(submit={})) == tool.price.most
