"""Black Forest Labs: FLUX images and videos. Every operation is a job; the key goes in `x-key`.

A submit answers an absolute `polling_url` on a regional host, which clients fetch without any
credential: we hand out one of ours instead (contract 6.4). `cost` in the submit answer is the
vendor's price in cents. Prices: bfl_prices.py. Sources: the vendor's OpenAPI and pages.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common.money import usd
from proxy.along import PLAIN
from proxy.catalogue import Ask, Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Judged, Verdict
from proxy.inputs import Input
from proxy.pricing import Flat, Price
from proxy.vendors.bfl_prices import (
    VERSION,
    ByInputPixels,
    Flux2,
    Flux3Video,
    VideoUpscale,
)
from proxy.vendors.states import file_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.asked import Asked
    from proxy.catalogue import Route
    from proxy.credentials import Account
    from proxy.dialect import Said


def _job_id(answer: Any) -> str | None:
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and re.fullmatch(r"[!-~]{1,200}", found) else None


def _ask(route: Route, answer: Any, account: Account) -> Ask | None:
    """Return where this job is polled: the regional URL that BFL gave, if it is BFL's."""
    given = answer.get("polling_url")
    if isinstance(given, str) and len(given) <= 1000 and route.vendor.may_sign(given):
        return Ask(given)
    return None


WORDS = {
    "ready": Verdict.DONE,
    "request moderated": Verdict.MODERATED,
    "content moderated": Verdict.MODERATED,
    "error": Verdict.FAILED,
    "failed": Verdict.FAILED,
    "task not found": Verdict.MISSING,
}


def _judge(said: Said) -> Judged | None:
    """Return what a poll's answer means; BFL says "Task not found" with a 404 (or a 200).

    A job that is ready, and has nothing to show for it, has failed.
    """
    status = said.object.get("status")
    if said.status not in (200, 404) or not isinstance(status, str):
        return None
    verdict = WORDS.get(status.strip().lower())
    if verdict is Verdict.DONE and not said.object.get("result"):
        return Judged(Verdict.FAILED)
    if verdict is not None:
        return Judged(verdict)
    return Judged(Verdict.RUNNING) if said.status == 200 else None


def _pending(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "status": "Pending", "result": None, "progress": None}


def _failed(job_id: str, why: str) -> dict[str, Any]:
    return {"id": job_id, "status": "Error", "result": None, "details": {"reason": why}}


def _results(answer: Any) -> Iterable[str]:
    result = answer.get("result") if isinstance(answer, dict) else None
    sample = result.get("sample") if isinstance(result, dict) else None
    return [sample] if isinstance(sample, str) else []


def _rewrite(answer: Any, polling_url: str) -> Any:
    return {**answer, "polling_url": polling_url}


def _reply(answer: Any) -> Any:
    """Return a poll's answer for clients that know only `Pending`: BFL has newer words for it.

    And they open what is `Ready`.
    """
    if isinstance(answer, dict) and answer.get("status") in ("Reasoning", "Generating"):
        return {**answer, "status": "Pending"}
    if isinstance(answer, dict) and answer.get("status") == "Ready" and not answer.get("result"):
        return {**answer, "status": "Error"}
    return answer


def _says(body: Any) -> str:
    """Return the sentence of an error body: `detail` is a text, or a list of fields (FastAPI)."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, list):
        found = [item for item in detail if isinstance(item, dict)]
        return "; ".join(
            f"{'.'.join(str(part) for part in item.get('loc', [])[1:])}: {item.get('msg', '')}"
            for item in found
            if isinstance(item.get("loc", []), list)
        )
    return detail if isinstance(detail, str) else ""


def _submit(
    path: str, upstream: str, title: str, price: Price, job: Job | None = None, **more: Any
) -> Operation:
    return Operation(
        "POST",
        f"bfl/{path}",
        upstream,
        price,
        Kind.SUBMIT,
        job=job or IMAGE,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"BFL {title}",
        **more,
    )


def _image(model: str, title: str, price: Price) -> Operation:
    return _submit(f"{model}/generate", f"/v1/{model}", title, price)


def _tool(name: str, title: str, price: Price, job: Job | None = None, **more: Any) -> Operation:
    return _submit(f"v1/flux-tools/{name}", f"/v1/flux-tools/{name}", title, price, job, **more)


def _by_pixels(name: str, title: str, price: ByInputPixels) -> Operation:
    return _tool(
        name, title, price, measures=(Input(price.image, _address(price.image), "pixels"),)
    )


def _address(name: str) -> Callable[[Asked], list[Any]]:
    """Return how an image is read that is an address: base64 tells its pixels by itself."""
    return lambda asked: [
        one for one in file_at(name)(asked) if isinstance(one, str) and one.startswith("http")
    ]


IMAGE = Job(
    poll="bfl/v1/get_result",
    job_id=_job_id,
    judge=_judge,
    pending=_pending,
    failed=_failed,
    results=_results,
    ask=_ask,
    rewrite=_rewrite,
    interval_seconds=1.0,
    deadline_seconds=30 * 60,
    kept_seconds=24 * 3600,
)
VIDEO = replace(IMAGE, measured="seconds", interval_seconds=2.0, deadline_seconds=3 * 3600)

BFL = Vendor(
    name="bfl",
    display="Black Forest Labs",
    base_url="https://api.bfl.ai",
    hosts=("bfl.ai",),
    along={"image": PLAIN},
    credential=Header("x-key"),
    operations=(
        _image("flux-pro-1.1-ultra", "Flux 1.1 [pro] Ultra", Flat(usd("0.06"))),
        _image("flux-pro-1.1", "Flux 1.1 [pro]", Flat(usd("0.04"))),
        _image("flux-kontext-pro", "Flux.1 Kontext [pro]", Flat(usd("0.04"))),
        _image("flux-kontext-max", "Flux.1 Kontext [max]", Flat(usd("0.08"))),
        _image("flux-pro-1.0-fill", "Flux.1 Fill [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-expand", "Flux.1 Expand [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-canny", "Flux.1 Canny [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-depth", "Flux.1 Depth [pro]", Flat(usd("0.05"))),
        _image("flux-2-pro", "Flux.2 [pro]", Flux2(first=usd("0.03"), further=usd("0.015"))),
        _image("flux-2-max", "Flux.2 [max]", Flux2(first=usd("0.07"), further=usd("0.03"))),
        _submit("v1/flux-3-video", "/v1/flux-3-video", "Flux 3 Video", Flux3Video(), VIDEO),
        _by_pixels(
            "erase-v1", "Flux Erase", ByInputPixels("image", usd("0.03"), usd("0.004"), usd("0.06"))
        ),
        _by_pixels(
            "vto-v1",
            "Flux Virtual Try-On",
            ByInputPixels("person", usd("0.0375"), usd("0.005"), usd("0.075")),
        ),
        _tool(
            "video-upscale-v1",
            "Flux Video Upscale",
            VideoUpscale(),
            VIDEO,
            measures=(Input("input_video", file_at("input_video")),),
        ),
        Operation(
            "GET",
            "bfl/v1/get_result",
            "/v1/get_result",
            kind=Kind.POLL,
            names=Named("query", "id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    ),
    says=_says,
)
