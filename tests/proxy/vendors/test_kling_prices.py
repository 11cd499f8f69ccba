"""Kling's prices against the recorded figures; what has none is refused by name."""

from __future__ import annotations

import asyncio
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from vendor_calls import micros

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.catalogue import Kind
from proxy.vendors import catalogue
from proxy.vendors.kling_prices import FIVE_OR_TEN, IMAGE, LONG, TEXT
from tests.plugin import examples

TEXT2VIDEO, IMAGE2VIDEO = "kling/v1/videos/text2video", "kling/v1/videos/image2video"
OMNI, EFFECTS = "kling/v1/videos/omni-video", "kling/v1/videos/effects"
MOTION, AVATAR = "kling/v1/videos/motion-control", "kling/v1/videos/avatar/image2video"
IMAGES, OMNI_IMAGE = "kling/v1/images/generations", "kling/v1/images/omni-image"
TRY_ON, TURBO = "kling/v1/images/kolors-virtual-try-on", "kling/text-to-video/kling-3.0-turbo"
OPERATIONS = {o.path: o for o in catalogue().vendors["kling"].operations}


def quote(path, body):
    return asyncio.run(OPERATIONS[path].price.quote(Asked(body=body)))


def settle(path, inputs, seconds=None):
    measured = {} if seconds is None else {"seconds": Fraction(seconds)}
    return OPERATIONS[path].price.settle(inputs, Evidence(end={}, measured=measured))


def published(model, mode, seconds, sound):
    """Return USD by the published table, written down here a second time."""
    ten = seconds == 10
    if model == "kling-v2-5-turbo":
        return 0.7 if ten else 0.35
    if model in ("kling-v2-master", "kling-v2-1-master"):
        return 2.8 if ten else 1.4
    if model == "kling-v2-6":
        return 0.07 * seconds * (2 if sound else 1)
    if model == "kling-v3":
        if mode == "4k":
            return 0.42 * seconds
        rates = {"pro": (0.112, 0.168), "std": (0.084, 0.126)}
        return rates[mode][sound] * seconds
    if mode == "pro":
        return 0.98 if ten else 0.49
    if model == "kling-v1":
        return 0.28 if ten else 0.14
    return 0.56 if ten else 0.28


@pytest.mark.parametrize(("path", "models"), [(TEXT2VIDEO, TEXT), (IMAGE2VIDEO, IMAGE)])
def test_every_video_costs_as_published(path, models):
    for model, rates in models.items():
        for way in rates:
            mode, _, sound = way.partition("+")
            for seconds in LONG.get(model, FIVE_OR_TEN):
                body = {"model_name": model, "mode": mode, "duration": str(seconds)}
                body |= {"sound": "on"} if sound else {}
                usd = published(model, mode, seconds, bool(sound))
                quoted = quote(path, body)
                assert quoted.most == settle(path, quoted.inputs) == round(usd * 1_000_000)


@pytest.mark.parametrize(
    ("path", "body", "usd"),
    [
        (TEXT2VIDEO, {"model_name": "kling-v2-6", "mode": None, "duration": None}, "0.35"),
        (TEXT2VIDEO, {"model_name": "kling-v2-6", "duration": 10}, "0.7"),
        # A story of several shots is as long as they are together, whatever else is said.
        (
            TEXT2VIDEO,
            {
                "model_name": "kling-v3",
                "duration": "5",
                "multi_shot": True,
                "multi_prompt": [{"index": i, "prompt": "x", "duration": "4"} for i in (1, 2, 3)],
            },
            "1.008",
        ),
        (OMNI, {"model_name": "kling-v3-omni", "mode": "std", "sound": "on"}, "0.56"),
        (OMNI, {"model_name": "kling-v3-omni", "mode": "pro", "sound": "on"}, "0.7"),
        (OMNI, {"model_name": "kling-v3-omni", "mode": "4k", "duration": "15"}, "6.3"),
        (OMNI, {"mode": "std", "duration": "3"}, "0.252"),
        (OMNI, {"mode": "pro", "video_list": [{"refer_type": "feature"}]}, "0.84"),
        (OMNI, {"mode": "std", "video_list": [{"refer_type": "feature"}]}, "0.63"),
        (OMNI, {"mode": "pro", "video_list": []}, "0.56"),
        (EFFECTS, {"effect_scene": "squish", "input": {"image": "x"}}, "0.28"),
        (EFFECTS, {"effect_scene": "hug", "input": {"images": ["a", "b"]}}, "0.14"),
        (
            EFFECTS,
            {
                "effect_scene": "kiss",
                "input": {
                    "images": ["a", "b"],
                    "model_name": "kling-v1-6",
                    "mode": "pro",
                    "duration": "10",
                },
            },
            "0.98",
        ),
        (IMAGES, {"n": 9}, "0.0315"),
        (IMAGES, {"model_name": "kling-v1-5", "image": "x", "n": 2}, "0.056"),
        (IMAGES, {"model_name": "kling-v1-5", "n": 2}, "0.028"),
        (IMAGES, {"model_name": "kling-v3", "result_type": "series", "series_amount": 4}, "0.112"),
        (OMNI_IMAGE, {"resolution": "4k", "n": 3}, "0.168"),
        (OMNI_IMAGE, {"result_type": "series", "series_amount": 9, "n": 1}, "0.252"),
        (TRY_ON, {"n": 2}, "1.4"),
        (TURBO, {"settings": {"resolution": "1080p", "duration": 15}}, "2.1"),
        (TURBO, {}, "0.56"),
    ],
)
def test_what_multiplies_a_price_is_counted(path, body, usd):
    quoted = quote(path, body)
    assert quoted.most == settle(path, quoted.inputs) == micros(usd)


