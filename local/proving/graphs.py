"""Workflows for any ComfyUI, without a model. Each is new: nothing comes from a cache."""

from __future__ import annotations

import secrets
from typing import Any

Graph = dict[str, Any]
SIDE = 64


def color() -> int:
    """Return one that was hardly ever asked for."""
    return secrets.randbelow(1 << 24)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return a node."""
    return {"class_type": class_type, "inputs": inputs}


def _empty(count: int = 1, rgb: int | None = None) -> dict[str, Any]:
    shade = color() if rgb is None else rgb
    return node("EmptyImage", width=SIDE, height=SIDE, batch_size=count, color=shade)


def picture(rgb: int | None = None) -> Graph:
    """Return one that makes a picture of one colour."""
    return {"1": _empty(rgb=rgb), "9": node("SaveImage", images=["1", 0], filename_prefix="proof")}


def negative(name: str) -> Graph:
    """Return one that makes the negative of a file."""
    return {
        "1": node("LoadImage", image=name),
        "2": node("ImageInvert", image=["1", 0]),
        "9": node("SaveImage", images=["2", 0], filename_prefix="sub/negative"),
    }


def slow(seconds: float, steps: int = 20) -> Graph:
    """Return one that takes so long and shows how far it is, by our own node."""
    return {
        "1": _empty(),
        "2": node("DemoSleep", image=["1", 0], seconds=seconds, steps=steps),
        "9": node("SaveImage", images=["2", 0], filename_prefix="slow"),
    }


def animated() -> Graph:
    """Return one that makes three pictures that move."""
    return {
        "1": _empty(3),
        "9": node(
            "SaveAnimatedWEBP", images=["1", 0], filename_prefix="moving", fps=6.0, lossless=True,
            quality=80, method="default",
        ),
    }  # fmt: skip


def video() -> Graph:
    """Return one that makes a film of eight pictures."""
    return {
        "1": _empty(8),
        "2": node("CreateVideo", images=["1", 0], fps=8.0),
        "9": node(
            "SaveVideo",
            video=["2", 0],
            filename_prefix="film",
            format="auto",
            codec="auto",
            **{"format.codec": "auto"},
        ),
    }


def sound() -> Graph:
    """Return one that makes a second of silence."""
    return {
        "1": node("EmptyAudio", duration=1.0, sample_rate=44100, channels=2),
        "9": node("SaveAudio", audio=["1", 0], filename_prefix="silence"),
    }


def text(words: str) -> Graph:
    """Return one that shows a text."""
    return {
        "1": node("PrimitiveString", value=words),
        "9": node("PreviewAny", source=["1", 0]),
    }


def shown() -> Graph:
    """Return one whose picture is only shown: a file of type temp."""
    return {"1": _empty(), "9": node("PreviewImage", images=["1", 0])}


def paid() -> Graph:
    """Return one with a node that calls a vendor."""
    return {
        "1": node(
            "FluxProUltraImageNode", prompt="a lighthouse, evening light", prompt_upsampling=False,
            seed=color(), aspect_ratio="1:1", raw=False,
        ),
        "9": node("SaveImage", images=["1", 0], filename_prefix="paid"),
    }  # fmt: skip


UI_FORMAT: Graph = {
    "last_node_id": 1,
    "nodes": [{"id": 1, "type": "EmptyImage", "pos": [0, 0], "widgets_values": [64, 64, 1, 0]}],
    "links": [],
    "version": 0.4,
}
