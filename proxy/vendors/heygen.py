"""HeyGen: people who speak, translations of videos, avatars, speech.

A film is as long as its sound or its script, which may hold pauses; it is charged by the length
that the end tells, at the lower published rate of its engine. An avatar is a look, asked for as a
job until it is ready; public looks are everybody's. An Idempotency-Key is not passed on.
Sources: the vendor's command line and pages; prices of the nodes of August 2026.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import MICROS_PER_USD, Micros, round_up, usd
from proxy.along import Inside, Uploaded, filename
from proxy.catalogue import PUBLIC, Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Verdict
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import (
    Ruled,
    at,
    choice_of,
    known,
    longest,
    of_input,
    one_only,
    per_second,
)
from proxy.vendors.states import BLOCKED, States, by_words, file_at, id_at, text_at, without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Use

VERSION = "heygen-2026-08"
ENGINES = {"avatar_iii": "0.023881", "avatar_iv": "0.0715", "avatar_v": "0.095381"}
TOP = {"avatar_iii": "0.061919", "avatar_iv": "0.095381", "avatar_v": "0.095381"}
"""The lower and the upper end of the published ranges, USD a second."""
UNSAID = "0.095381"
PHOTO = "0.0715"
TRANSLATIONS = {"speed": "0.047619", "precision": "0.095381"}
LONGEST_TRANSLATION = "1800"
LONGEST_SOUND = 600
SLOWEST = Fraction("7.5")
"""Characters of a script that are spoken in a second at the least: half of what is usual."""
LEAST_HELD = 10
SPEECH = Fraction("0.00095381") * MICROS_PER_USD
"""Micros a second."""
UNTOLD_SECONDS = 4
MOST_CHARACTERS = 5000
PAUSE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s)\b")
"""In a script, also within `<break time="1.5s"/>`: whatever may be a pause is held as one."""
DAY = 24 * 3600


def _spoken(text: Any, name: str, speed: Any) -> int:
    """Return how many seconds a script takes at the most."""
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"{name} must be a text of at most {MOST_CHARACTERS} characters.")
    if speed is None:
        speed = 1
    if isinstance(speed, bool) or not isinstance(speed, (int, float)) or not 0.1 <= speed <= 4:
        raise InvalidRequest("speed must be a number from 0.1 to 4.")
    pauses = sum(
        Fraction(number) / (1000 if unit == "ms" else 1) for number, unit in PAUSE.findall(text)
    )
    seconds = math.ceil(len(text) / SLOWEST / Fraction(f"{speed}") + pauses)
    return min(DAY, max(LEAST_HELD, seconds))


def film(asked: Asked) -> Quote:
    """Price a film by engine and seconds, held at the upper end of what is published."""
    body = asked.body
    one_only(body)
    kind = choice_of(body, "type", ("image", "avatar"))
    choice_of(body, "resolution", ("720p", "1080p"), default="1080p")
    rate, top = PHOTO, PHOTO
    if kind == "avatar":
        engine = choice_of(body, "engine.type", (*ENGINES, "auto"), default="auto")
        rate, top = ENGINES.get(engine, UNSAID), TOP.get(engine, UNSAID)
    sound = math.ceil(Fraction(longest(asked, "audio_url", least="1", most=f"{LONGEST_SOUND}")))
    seconds = sound if body.get("audio_url") else LEAST_HELD
    if body.get("script") is not None:
        spoken = _spoken(body["script"], "script", at(body, "voice_settings.speed"))
        seconds = max(spoken, seconds if body.get("audio_url") else 0)
    elif not body.get("audio_url"):
        seconds = LONGEST_SOUND
    quoted = per_second(usd(rate), least="1", most=f"{seconds}", type=kind)
    return replace(quoted, most=Micros(usd(top) * seconds))


def translation(asked: Asked) -> Quote:
    """Price a translation of a video by its seconds."""
    one_only(asked.body)
    languages = asked.body.get("output_languages")
    if not isinstance(languages, list) or len(languages) != 1:
        raise InvalidRequest("output_languages has no price here: it must be a list of one.")
    mode = choice_of(asked.body, "mode", TRANSLATIONS, default="speed")
    rate = usd(TRANSLATIONS[mode])
    return of_input(asked, "video", rate, least="1", most=LONGEST_TRANSLATION, mode=mode)


def avatar(asked: Asked) -> Quote:
    """Price an avatar of a photo or of a prompt; a digital twin needs somebody's consent."""
    one_only(asked.body)
    return known(usd("1.43"), type=choice_of(asked.body, "type", ("photo", "prompt")))


@dataclass(frozen=True, slots=True)
class Speech:
    """So much for a second of speech, as the answer tells; held by the characters."""

    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return what it costs if it is spoken slowly."""
        one_only(asked.body)
        seconds = _spoken(asked.body.get("text"), "text", asked.body.get("speed"))
        return Quote(round_up(SPEECH * seconds), {"seconds": seconds})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what was spoken; where it is not told, of four seconds."""
        if not evidence.is_final:
            return None
        seconds = _duration(evidence.end)
        return round_up(SPEECH * (UNTOLD_SECONDS if seconds is None else seconds))


def _duration(answer: Any) -> Fraction | None:
    found = at(answer, "data.duration")
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < 1e6:
        return None
    return Fraction(f"{found}")


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
        price_version=VERSION,
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


LENGTH: dict[str, Any] = {"measured": "seconds", "stated": _duration}
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
            film,
            _job(FILMS, "videos/{video_id}", "data.video_id", results=FILMS.made, **LENGTH),
            uses=_looks,
            measures=(Input("audio_url", file_at("audio_url")),),
        ),
        _submit(
            "video-translations",
            "Translation",
            translation,
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
            avatar,
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
            Speech(),
            reports=lambda answer: _duration(answer) is not None,
            price_version=VERSION,
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