@pytest.mark.parametrize(
    ("path", "body", "most", "seconds", "usd"),
    [
        (OMNI, {"video_list": [{"refer_type": "base"}], "mode": "pro"}, "1.6884", 7, "1.176"),
        (OMNI, {"video_list": [{"refer_type": "base"}]}, "1.2663", 1, "0.378"),
        (MOTION, {"character_orientation": "video", "mode": "pro"}, "3.36", 30, "3.36"),
        (
            MOTION,
            {"character_orientation": "image", "model_name": "kling-v3", "mode": "pro"},
            "1.68",
            "4.5",
            "0.756",
        ),
        (AVATAR, {"mode": "pro"}, "33.6", 60, "6.72"),
        # A frame or two beyond the longest; what is longer than that is for the alarm.
        (AVATAR, {"mode": "std"}, "16.8", "300.04", "16.8"),
        (AVATAR, {"mode": "std"}, "16.8", 400, "22.4"),
        # What cannot be read costs as the shortest.
        (AVATAR, {"mode": "std"}, "16.8", None, "0.112"),
        (MOTION, {"character_orientation": "video"}, "2.1", None, "0.21"),
    ],
)
def test_what_is_made_from_a_film_or_a_sound_costs_by_its_length(path, body, most, seconds, usd):
    quoted = quote(path, body)
    assert quoted.most == micros(most)
    assert OPERATIONS[path].price.settle(quoted.inputs, Evidence(submit={})) is None
    assert settle(path, quoted.inputs, seconds) == micros(usd)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (TEXT2VIDEO, {"model_name": "kling-v9"}, "kling-v9"),
        (TEXT2VIDEO, {"model_name": "kling-v2-1"}, "kling-v2-1"),
        (TEXT2VIDEO, {"model_name": 7}, "model_name"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "mode": "8k"}, "8k"),
        (TEXT2VIDEO, {"model_name": "kling-v2-6", "mode": "4k"}, "4k"),
        (TEXT2VIDEO, {"model_name": "kling-v2-6", "duration": "7"}, "duration"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "duration": "16"}, "duration"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "duration": 4.5}, "duration"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "duration": True}, "duration"),
        (TEXT2VIDEO, {"model_name": "kling-v2-5-turbo", "sound": "on"}, "sound"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "sound": True}, "sound"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "voice_list": [{"voice_id": "1"}]}, "voice_list"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "multi_prompt": "x"}, "multi_prompt"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "multi_prompt": [{}]}, "duration"),
        (TEXT2VIDEO, {"model_name": "kling-v3", "multi_prompt": [{"duration": 16}]}, "duration"),
        (OMNI, {"model_name": "kling-video-o1", "sound": "on"}, "sound"),
        (OMNI, {"duration": "11"}, "duration"),
        (OMNI, {"video_list": [{"video_url": "x"}]}, "refer_type"),
        (OMNI, {"video_list": {"refer_type": "base"}}, "video_list"),
        (EFFECTS, {"effect_scene": "explode"}, "explode"),
        (EFFECTS, {}, "effect_scene"),
        (EFFECTS, {"effect_scene": "hug", "input": {"image": "x"}}, "images"),
        (EFFECTS, {"effect_scene": "squish", "input": {"images": ["x"]}}, "image"),
        (EFFECTS, {"effect_scene": "squish", "input": {"image": "x", "duration": "10"}}, "dur"),
        (MOTION, {"mode": "std"}, "character_orientation"),
        (MOTION, {"model_name": "kling-v1", "character_orientation": "image"}, "kling-v1"),
        (AVATAR, {"mode": "4k"}, "4k"),
        (IMAGES, {"model_name": "kling-v2-new"}, "kling-v2-new"),
        (IMAGES, {"n": 10}, "n must"),
        (IMAGES, {"n": 0}, "n must"),
        (IMAGES, {"result_type": "series"}, "series_amount"),
        (IMAGES, {"result_type": "series", "series_amount": 2, "n": 2}, "n must"),
        (OMNI_IMAGE, {"resolution": "8k"}, "8k"),
        (TURBO, {"settings": {"duration": 16}}, "settings.duration"),
        (TURBO, {"settings": {"resolution": "4k"}}, "4k"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(path, body, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, body)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (TEXT2VIDEO, {}, "kling-v1 on 2026-09-15. Use kling-v2-6"),
        (TEXT2VIDEO, {"model_name": "kling-v2-1-master"}, "kling-v2-1-master on 2026-09-15"),
        (IMAGE2VIDEO, {"model_name": "kling-v1-5"}, "kling-v1-5 on"),
        (EFFECTS, {"effect_scene": "squish", "input": {"model_name": "kling-v1-6"}}, "kling-v1-6"),
        (IMAGES, {"model_name": "kling-v2"}, "kling-v2 on 2026-09-15. Use kling-v3"),
    ],
)
def test_what_kling_withdrew_is_refused_unless_its_address_is_moved(settings, path, body, named):
    settings.VENDOR_BASE_URL, settings.VENDOR_SETTINGS = "", {}
    with pytest.raises(InvalidRequest, match=named):
        quote(path, body)
    assert quote(IMAGES, {"model_name": "kling-v1"}).most == 3_500

    settings.VENDOR_SETTINGS = {"VENDOR_KLING_BASE_URL": "https://mirror.example.org"}
    assert quote(path, body).most > 0


