"""What a proxy's stream of events is read as; whatever it says, nothing breaks."""

from __future__ import annotations

import base64
import json

import pytest

from runs import frames, streamed


async def heard(*chunks):
    async def flow():
        for each in chunks:
            yield each

    return [each async for each in streamed.events(flow())]


def frame(name, said):
    return f"event: {name}\r\ndata: {json.dumps(said)}\r\n\r\n".encode()


async def test_events_are_read_wherever_their_bytes_are_cut():
    whole = frame("progress", {"step": 1}) + b": keepalive\n\n" + frame("status", {"status": "x"})

    for cut in range(len(whole)):
        assert await heard(whole[:cut], whole[cut:]) == [
            ("progress", {"step": 1}), ("status", {"status": "x"}),
        ]  # fmt: skip


async def test_what_is_no_event_is_left_out_and_one_without_end_ends_the_stream():
    odd = b"event: a\ndata: {\n\nevent: b\ndata: []\n\nevent: \xff\n\ndata\n\n"

    assert await heard(odd + frame("progress", {})) == [("progress", {})]
    with pytest.raises(streamed.TooLong):
        await heard(*[b"x" * (1 << 20)] * 8)


def test_progress_is_told_in_comfyuis_words_and_a_node_once():
    job = streamed.Job("p")
    said = {"value": 0.1, "current_node": "5", "step": 3, "steps": 20}

    assert job.messages("progress", said) == [
        {"type": "executing", "data": {"node": "5", "display_node": "5", "prompt_id": "p"}},
        {"type": "progress", "data": {"node": "5", "value": 3, "max": 20, "prompt_id": "p"}},
    ]
    assert [each["type"] for each in job.messages("progress", said)] == ["progress"]
    over = job.messages("status", {"status": "succeeded"})
    assert over == [{"type": "executing", "data": {"node": None, "prompt_id": "p"}}]
    assert job.messages("status", {"status": "running"}) == []


def test_a_picture_is_one_as_a_comfyui_sends_them():
    said = {"node_id": "5", "content_type": "image/png", "data_base64": base64.b64encode(b"abc")}
    said["data_base64"] = said["data_base64"].decode()

    (made,) = streamed.Job("p").messages("preview", said)

    assert frames.read(made) == frames.Picture("p", "5", "image/png", b"abc")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("progress", {}), ("progress", {"current_node": 7, "step": 1, "steps": 2}),
        ("progress", {"current_node": "x" * 101}), ("progress", {"step": True, "steps": 2}),
        ("progress", {"current_node": None, "step": float("inf"), "steps": 1}),
        ("preview", {"data_base64": "%", "content_type": "image/png"}),
        ("preview", {"data_base64": "YQ==", "content_type": "text/html"}),
        ("preview", {"data_base64": 7, "content_type": ["image/png"]}),
        ("status", {"status": ["succeeded"]}), ("status", {}), ("log", {"a": 1}), ("", {}),
    ],
)  # fmt: skip
def test_what_is_odd_is_told_to_nobody(name, said):
    assert streamed.Job("p").messages(name, said) == []
