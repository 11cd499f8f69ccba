"""HeyGen: people who speak, translations of videos, avatars, speech.

A film is as long as its sound or its script, which may hold pauses; it is charged by the length
that the end tells, at the lower published rate of its engine. An avatar is a look, asked for as a
job until it is ready; public looks are everybody's. An Idempotency-Key is not passed on.
Sources: the vendor's command line and pages; prices of the nodes of August 2026.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxy.along import Inside, Uploaded, filename
from proxy.catalogue import PUBLIC, Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Verdict
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import (
    Ruled,
)
from proxy.vendors import heygen_prices as prices
from proxy.vendors.states import BLOCKED, States, by_words, file_at, id_at, text_at, there, without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Use


def _looks(asked: Asked) -> list[Use]:
    """Return the look that a film shows: a public one, or its workspace's own."""
    named = asked.body.get("avatar_id")
    if named is None:
        return []
    return [("look", asked.text("avatar_id"), PUBLIC)]


# --- What HeyGen says ---------------------------------------------------------------------------

_says = text_at("error.message", "message")
_judge = by_words(
    lambda body: f"{text_at('error.code')(body)} {_says(body)}", (BLOCKED, Verdict.MODERATED)
)
FILMS = States(
    at="data.status",
    done=("completed",),
    failed=("failed",),
    running=("processing", "pending", "waiting"),
    results=("data.video_url", "data.audio_url"),
    why=("data.failure_code", "data.failure_message"),
)
TRANSLATED = replace(FILMS, running=("running", "pending"))
LOOKS = States(
    at="data.status",
    done=("completed", "missing"),
    failed=("failed", "pending_consent"),
    running=("processing", "pending"),
    results=("data.id",),  # A look has no file: it is what was made.
    why=("data.error", "data.error.message"),
)


def _as_look(answer: Any) -> Any:
    """Return a look with a state: one that says none is ready."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if isinstance(data, dict) and data.get("id") and data.get("status") is None:
        return {**answer, "data": {**data, "status": "completed"}}
    return answer


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"data": {"id": task, "status": word, **more}}


def _job(states: States, poll: str, job_id: str, **more: Any) -> Job:
    running = states.running[0]
    made: dict[str, Any] = {
        "poll": f"heygen/v3/{poll}",
        "job_id": id_at(job_id),
        "judge": states.judge,
        "pending": lambda task: _told(task, running),
        "failed": lambda task, why: _told(task, "failed", failure_message=why),
        "interval_seconds": 4.0,
        "deadline_seconds": 3 * 3600,
    }
    return Job(**{**made, **more})


def _submit(
    path: str, title: str, rule: Callable[[Asked], Quote], job: Job, **more: Any
) -> Operation:
    return Operation(
        "POST",
        f"heygen/v3/{path}",
        f"/v3/{path}",
        Ruled(rule),
        Kind.SUBMIT,
        job=job,
        prepare=without("callback_url", "callback_id"),
        timeout_seconds=300,
        price_version=prices.VERSION,
        title=f"HeyGen {title}",
        **more,
    )


def _poll(path: str, states: States, name: str, **more: Any) -> Operation:
    given: Mapping[str, Any] = {"reply": states.reply, **more}
    return Operation(
        "GET",
        f"heygen/v3/{path}",
        f"/v3/{path}",
        kind=Kind.POLL,
        names=Named("path", name),
        timeout_seconds=60,
        **given,
    )


def _upload(names: dict[str, str], **also: str) -> Uploaded:
    return Uploaded(
        at="/v3/assets/direct-uploads",
        asks=lambda ours: {
            "filename": filename(ours),
            "content_type": ours.content_type,
            "size_bytes": ours.size,
        },
        put=("data.upload_url",),
        called="data.asset_id",
        headers="data.upload_headers",
        complete="/v3/assets/{}/complete",
        names=names,
        also=also,
    )


LENGTH: dict[str, Any] = {"measured": "seconds", "stated": prices.duration}
HEYGEN = Vendor(
    name="heygen",
    display="HeyGen",
    base_url="https://api.heygen.com",
    file_hosts=("heygen.com", "heygen.ai"),
    credential=Header("x-api-key"),
    operations=(
        _submit(
            "videos",
            "Video",
            prices.film,
            _job(FILMS, "videos/{video_id}", "data.video_id", results=FILMS.made, **LENGTH),
            uses=_looks,
            measures=(Input("audio_url", file_at("audio_url")),),
        ),
        _submit(
            "video-translations",
            "Translation",
            prices.translation,
            _job(
                TRANSLATED,
                "video-translations/{id}",
                "data.video_translation_ids[]",
                results=TRANSLATED.made,
                **LENGTH,
            ),
            measures=(Input("video", file_at("video")),),
        ),
        _submit(
            "avatars",
            "Avatar",
            prices.avatar,
            _job(
                LOOKS,
                "avatars/looks/{look_id}",
                "data.avatar_item.id",
                scope="look",
                judge=lambda said: LOOKS.judge(replace(said, _json=_as_look(said.json))),
            ),
        ),
        Operation(
            "POST",
            "heygen/v3/voices/speech",
            "/v3/voices/speech",
            prices.Speech(),
            reports=lambda answer: prices.duration(answer) is not None,
            delivers=there("data.audio_url"),
            price_version=prices.VERSION,
            title="HeyGen Speech",
        ),
        _poll("videos/{video_id}", FILMS, "video_id"),
        _poll("video-translations/{id}", TRANSLATED, "id"),
        _poll(
            "avatars/looks/{look_id}",
            LOOKS,
            "look_id",
            scope="look",
            public=True,
            uses=lambda asked: [("look", asked.parts["look_id"], PUBLIC)],
        ),
    ),
    along={
        "image": Inside({"url": "data"}, kind="media_type", also={"type": "base64"}),
        "video": _upload({"url": "asset_id"}, type="asset_id"),
        "audio": _upload({"audio_url": "audio_asset_id"}),
    },
    judge=_judge,
    says=_says,
)
