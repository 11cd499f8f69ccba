"""The nodes that the demo worker has: real pictures by Pillow, and ways to fail on request."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

Step = Callable[[int, int, Image.Image | None], Awaitable[None]]
"""Told how far a node is, with a picture of it, if there is one."""


@dataclass(slots=True)
class Room:
    """Where a node works: folders, what came with the prompt, and whom it tells how far it is."""

    folders: Mapping[str, Path]
    extra: Mapping[str, Any]
    prompt_id: str
    graph: Mapping[str, Any]
    api_base: str
    step: Step


@dataclass(slots=True)
class Made:
    """What a node gives on, and what the page is shown of it."""

    outputs: tuple[Any, ...] = ()
    ui: dict[str, list[Any]] | None = None


class NodeError(Exception):
    """A node failed, as one of its own does."""


def _inside(folder: Path, *parts: str) -> Path:
    path = folder.joinpath(*parts).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise NodeError("this place is outside of its folder")
    return path


async def empty_image(given: dict[str, Any], room: Room) -> Made:
    """Make a picture of one colour, as many as are asked for."""
    color = int(given.get("color", 0))
    size = int(given["width"]), int(given["height"])
    rgb = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return Made(([Image.new("RGB", size, rgb)] * int(given.get("batch_size", 1)),))


async def load_image(given: dict[str, Any], room: Room) -> Made:
    """Read a picture of a folder."""
    with Image.open(_inside(room.folders["input"], given["image"])) as found:
        picture = found.convert("RGB")
    return Made(([picture], [picture.convert("L")]))


async def scale(given: dict[str, Any], room: Room) -> Made:
    """Pictures of another size."""
    size = int(given["width"]), int(given["height"])
    return Made(([each.resize(size) for each in given["image"]],))


async def invert(given: dict[str, Any], room: Room) -> Made:
    """Their negatives."""
    return Made(([ImageOps.invert(each) for each in given["image"]],))


async def sleep(given: dict[str, Any], room: Room) -> Made:
    """Pass pictures on after a while, step by step."""
    steps = max(int(given.get("steps", 4)), 1)
    for step in range(steps):
        await asyncio.sleep(float(given["seconds"]) / steps)
        await room.step(step + 1, steps, given["image"][0].copy())
    return Made((given["image"],))


async def fail(given: dict[str, Any], room: Room) -> Made:
    """Fail, as nodes do."""
    raise NodeError(str(given.get("words", "It does not work.")))


async def crash(given: dict[str, Any], room: Room) -> Made:
    """Take the whole machine along."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Made()


async def call(given: dict[str, Any], room: Room) -> Made:
    """Call a paid node's vendor, as a partner node does, and pass pictures on."""
    headers = {"Comfy-Job-Id": room.prompt_id}
    if key := room.extra.get("api_key_comfy_org"):
        headers["X-API-KEY"] = key
    async with (
        aiohttp.ClientSession() as session,
        session.post(room.api_base + given["path"], data=given["body"], headers=headers) as answer,
    ):
        if answer.status >= 400:
            raise NodeError(f"{answer.status}: {(await answer.text())[:300]}")
    return Made((given["image"],))


async def save(given: dict[str, Any], room: Room) -> Made:
    """Pictures as files of type output."""
    return _saved(given["images"], room, "output", str(given["filename_prefix"]))


async def preview(given: dict[str, Any], room: Room) -> Made:
    """Pictures as files of type temp."""
    return _saved(given["images"], room, "temp", f"ComfyUI_temp_{room.prompt_id[:5]}")


def _saved(pictures: list[Image.Image], room: Room, kind: str, prefix: str) -> Made:
    subfolder, _, name = prefix.rpartition("/")
    folder = _inside(room.folders[kind], subfolder)
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for picture in pictures:
        number = 1 + sum(each.name.startswith(f"{name}_") for each in folder.iterdir())
        file = f"{name}_{number:05}_.png"
        picture.save(folder / file, pnginfo=_told(room))
        shown.append({"filename": file, "subfolder": subfolder, "type": kind})
    return Made(ui={"images": shown})


def _told(room: Room) -> PngInfo:
    """Return what a ComfyUI writes into each picture: what it ran, and what its page sent."""
    told = PngInfo()
    told.add_text("prompt", json.dumps(room.graph))
    for name, value in (room.extra.get("extra_pnginfo") or {}).items():
        told.add_text(name, json.dumps(value))
    return told


Work = Callable[[dict[str, Any], Room], Awaitable[Made]]
IMAGE = ["IMAGE"]
INT = ["INT", {"default": 512, "min": 1, "max": 16384}]


def _node(
    work: Work, required: dict[str, Any], output: tuple[str, ...] = (), **more: Any
) -> tuple[Work, dict[str, Any]]:
    return work, {
        "input": {"required": required, "optional": more.pop("optional", {})},
        "output": list(output),
        "output_is_list": [False] * len(output),
        "output_name": list(output),
        "output_node": not output,
        "python_module": "nodes",
        "category": "demo",
        **more,
    }


NODES: dict[str, tuple[Work, dict[str, Any]]] = {
    "EmptyImage": _node(
        empty_image,
        {"width": INT, "height": INT},
        ("IMAGE",),
        optional={
            "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
            "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF}],
        },
    ),
    "LoadImage": _node(
        load_image, {"image": [["example.png"], {"image_upload": True}]}, ("IMAGE", "MASK")
    ),
    "ImageScale": _node(scale, {"image": IMAGE, "width": INT, "height": INT}, ("IMAGE",)),
    "ImageInvert": _node(invert, {"image": IMAGE}, ("IMAGE",)),
    "DemoSleep": _node(
        sleep,
        {"image": IMAGE, "seconds": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0}]},
        ("IMAGE",),
        optional={"steps": ["INT", {"default": 4, "min": 1, "max": 1000}]},
    ),
    "DemoFail": _node(fail, {"image": IMAGE, "words": ["STRING", {}]}, ("IMAGE",)),
    "DemoCrash": _node(crash, {"image": IMAGE}, ("IMAGE",)),
    "DemoCall": _node(
        call,
        {"image": IMAGE, "path": ["STRING", {}], "body": ["STRING", {}]},
        ("IMAGE",),
        api_node=True,
    ),
    "SaveImage": _node(
        save, {"images": IMAGE, "filename_prefix": ["STRING", {"default": "ComfyUI"}]}
    ),
    "PreviewImage": _node(preview, {"images": IMAGE}),
}
"""By class: what it does, and what `/object_info` says of it."""
