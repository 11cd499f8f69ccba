"""Operations by their path: what they quote, and what they send."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.asked import Asked
from proxy.catalogue import Operation
from proxy.pricing import Quote
from proxy.vendors import catalogue

DASHSCOPE = "wan/api/v1/services/aigc"
WAN = f"{DASHSCOPE}/video-generation/video-synthesis"
H3 = {"model": "MiniMax-H3"}
FILM = "heygen/v3/videos"


def operation(path: str) -> Operation:
    return catalogue().find("POST", f"/proxy/{path}").operation


def quote(path: str, body: dict[str, Any], **measured: Any) -> Quote:
    asked = Asked(body=body, measured=measured)
    return asyncio.run(operation(path).price.quote(asked))


def sent(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body that the vendor gets."""
    made = operation(path)
    asked = Asked(body=body)
    return made.prepare(asked, asyncio.run(made.price.quote(asked)).inputs) or body


def poll_of(path: str) -> Operation:
    found = catalogue().find("POST", f"/proxy/{path}")
    return found.vendor.poll(found.operation.job)
