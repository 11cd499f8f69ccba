"""What a machine must do, step by step: each says in a line what was seen, or raises Wrong."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
from PIL import Image, UnidentifiedImageError

from local.proving import graphs
from local.proving.faces import FACES, Platform, Wrong, until

OURS = ("DemoSleep",)
"""The node of clients/comfyui-demo-nodes."""


@dataclass
class Ground:
    """Where a step stands: the platform, and the machine itself, asked as its operator may."""

    platform: Platform
    machine: str
    token: str

    async def ask(self, path: str) -> Any:
        """Ask the machine itself."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.platform.session.get(self.machine + path, headers=headers) as answer:
            answer.raise_for_status()
            is_json = answer.content_type == "application/json"
            return await (answer.json() if is_json else answer.read())


Work = Callable[[Ground], Awaitable[str]]


@dataclass(frozen=True)
class Step:
    """One line of the table."""

    name: str
    work: Work
    needs: tuple[str, ...] = ()
    """Classes of nodes without which it is left out."""


def right(what: object, words: str) -> None:
    """Raise Wrong unless it is so."""
    if not what:
        raise Wrong(words)


async def _picture(ground: Ground, url: str) -> Image.Image:
    content, _ = await ground.platform.fetch(url)
    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except UnidentifiedImageError:
        raise Wrong(f"what came is no picture: {content[:60]!r}") from None


def _plainly(face: str) -> Work:
    async def work(ground: Ground) -> str:
        rgb = graphs.color()
        done = await ground.platform.run(face, graphs.picture(rgb))
        right(done.is_good and len(done.files) == 1, f"{done.said}")
        made = await _picture(ground, done.files[0])
        wanted = (rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255)
        right(made.getpixel((0, 0)) == wanted, f"{made.getpixel((0, 0))} is not {wanted}")
        job = await ground.platform.over(done.id)
        return f"{job['metrics']['execution_ms']} ms, {job['metrics']['charged_micros']} micros"

    return work


async def again(ground: Ground) -> str:
    """See that the same again comes from its memory for nothing, also once it is wiped."""
    graph = graphs.picture()
    first = await ground.platform.run("v2", graph)
    await _wiped(ground)
    second = await ground.platform.run("v2", graph)
    right(first.is_good and second.is_good, f"{second.said}")
    one, two = [(await ground.platform.fetch(each.files[0]))[0] for each in (first, second)]
    right(one == two and one, "its file is another")
    right(second.said["outputs_reused"], "it was computed anew")
    right(second.said["metrics"]["charged_micros"] == 0, f"{second.said['metrics']}")
    return "0 ms, 0 micros, the same file"


async def uploaded(ground: Ground) -> str:
    """See that a file that is put here is read there."""
    name = await _put(ground, _png((10, 20, 30)), "image/png")
    done = await ground.platform.run("v2", graphs.negative(name))
    right(done.is_good, f"{done.said}")
    made = (await _picture(ground, done.files[0])).getpixel((0, 0))
    right(made == (245, 235, 225), f"{made}")
    right(done.said["outputs"][0]["name"].startswith("negative"), f"{done.said['outputs']}")
    return "read, and its negative made"


async def _put(ground: Ground, content: bytes, kind: str) -> str:
    name = f"proof-{uuid4().hex[:8]}.png"
    form = aiohttp.FormData()
    form.add_field("file", content, filename=name, content_type=kind)
    form.add_field("file_path", name)
    await ground.platform.ask("POST", "/api/v2/assets", fine=201, data=form)
    return name


def _png(rgb: tuple[int, int, int]) -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (graphs.SIDE, graphs.SIDE), rgb).save(into, "PNG")
    return into.getvalue()


async def failed(ground: Ground) -> str:
    """See that a node that fails is named, for nothing, and nothing of the machine is told."""
    name = await _put(ground, b"no picture at all", "image/png")
    done = await ground.platform.run("v2", graphs.negative(name))
    error = done.said["error"] or {}
    right(done.said["status"] == "failed", f"{done.said['status']}")
    right((error["node_id"], error["class_type"]) == ("1", "LoadImage"), f"{error}")
    right(done.said["metrics"]["charged_micros"] == 0, f"{done.said['metrics']}")
    right("/" not in error["message"] and "mc" not in error["message"].split(), f"{error}")
    return f"{error['code']} at node {error['node_id']}: {error['message'][:50]}"