names = st.sampled_from([*IMAGE, *LONG, "kling-image-o1", "kolors-virtual-try-on-v1", "", "v3"])
odd = st.one_of(st.none(), st.booleans(), st.integers(-2, 20), st.text(max_size=3), st.floats())
durations = st.one_of(st.integers(0, 16), st.integers(0, 16).map(str), odd)
kinds = st.sampled_from(["base", "feature", "x"])
requests = st.fixed_dictionaries(
    {},
    optional={
        "model_name": st.one_of(names, odd),
        "mode": st.one_of(st.sampled_from(["std", "pro", "4k"]), odd),
        "sound": st.one_of(st.sampled_from(["on", "off"]), odd),
        "duration": durations,
        "n": st.one_of(st.integers(1, 9), odd),
        "result_type": st.sampled_from(["series", "single", None]),
        "series_amount": st.one_of(st.integers(2, 9), odd),
        "resolution": st.sampled_from(["1k", "4k", "720p", None]),
        "image": st.sampled_from(["x", "", None]),
        "character_orientation": st.sampled_from(["image", "video", "x"]),
        "effect_scene": st.sampled_from(["hug", "kiss", "squish", "x"]),
        "video_list": st.one_of(
            st.lists(st.fixed_dictionaries({"refer_type": kinds}), max_size=2), odd
        ),
        "multi_prompt": st.one_of(
            st.lists(st.fixed_dictionaries({"duration": durations}), max_size=3), odd
        ),
        "input": st.one_of(
            odd,
            st.fixed_dictionaries(
                {}, optional={"images": odd, "model_name": names, "duration": durations}
            ),
        ),
        "settings": st.one_of(odd, st.fixed_dictionaries({}, optional={"duration": durations})),
    },
)
SUBMITS = sorted(path for path, o in OPERATIONS.items() if o.kind is Kind.SUBMIT)


@rules(max_examples=examples(600), deadline=None)
@given(
    path=st.sampled_from(SUBMITS),
    body=requests,
    seconds=st.one_of(st.none(), st.fractions(Fraction(1, 100), 30)),
)
def test_no_price_is_more_than_its_quote(path, body, seconds):
    try:
        quoted = quote(path, body)
    except InvalidRequest:
        return
    assert quoted.most > 0
    inputs = json.loads(json.dumps(quoted.inputs, allow_nan=False))  # They are written down.
    settled = settle(path, inputs, seconds)
    assert isinstance(settled, int)
    longest = Fraction(inputs.get("most", 30))
    assert 0 < settled <= quoted.most or seconds > longest
