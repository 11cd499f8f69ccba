"""What the vendors whose work is a job hold and refuse, and what they have withdrawn."""

from __future__ import annotations

from fractions import Fraction

import pytest
from operations import DASHSCOPE, FILM, H3, WAN, operation, quote, sent
from vendor_calls import micros

from common.errors import InvalidRequest
from proxy import withdrawn
from proxy.asked import Evidence


@pytest.fixture
def at_the_vendors_own_address(monkeypatch):
    monkeypatch.setattr(withdrawn.catalogue, "moved_to", lambda vendor, base="": "")


@pytest.mark.usefixtures("at_the_vendors_own_address")
@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("runway/image_to_video", {"model": "gen3a_turbo", "duration": 5}, "gen4_turbo"),
        ("luma/generations", {"model": "ray-1-6"}, "ray-2"),
        ("ltx/v1/text-to-video", {"model": "ltx-2-fast", "duration": 6}, "2026-08-15.*LTX 2.5"),
    ],
)
def test_what_a_vendor_has_withdrawn_names_its_successor(path, body, says):
    with pytest.raises(InvalidRequest, match=f"withdrew {body['model']}.*{says}"):
        quote(path, body)


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        # Whatever is declared lowers no hold.
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"target_resolution": "4k", "duration": 1},
         "19.2"),
        ("higgsfield/higgsfield/genjutsu/motion-transfer/v1.0", {"resolution": "1080p"},
         "70.0128"),
        ("runway/video_to_video", {"model": "aleph2"}, "12.012"),
        ("luma_2/generations", {"type": "video_edit", "model": "ray-3.2"}, "2.16"),
        ("luma_2/generations", {"type": "image_edit", "image_ref": [{}, {}]}, "0.0494"),
        ("luma/generations", {"resolution": "4k", "duration": "9s"}, "16.4"),
        ("krea/generate/image/krea/krea-2/large", {"moodboards": [{}]}, "0.07"),
        ("krea/generate/image/krea/krea-2/large", {"image_style_references": [{}]}, "0.065"),
        ("minimax/video_generation", {"model": "MiniMax-Hailuo-02", "duration": 10}, "0.56"),
        ("minimax/video_generation", {"model": "MiniMax-Hailuo-02", "resolution": "1080P"},
         "0.49"),
        ("minimax/video_generation", {"model": "S2V-01"}, "0.65"),
        # Seven pictures, two of them beyond five, and a video of reference of up to 15 seconds.
        ("minimax/v2/video_generation",
         {**H3, "duration": 4, "resolution": "2K",
          "content": [{"type": "image_url"}] * 7 + [{"type": "video_url"}]}, "3.6465"),
        ("minimax/v2/h3_context_ir", {**H3, "content": [{"type": "image_url"}] * 4}, "0.11"),
        ("vidu/img2video", {"model": "viduq2-turbo", "duration": 1}, "0.04"),
        ("vidu/img2video", {"model": "viduq2-turbo", "duration": 8, "resolution": "1080p"},
         "0.525"),
        ("vidu/start-end2video", {"model": "viduq2-turbo", "duration": 1}, "0.05"),
        ("vidu/img2video", {"model": "viduq3-pro", "duration": 16, "resolution": "2K"}, "3.2"),
        ("vidu/reference2video", {"model": "viduq2", "duration": 1, "audio": True}, "0.2"),
        ("vidu/text2video", {"model": "viduq1"}, "0.4"),
        ("vidu/multiframe", {"model": "viduq2-turbo", "resolution": "1080p",
                             "image_settings": [{"duration": 2}, {"duration": 5}]}, "0.65"),
        ("pixverse/video/text/generate", {"duration": 8, "quality": "360p"}, "0.9"),
        ("pixverse/video/text/generate", {"motion_mode": "fast", "quality": "720p"}, "1.2"),
        (WAN, {"model": "wan2.6-t2v", "input": {}}, "0.75"),
        (WAN, {"model": "wan2.6-t2v", "input": {}, "parameters": {"size": "832*480"}}, "0.25"),
        (WAN, {"model": "wan2.6-t2v", "input": {},
               "parameters": {"size": "832*480", "resolution": "1080P"}}, "0.75"),
        (WAN, {"model": "wan2.6-r2v", "input": {"reference_video_urls": ["https://a/b"]},
               "parameters": {"size": "1280*720", "duration": 10}}, "1.5"),
        (WAN, {"model": "wan2.7-videoedit", "input": {"media": [{"type": "video"}]},
               "parameters": {"resolution": "720P", "duration": 0}}, "2"),
        (WAN, {"model": "happyhorse-1.0-video-edit", "input": {"media": [{"type": "video"}]},
               "parameters": {"resolution": "1080P"}}, "7.2"),
        (f"{DASHSCOPE}/text2image/image-synthesis",
         {"model": "wan2.5-t2i-preview", "parameters": {"n": 4}}, "0.12"),
        ("bria/v2/video/edit/green_screen", {}, "3"),
        ("synclabs/v2/generate", {"model": "sync-3"}, "114.114"),
        ("beeble/v1/switchx/generations", {"generation_type": "image", "max_resolution": 720},
         "0.143"),
        ("beeble/v1/switchx/generations", {"generation_type": "video", "max_resolution": 721},
         "3.432"),
        ("ltx/v2/text-to-video", {"model": "ltx-2-5-fast", "duration": 10,
                                  "resolution": "2160x3840"}, "4.29"),
        ("ltx/v2/audio-to-video", {"model": "ltx-2-5-pro"}, "4.862"),
        # A script is held as if it were spoken slowly, with all its pauses.
        (FILM, {"type": "avatar", "engine": {"type": "avatar_iii"}, "script": "x" * 150},
         "1.23838"),
        (FILM, {"type": "avatar", "engine": {"type": "avatar_iv"}, "script": "x" * 150,
                "voice_settings": {"speed": 0.5}}, "3.81524"),
        (FILM, {"type": "image", "script": 'Well <break time="90s"/> hello <break time="500ms"/>'},
         "7.007"),
        (FILM, {"type": "image", "audio_url": "https://a/b.mp3"}, "42.9"),
        (FILM, {"type": "image", "audio_url": "https://a/b.mp3", "script": "hello"}, "42.9"),
        (FILM, {"type": "avatar"}, "57.2286"),
        ("heygen/v3/video-translations", {"output_languages": ["German"], "mode": "precision"},
         "171.6858"),
    ],
)  # fmt: skip
def test_the_most_that_it_can_cost(path, body, most):
    assert quote(path, body).most == micros(most)