async def canceled_in_the_queue(ground: Ground) -> str:
    """See that what waits ends at once, for nothing."""
    platform = ground.platform
    busy = await platform.give(graphs.slow(60.0, 600))
    await until(lambda: platform.job(busy), lambda job: job["status"] == "running")
    waits = await platform.give(graphs.picture())
    job = await platform.ask("POST", f"/api/v2/jobs/{waits}/cancel")
    right((job["status"], job["metrics"]["charged_micros"]) == ("canceled", 0), f"{job}")
    await platform.ask("POST", f"/api/v2/jobs/{busy}/cancel")
    job = await platform.over(busy)
    right(job["status"] == "canceled", f"{job['status']}: {job['error']}")
    return f"at once; the one before it after {job['metrics']['execution_ms']} ms"


async def canceled_at_work(ground: Ground) -> str:
    """See that what works stops, and costs the seconds that it had."""
    platform = ground.platform
    run = await platform.give(graphs.slow(60.0, 600))
    await until(lambda: platform.job(run), lambda job: (job["progress"] or {}).get("step"))
    await platform.ask("POST", f"/api/v2/jobs/{run}/cancel")
    job = await platform.over(run)
    ms, paid = job["metrics"]["execution_ms"], job["metrics"]["charged_micros"]
    right(job["status"] == "canceled" and 0 < ms < 30_000 and paid > 0, f"{job}")
    return f"after {ms} ms, {paid} micros"


def _watched(has_facts: bool) -> Work:
    async def work(ground: Ground) -> str:
        platform, client = ground.platform, uuid4().hex
        kinds: list[str] = []
        frames: list[int] = []
        url = f"{platform.server}/ws?clientId={client}"
        async with platform.session.ws_connect(url, headers={"X-API-KEY": platform.key}) as socket:
            if has_facts:
                flags = {"supports_preview_metadata": True}
                await socket.send_json({"type": "feature_flags", "data": flags})
            body = {"prompt": graphs.slow(3.0, 12), "client_id": client}
            given = await platform.ask("POST", f"{platform.server}/prompt", json=body)
            async with asyncio.timeout(120):
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.BINARY:
                        frames.append(message.data[3])
                        continue
                    said = json.loads(message.data)
                    kinds.append(said["type"])
                    data = said["data"]
                    if said["type"] == "executing" and data["node"] is None:
                        right(data["prompt_id"] == given["prompt_id"], f"{data}")
                        break
        wanted = ["execution_start", "execution_cached", "executing", "progress", "executed"]
        right(set(wanted) <= set(kinds), f"of {wanted} only {sorted(set(kinds))}")
        right(kinds[-3:] == ["execution_success", "status", "executing"], f"{kinds[-3:]}")
        right(frames and set(frames) == {4 if has_facts else 1}, f"frames: {set(frames)}")
        history = await platform.ask("GET", f"{platform.server}/history/{given['prompt_id']}")
        right(history[given["prompt_id"]]["status"]["completed"], "the history has no end")
        return f"{len(kinds)} messages, {len(frames)} pictures"

    return work


def _makes(graph: Callable[[], graphs.Graph], media: str, least: int = 1, count: int = 1) -> Work:
    async def work(ground: Ground) -> str:
        done = await ground.platform.run("v2", graph())
        right(done.is_good and len(done.files) == count, f"{done.said}")
        made = done.said["outputs"][0]
        content, kind = await ground.platform.fetch(done.files[0])
        right(kind == media == made["content_type"], f"{kind}, {made['content_type']}")
        right(len(content) == made["size_bytes"] >= least, f"{len(content)} bytes")
        return f"{made['type']}, {kind}, {len(content):,} bytes"

    return work


async def said(ground: Ground) -> str:
    """See that a text that a node shows is a file."""
    words = f"A lighthouse, {uuid4().hex[:8]}: “ü”"
    done = await ground.platform.run("v2", graphs.text(words))
    right(done.is_good and len(done.files) == 1, f"{done.said}")
    content, kind = await ground.platform.fetch(done.files[0])
    right(content.decode() == words, f"{content!r}")
    return f"{done.said['outputs'][0]['type']}, {kind}"


async def only_shown(ground: Ground) -> str:
    """See that what is only shown is there for those who look for it."""
    done = await ground.platform.run("v2", graphs.shown())
    right(done.is_good and len(done.files) == 1, f"{done.said}")
    await _picture(ground, done.files[0])
    run = await ground.platform.run("icu", graphs.shown())
    right(run.is_good and run.files == [], "ComfyICU's dialect lists it")
    return "of type temp; only v2 lists it"


