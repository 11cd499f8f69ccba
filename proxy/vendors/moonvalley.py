"""Moonvalley Marey: gone. Its nodes of January 2026 read so, before anything is held.

The service ended (the day was not published), and it never had a public API. Where the operator has
put an address of their own in its place and gives a key, it is called there, at the nodes' prices.
Source: the partner's page of documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.money import usd
from proxy.catalogue import Job, Kind, Named, Operation, Vendor, moved_to
from proxy.credentials import Header
from proxy.pricing import Flat
from proxy.vendors.states import States, by_words, id_at, text_at

if TYPE_CHECKING:
    from proxy.credentials import Account

VERSION = "moonvalley-2026-01"
ENDED = (
    "has ended its service. Nothing was charged. Please use a node of another provider instead, "
    "for instance Kling, Luma or LTX."
)


@dataclass(frozen=True, slots=True)
class OfAMirror(Header):
    """A key in a header, of whoever has taken the vendor's place."""

    def problem(self, account: Account) -> str:
        """See Scheme."""
        return Header.problem(self, account) if moved_to(account.vendor) else ENDED


STATES = States(
    at="status",
    done=("completed",),
    failed=("failed", "error"),
    running=("running", "queued"),
    results=("output_url",),
    why=("error.message", "error"),
)
_says = text_at("error.message", "message", "detail")


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    named: dict[str, Any] = {"prompt_text": "", "model_params": {}, "inference_params": {}}
    return {"id": task, "status": word, **named, **more}


JOB = Job(
    poll="moonvalley/prompts/{task_id}",
    job_id=id_at("id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "running"),
    failed=lambda task, why: _told(task, "failed", error={"message": why}),
    results=STATES.made,
    interval_seconds=5.0,
    deadline_seconds=3 * 3600,
)


def _submit(name: str, title: str, price: str) -> Operation:
    return Operation(
        "POST",
        f"moonvalley/prompts/{name}",
        f"/prompts/{name}",
        Flat(usd(price)),
        Kind.SUBMIT,
        job=JOB,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Moonvalley {title}",
    )


MOONVALLEY = Vendor(
    name="moonvalley",
    display="Moonvalley",
    base_url="https://api.moonvalley.ai/v1",
    credential=OfAMirror("x-api-key"),
    operations=(
        _submit("text-to-video", "Text to Video", "1.5"),
        _submit("image-to-video", "Image to Video", "1.5"),
        _submit("video-to-video", "Video to Video", "2.25"),
        Operation(
            "GET",
            "moonvalley/prompts/{task_id}",
            "/prompts/{task_id}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    judge=by_words(_says),
    says=_says,
)