def test_a_measured_file_is_held_for_its_own_seconds():
    path = "higgsfield/higgsfield/genjutsu/motion-transfer/v1.0"
    held = {
        seconds: quote(path, {"resolution": "480p"}, video_url=Fraction(seconds)).most
        for seconds in (1, 10, 60)
    }
    assert held == {1: micros("1.81896"), 10: micros("4.5474"), 60: micros("13.6422")}


def test_an_edit_costs_by_what_is_delivered_within_the_published_range():
    made = quote("luma_2/generations", {"type": "video_edit", "model": "ray-3.2"})
    price = operation("luma_2/generations").price
    charged = {
        seconds: price.settle(
            made.inputs, Evidence(end={}, measured={"seconds": Fraction(seconds)})
        )
        for seconds in (2, 8, 40)
    }
    assert charged == {2: micros("1.08"), 8: micros("1.728"), 40: micros("2.16")}
    assert price.settle(made.inputs, Evidence(end={})) == micros("1.08")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("luma_2/generations", {"model": "uni-1", "n": 4}),
        ("luma_2/generations", {"model": "ray-3.2", "type": "video", "video": {"hdr": True}}),
        ("krea/generate/image/krea/krea-2/large", {"resolution": "4K"}),
        ("krea/generate/image/krea/krea-2/large", {"batch_size": 2}),
        ("runway/video_to_video", {"model": "aleph2", "outputFormat": "prores"}),
        ("runway/text_to_image", {"model": "gen4_image", "n": True}),
        ("wavespeed/api/v3/wavespeed-ai/flashvsr", {"target_resolution": "8k"}),
        ("minimax/video_generation",
         {"model": "MiniMax-Hailuo-02", "resolution": "1080P", "duration": 10}),
        ("minimax/v2/video_generation", {**H3, "content": [{"type": "model_url"}]}),
        ("vidu/img2video", {"model": "viduq2-pro", "audio": True}),
        ("vidu/text2video", {"model": "viduq2", "is_rec": True}),
        ("vidu/text2video", {"model": "viduq2", "resolution": "4k"}),
        ("pixverse/video/text/generate", {"model": "v5"}),
        ("pixverse/video/text/generate", {"duration": 6}),
        ("pixverse/video/text/generate", {"sound_effect_switch": True}),
        (WAN, {"model": "wan2.6-t2v", "input": {}, "parameters": {"size": "4000*4000"}}),
        (WAN, {"model": "wan2.6-t2v", "input": {}, "parameters": {"n": 2}}),
        (WAN, {"model": "wan2.7-r2v", "input": {"media": [{"type": "film"}]}}),
        ("bria/v2/image/edit", {"images": ["a", "b"]}),
        ("bria/v2/image/edit/gen_fill", {"num_results": 4}),
        ("synclabs/v2/generate", {"model": "lipsync-2-pro"}),
        ("ltx/v2/text-to-video", {"model": "ltx-2-3-fast", "duration": 6}),
        ("ltx/v2/text-to-video", {"model": "ltx-2-5-pro", "resolution": "3840x2160"}),
        (FILM, {"type": "image", "resolution": "4k", "script": "x"}),
        (FILM, {"type": "cinematic_avatar", "script": "x"}),
        (FILM, {"type": "avatar", "engine": {"type": "avatar_vi"}}),
        ("heygen/v3/video-translations", {"output_languages": ["German", "French"]}),
        ("heygen/v3/avatars", {"type": "digital_twin"}),
    ],
)  # fmt: skip
def test_what_has_no_price_is_refused(path, body):
    with pytest.raises(InvalidRequest, match="has no price here"):
        quote(path, body)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("luma/generations", {}, {"model": "ray-2", "resolution": "540p", "duration": "5s"}),
        ("luma_2/generations", {"type": "video", "model": "ray-3.2"},
         {"video": {"resolution": "720p", "duration": "5s"}}),
        ("minimax/video_generation", {"model": "MiniMax-Hailuo-02"},
         {"resolution": "768P", "duration": 6}),
        ("minimax/video_generation", {"model": "T2V-01"}, {}),
        ("minimax/v2/video_generation", H3, {"resolution": "768P", "duration": 6}),
        ("vidu/text2video", {"model": "viduq2"}, {"resolution": "720p", "duration": 5}),
        ("vidu/text2video", {"model": "viduq1", "duration": None},
         {"resolution": "1080p", "duration": 5}),
        ("pixverse/video/text/generate", {"quality": "720p"},
         {"model": "v3.5", "duration": 5, "motion_mode": "normal"}),
        (WAN, {"model": "wan2.6-t2v", "input": {}}, {"parameters": {"duration": 5}}),
        (f"{DASHSCOPE}/text2image/image-synthesis",
         {"model": "wan2.5-t2i-preview", "parameters": {"seed": 1}},
         {"parameters": {"seed": 1, "n": 1}}),
        ("beeble/v1/switchx/generations", {"generation_type": "image"}, {"max_resolution": 1080}),
        ("ltx/v2/text-to-video", {"model": "ltx-2-5-fast", "duration": 6},
         {"resolution": "1920x1080"}),
    ],
)  # fmt: skip
def test_a_vendor_is_told_what_was_priced_where_a_request_left_it_open(path, body, said):
    """Its own default may be dearer: Model Studio makes four pictures where none is said."""
    assert sent(path, body) == {**body, **said}