async def for_the_page(ground: Ground) -> str:
    """See that each dialect refuses what was saved and not exported, with what to do."""
    graph = graphs.UI_FORMAT
    platform = ground.platform
    for path, body in (
        ("/api/v2/jobs", {"workflow": graph}),
        ("/v1/workflows", {"name": "ui", "prompt": graph}),
        ("/api/v7/comfyui/execute", {"workflow": graph}),
        ("/comfy/prompt", {"prompt": graph}),
    ):
        words = await platform.refused("POST", path, json=body)
        right("Export (API)" in words, f"{path}: {words}")
    return "refused, with how to export"


async def unknown_class(ground: Ground) -> str:
    """See that a class that the machine has not is named."""
    graph = {**graphs.picture(), "5": graphs.node("NoSuchNode")}
    words = await ground.platform.refused("POST", "/comfy/prompt", json={"prompt": graph})
    right("missing_node_type" in words and "NoSuchNode" in words, words)
    return "named"


async def paid(ground: Ground) -> str:
    """See that a node that calls a vendor spends from the run, and its key is shown nowhere."""
    done = await ground.platform.run("v2", graphs.paid())
    right(done.is_good, f"{done.said['error']}")
    await _picture(ground, done.files[0])
    inner = done.said["metrics"]["inner_micros"]
    right(inner > 0, f"{done.said['metrics']}")
    history = json.dumps(await ground.ask("/history"))
    right("comfyui-" not in history, "the machine shows a key")
    return f"{inner} micros inside"


async def interrupted(ground: Ground) -> str:
    """See that /queue tells of a run, /interrupt stops it, and /history says so."""
    platform = ground.platform
    given = await platform.ask(
        "POST", f"{platform.server}/prompt", json={"prompt": graphs.slow(60.0, 600)}
    )
    run = given["prompt_id"]
    await until(
        lambda: platform.ask("GET", f"{platform.server}/queue"),
        lambda now: any(each[1] == run for each in now["queue_running"]),
    )
    await until(lambda: platform.job(run), lambda job: (job["progress"] or {}).get("step"))
    await platform.ask("POST", f"{platform.server}/interrupt", json={"prompt_id": run})
    told = await until(
        lambda: platform.ask("GET", f"{platform.server}/history/{run}"), lambda now: now
    )
    words = [name for name, _ in told[run]["status"]["messages"]]
    right(words[-1] == "execution_interrupted", f"{words}")
    return ", ".join(words)


async def wiped(ground: Ground) -> str:
    """See that of what ended nothing is there: files are empty, its history tells nothing."""
    run = await ground.platform.give(graphs.slow(4.0, 8))
    queue = await until(lambda: ground.ask("/queue"), lambda now: now["queue_running"])
    graph = queue["queue_running"][0][2]
    folder = graph["9"]["inputs"]["filename_prefix"].rpartition("/")[0]
    job = await ground.platform.over(run)
    right(job["status"] == "succeeded", f"{job['error']}")
    await _wiped(ground)
    name = job["outputs"][0]["name"]
    left = await ground.ask(f"/view?filename={name}&subfolder={folder}&type=output")
    right(left == b"", f"{len(left)} bytes are left")
    content, _ = await ground.platform.fetch(job["outputs"][0]["url"])
    right(content, "ours is empty, too")
    return f"{folder.partition('/')[0]}/…/{name} is empty there"


async def _wiped(ground: Ground) -> None:
    await until(lambda: ground.ask("/history"), lambda now: not now)


STEPS: tuple[Step, ...] = (
    *(Step(f"a picture, by {face}", _plainly(face)) for face in FACES),
    Step("an uploaded file", uploaded),
    Step("a node that fails", failed),
    Step("saved for the page", for_the_page),
    Step("a class that is not there", unknown_class),
    Step("what is only shown", only_shown),
    Step("a text", said, ("PreviewAny", "PrimitiveString")),
    Step("moving pictures", _makes(graphs.animated, "image/webp"), ("SaveAnimatedWEBP",)),
    Step("a film", _makes(graphs.video, "video/mp4"), ("SaveVideo", "CreateVideo")),
    Step("a sound", _makes(graphs.sound, "audio/flac"), ("SaveAudio", "EmptyAudio")),
    Step("canceled in the queue", canceled_in_the_queue, OURS),
    Step("canceled at work", canceled_at_work, OURS),
    Step("interrupted", interrupted, OURS),
    Step("watched, with facts", _watched(True), OURS),
    Step("watched, plainly", _watched(False), OURS),
    Step("a paid node inside", paid, ("FluxProUltraImageNode",)),
    Step("wiped", wiped, OURS),
    Step("the same again", again),
)
