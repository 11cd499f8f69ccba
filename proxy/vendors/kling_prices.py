"""What Kling's works cost: the nodes' published prices of August 2026, else of January.

What makes several pictures or shots is counted. What is made from a video or a sound costs by its
length, which is that of what is delivered: held for the longest that Kling takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.pricing.shapes import at, choice_of, count, known, longest, one_only, per_second
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "kling-2026-08"
Rates = dict[str, str]
"""USD a second by mode; `pro+sound` where the model can make sound."""

V1_6: Rates = {"std": "0.056", "pro": "0.098"}
MASTER: Rates = {"std": "0.28", "pro": "0.28"}
TEXT: dict[str, Rates] = {
    "kling-v1": {"std": "0.028", "pro": "0.098"},
    "kling-v1-6": V1_6,
    "kling-v2-master": MASTER,
    "kling-v2-1-master": MASTER,
    "kling-v2-5-turbo": {"std": "0.07", "pro": "0.07"},
    "kling-v2-6": {"std": "0.07", "pro": "0.07", "std+sound": "0.14", "pro+sound": "0.14"},
    "kling-v3": {
        "std": "0.084",
        "pro": "0.112",
        "4k": "0.42",
        "std+sound": "0.126",
        "pro+sound": "0.168",
        "4k+sound": "0.42",
    },
}
IMAGE = {**TEXT, "kling-v1-5": V1_6, "kling-v2-1": V1_6}
OMNI: dict[str, Rates] = {
    "kling-video-o1": {"std": "0.084", "pro": "0.112"},
    "kling-v3-omni": {
        "std": "0.084",
        "pro": "0.112",
        "4k": "0.42",
        "std+sound": "0.112",
        "pro+sound": "0.14",
        "4k+sound": "0.42",
    },
}
OMNI_OF_A_VIDEO: dict[str, Rates] = {
    "kling-video-o1": {"std": "0.126", "pro": "0.168"},
    "kling-v3-omni": {
        "std": "0.126",
        "pro": "0.168",
        "4k": "0.42",
        "std+sound": "0.126",
        "pro+sound": "0.168",
        "4k+sound": "0.42",
    },
}
MOTION: dict[str, Rates] = {
    "kling-v2-6": {"std": "0.07", "pro": "0.112"},
    "kling-v3": {"std": "0.126", "pro": "0.168"},
}
PICTURES = {"kling-v1": "0.0035", "kling-v1-5": "0.014", "kling-v2": "0.014", "kling-v3": "0.028"}
OMNI_PICTURES = ("kling-image-o1", "kling-v3-omni")
TRY_ON = ("kolors-virtual-try-on-v1", "kolors-virtual-try-on-v1-5")
OF_TWO = ("hug", "kiss", "heart_gesture")
OF_ONE = {
    "bloombloom": "0.49",
    "dizzydizzy": "0.49",
    "fuzzyfuzzy": "0.28",
    "squish": "0.28",
    "expansion": "0.28",
}
FIVE_OR_TEN = (5, 10)
LONG = {"kling-v3": range(3, 16), "kling-video-o1": range(3, 11), "kling-v3-omni": range(3, 16)}
"""Seconds that a model makes; the others five or ten."""

OLD = ("kling-v1", "kling-v1-5", "kling-v1-6", "kling-v2-master", "kling-v2-1", "kling-v2-1-master")
OLD_FILMS = Withdrawn(
    "kling", "Kling", dict.fromkeys(OLD, Gone("2026-09-15", instead="kling-v2-6 or kling-v3"))
)
OLD_PICTURES = Withdrawn(
    "kling", "Kling", dict.fromkeys(("kling-v1-5", "kling-v2"), Gone("2026-09-15", "kling-v3"))
)


def text_to_video(asked: Asked) -> Quote:
    """Price a video by model, mode, sound and seconds."""
    return _film(asked.body, TEXT)


def image_to_video(asked: Asked) -> Quote:
    """Price it alike; from an image there are two models more."""
    return _film(asked.body, IMAGE)


def omni(asked: Asked) -> Quote:
    """Price an omni video by its seconds; an edit makes as many as its video has.

    Any video of reference makes it dearer.
    """
    body = asked.body
    kinds = _kinds_of_videos(body)
    rates = OMNI_OF_A_VIDEO if kinds else OMNI
    model = choice_of(body, "model_name", rates, default="kling-video-o1")
    rate, inputs = _rate(body, model, rates[model])
    if "base" in kinds:
        most = longest(asked, "video_list", least="3", most="10.05")
        return per_second(usd(rate), least="3", most=most, **inputs)
    return _for_seconds(body, "", rate, inputs)


def effects(asked: Asked) -> Quote:
    """Price an effect on two people as a video of its model, one on a single picture by scene."""
    body = asked.body
    one_only(body, "input")
    scene = choice_of(body, "effect_scene", (*OF_ONE, *OF_TWO))
    model = choice_of(
        body, "input.model_name", ("kling-v1", "kling-v1-5", "kling-v1-6"), default="kling-v1"
    )
    if at(body, "input.model_name") is not None or scene in OF_TWO:
        OLD_FILMS.check(model)
    if (scene in OF_TWO) != bool(at(body, "input.images")):
        raise InvalidRequest(f"{scene} needs {'images' if scene in OF_TWO else 'image'}.")
    if scene in OF_ONE:
        choice_of(body, "input.duration", ("5",), default="5")
        return known(usd(OF_ONE[scene]), scene=scene)
    rate, inputs = _rate(body, model, IMAGE[model], inside="input.")
    return _for_seconds(body, "input.", rate, {**inputs, "scene": scene})


def motion(asked: Asked) -> Quote:
    """Price the movements of a video by its seconds: fewer where the picture leads."""
    body = asked.body
    model = choice_of(body, "model_name", MOTION, default="kling-v2-6")
    rate, inputs = _rate(body, model, MOTION[model])
    leads = choice_of(body, "character_orientation", ("image", "video"))
    most = longest(asked, "video_url", least="3", most="10" if leads == "image" else "30")
    return per_second(usd(rate), least="3", most=most, **inputs)


def avatar(asked: Asked) -> Quote:
    """Price a speaking picture by the seconds of its sound."""
    rate, inputs = _rate(asked.body, "avatar", {"std": "0.056", "pro": "0.112"})
    most = longest(asked, "sound_file", least="2", most="300")
    return per_second(usd(rate), least="2", most=most, **inputs)


def turbo(asked: Asked) -> Quote:
    """Price a video of Kling 3.0 Turbo by resolution and seconds."""
    one_only(asked.body, "settings", "options")
    resolution = choice_of(asked.body, "settings.resolution", ("720p", "1080p"), default="720p")
    seconds = count(asked.body, "settings.duration", least=3, most=15, default=5)
    rate = usd("0.14") if resolution == "1080p" else usd("0.112")
    return known(rate * seconds, resolution=resolution, seconds=seconds)


def pictures(asked: Asked) -> Quote:
    """Price pictures by model and number; v1-5 costs more where it begins with a picture."""
    model = choice_of(asked.body, "model_name", PICTURES, default="kling-v1")
    OLD_PICTURES.check(model)
    each = PICTURES[model]
    if model == "kling-v1-5" and asked.body.get("image"):
        each = "0.028"
    return _pictures(asked.body, each, model=model)


def omni_pictures(asked: Asked) -> Quote:
    """Price omni pictures by resolution and number."""
    model = choice_of(asked.body, "model_name", OMNI_PICTURES, default="kling-image-o1")
    resolution = choice_of(asked.body, "resolution", ("1k", "2k", "4k"), default="1k")
    each = "0.056" if resolution == "4k" else "0.028"
    return _pictures(asked.body, each, model=model, resolution=resolution)


def try_on(asked: Asked) -> Quote:
    """Price a fitting."""
    model = choice_of(asked.body, "model_name", TRY_ON, default=TRY_ON[0])
    return _pictures(asked.body, "0.7", model=model)


def name_at(asked: Asked, path: str) -> str:
    """Return an id that stands at a dotted path, or raise InvalidRequest."""
    found = at(asked.body, path)
    if not isinstance(found, str) or not 0 < len(found) <= 1000:
        raise InvalidRequest(f"{path} must be the id of an earlier result.")
    return found


def _film(body: dict[str, Any], models: Mapping[str, Rates]) -> Quote:
    model = choice_of(body, "model_name", models, default="kling-v1")
    OLD_FILMS.check(model)
    rate, inputs = _rate(body, model, models[model])
    return _for_seconds(body, "", rate, inputs)


def _rate(
    body: dict[str, Any], model: str, rates: Rates, *, inside: str = ""
) -> tuple[str, dict[str, Any]]:
    """Return USD a second, and what decided it."""
    one_only(body, *([inside.rstrip(".")] if inside else []))
    if body.get("voice_list"):
        raise InvalidRequest("voice_list has no price here.")
    modes = [mode for mode in rates if "+" not in mode]
    mode = choice_of(body, f"{inside}mode", modes, default="std")
    sound = choice_of(body, f"{inside}sound", ("on", "off"), default="off")
    wanted = f"{mode}+sound" if sound == "on" else mode
    if wanted not in rates:
        raise InvalidRequest(f"sound has no price with {model}.")
    return rates[wanted], {"model": model, "mode": mode, "sound": sound}


def _for_seconds(body: dict[str, Any], inside: str, rate: str, inputs: dict[str, Any]) -> Quote:
    """Price the seconds that are asked for: of all shots, where that is more."""
    allowed = LONG.get(inputs["model"], FIVE_OR_TEN)
    seconds = count(body, f"{inside}duration", least=1, most=1000, default=5)
    seconds = max(seconds, sum(_shots(body)))
    if seconds not in allowed:
        known_here = ", ".join(str(each) for each in allowed)
        raise InvalidRequest(f"duration has no price here: it must be one of {known_here}.")
    return known(usd(rate) * seconds, **inputs, seconds=seconds)


def _shots(body: dict[str, Any]) -> Iterable[int]:
    shots = body.get("multi_prompt")
    if shots is None:
        return []
    if not isinstance(shots, list) or not all(isinstance(shot, dict) for shot in shots):
        raise InvalidRequest("multi_prompt must be a list of shots.")
    return [count(shot, "duration", least=1, most=1000) for shot in shots]


def _kinds_of_videos(body: dict[str, Any]) -> set[str]:
    """Return how the videos of a request are meant: to be edited (`base`), or as an example."""
    videos = body.get("video_list")
    if videos is None:
        return set()
    if not isinstance(videos, list) or not all(isinstance(each, dict) for each in videos):
        raise InvalidRequest("video_list must be a list of videos.")
    return {choice_of(each, "refer_type", ("base", "feature")) for each in videos}


def _pictures(body: dict[str, Any], each: str, **inputs: Any) -> Quote:
    one_only(body, counted="n")
    kind = choice_of(body, "result_type", ("single", "series"), default="single")
    number = count(body, "n", least=1, most=9, default=1)
    if kind == "series":
        if number > 1:
            raise InvalidRequest("n must be 1 for a series.")
        number = count(body, "series_amount", least=2, most=9)
    return known(usd(each) * number, **inputs, pictures=number)
