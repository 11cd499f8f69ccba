"""A workflow is taken out of a real file of each kind, and the rest of it is as before."""

from __future__ import annotations

import io
import json
import random
import struct
import warnings
import zlib

import av
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from runs import stripping

SECRET = "a cat that nobody may read of"
GRAPH = json.dumps({"6": {"class_type": "CLIPTextEncode", "inputs": {"text": SECRET}}})
PICTURE = Image.effect_noise((40, 30), 60).convert("RGB")


def saved(picture, kind, **more):
    made = io.BytesIO()
    picture.save(made, kind, **more)
    return made.getvalue()


def png():
    told = PngInfo()
    told.add_text("prompt", GRAPH)
    told.add_text("workflow", GRAPH, zip=True)
    told.add_itxt("Mine", GRAPH)
    told.add_text("Title", "Cats")
    return saved(PICTURE, "PNG", pnginfo=told)


def apng():
    told = PngInfo()
    told.add(b"comf", b"prompt\0" + GRAPH.encode(), after_idat=True)
    return saved(
        PICTURE, "PNG", pnginfo=told, save_all=True, append_images=[ImageOps.invert(PICTURE)]
    )


def exif():
    told = Image.Exif()
    told[0x0110] = f"prompt:{GRAPH}"
    told[0x010F] = f"workflow:{GRAPH}"
    return told


def webp():
    return saved(PICTURE, "WEBP", exif=exif(), save_all=True, append_images=[PICTURE.rotate(90)])


def jpeg():
    return saved(PICTURE, "JPEG", exif=exif(), comment=f"parameters: {SECRET}", icc_profile=b"p")


def film(name, codec, pixels, **options):
    made = io.BytesIO()
    with av.open(made, "w", format=name, options=options) as file:
        file.metadata["prompt"] = GRAPH
        file.metadata["workflow"] = GRAPH
        file.metadata["comment"] = f"workflow: {GRAPH}"
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
        for shade in range(12):
            picture = Image.new("RGB", (64, 64), (shade * 20, 90, 30))
            file.mux(stream.encode(av.VideoFrame.from_image(picture)))
        file.mux(stream.encode(None))
    return made.getvalue()


def sound(name, codec, layout="mono"):
    made = io.BytesIO()
    with av.open(made, "w", format=name) as file:
        file.metadata["prompt"] = GRAPH + " " * 70_000 if name == "ogg" else GRAPH
        file.metadata["workflow"] = GRAPH
        strict = {"strict": "experimental"}
        stream = file.add_stream(codec, rate=48_000, layout=layout, options=strict)
        resampler = av.AudioResampler(stream.format, stream.layout, stream.rate)
        heard = av.AudioFrame(format="s16", layout="mono", samples=48_000)
        heard.planes[0].update(random.Random(7).randbytes(heard.planes[0].buffer_size))
        heard.sample_rate = 48_000
        fifo = av.AudioFifo()
        for each in resampler.resample(heard):
            fifo.write(each)
        while (frame := fifo.read(stream.frame_size or 1024)) is not None:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return made.getvalue()


def latent():
    head = {
        "__metadata__": {"prompt": GRAPH, "Mine": GRAPH, "format": "pt"},
        "latent_tensor": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    said = json.dumps(head).encode()
    return struct.pack("<Q", len(said)) + said + b"\1\2\3\4"


def glb():
    said = json.dumps({"asset": {"version": "2.0", "extras": {"prompt": GRAPH, "a": 1}}}).encode()
    said = said.ljust(-(-len(said) // 4) * 4)
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(said), len(said), b"JSON") + said


def svg():
    told = f"<metadata><![CDATA[{json.dumps({'prompt': GRAPH})}]]></metadata>"
    return f'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">{told}<g/></svg>'.encode()


def pixels(content):
    with Image.open(io.BytesIO(content)) as found:
        frames = []
        for number in range(getattr(found, "n_frames", 1)):
            found.seek(number)
            frames.append(found.convert("RGBA").tobytes())
        return frames


def packets(content):
    with av.open(io.BytesIO(content)) as found:
        return [(each.pts, bytes(each)) for each in found.demux() if each.size]


MADE = {
    "png": (png, pixels), "apng": (apng, pixels), "webp": (webp, pixels), "jpeg": (jpeg, pixels),
    "mp4": (lambda: film("mp4", "mpeg4", "yuv420p", movflags="use_metadata_tags"), packets),
    "mp4 of iTunes": (lambda: film("mp4", "mpeg4", "yuv420p"), packets),
    "webm": (lambda: film("webm", "vp9", "yuv420p"), packets),
    "matroska": (lambda: film("matroska", "mpeg4", "yuv420p"), packets),
    "flac": (lambda: sound("flac", "flac"), packets),
    "mp3": (lambda: sound("mp3", "mp3"), packets),
    "opus": (lambda: sound("ogg", "libopus"), packets),
    "vorbis": (lambda: sound("ogg", "vorbis", "stereo"), packets),
    "latent": (latent, lambda content: content[-4:]),
    "glb": (glb, lambda content: json.loads(content[20:])["asset"]["version"]),
    "svg": (svg, lambda content: content.count(b"<g/>")),
}  # fmt: skip


@pytest.fixture(params=MADE)
def made(request, tmp_path):
    make, shown = MADE[request.param]
    path = tmp_path / "file"
    path.write_bytes(make())
    return path, shown


def test_a_workflow_is_gone_and_what_is_seen_and_heard_is_as_before(made):
    path, shown = made
    before = path.read_bytes()

    assert stripping.strip(path, keys=["mine"])

    after = path.read_bytes()
    assert shown(after) == shown(before)
    for word in (SECRET, "CLIPTextEncode", "workflow"):
        assert word.encode() not in after
    assert not stripping.strip(path, keys=["mine"]), "there is nothing more"
    assert path.read_bytes() == after
    assert list(path.parent.iterdir()) == [path]


def test_what_a_library_reads_of_it_tells_nothing(tmp_path):
    path = tmp_path / "file"
    for make, kept in ((png, {"Title": "Cats"}), (webp, {}), (jpeg, {"icc_profile": b"p"})):
        path.write_bytes(make())
        stripping.strip(path, keys=["Mine"])
        with Image.open(path) as found:
            found.load()
            assert not found.getexif()
            told = {name: found.info[name] for name in kept}
            assert told == kept
            assert not {"prompt", "workflow", "comment", "exif"} & set(found.info)
    for make, _ in (MADE["mp4"], MADE["webm"], MADE["flac"], MADE["opus"], MADE["mp3"]):
        path.write_bytes(make())
        stripping.strip(path)
        with av.open(str(path)) as found:
            told = {**found.metadata, **found.streams[0].metadata}
            assert not {"prompt", "PROMPT", "workflow", "WORKFLOW"} & set(told)


@pytest.mark.parametrize(
    "content",
    [
        saved(PICTURE, "PNG"), saved(PICTURE, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
        saved(PICTURE, "WEBP"), saved(PICTURE, "AVIF"), saved(PICTURE, "GIF", comment=b"prompt"),
        b"prompt workflow", b"", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff\xe1\xff",
        b"\0\0\0\x08ftyp\0\0\0\0", b"\x1a\x45\xdf\xa3", b"fLaC", b"ID3", b"OggS", b"glTF", b"<svg>",
    ],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_tells_of_none_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)

    stripping.strip(path)

    assert path.read_bytes() == content


def test_a_broken_file_breaks_nothing(made):
    path, _ = made
    whole, dice = path.read_bytes(), random.Random(11)

    for _ in range(60):
        cut = bytearray(whole[: dice.randrange(len(whole))])
        for _ in range(dice.randrange(4) if cut else 0):
            cut[dice.randrange(min(len(cut), 4000))] = dice.randrange(256)
        path.write_bytes(cut)
        with warnings.catch_warnings():
            stripping.strip(path)
        assert list(path.parent.iterdir()) == [path]


def test_what_was_found_before_a_file_breaks_is_cut_out(tmp_path):
    told = b"prompt: a secret"
    block = b"\xff\xfe" + (len(told) + 2).to_bytes(2) + told
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8" + block + b"\xff\xdb\xff\xff")
    assert stripping.strip(path)
    assert path.read_bytes() == b"\xff\xd8" + b"\xff\xdb\xff\xff"


def test_behind_the_end_of_a_png_nothing_is_left_either(tmp_path):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    path = tmp_path / "tail.png"
    clean = b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b"")
    path.write_bytes(clean + chunk(b"tEXt", b"workflow\0{}") + b"and more")
    assert stripping.strip(path)
    assert path.read_bytes() == clean + b"and more"


def test_boxes_within_boxes_do_not_fail(tmp_path):
    box = b""
    for _ in range(3000):
        box = (8 + len(box)).to_bytes(4) + b"moov" + box
    path = tmp_path / "deep.mp4"
    path.write_bytes((12).to_bytes(4) + b"ftypisom" + box)
    assert not stripping.strip(path)
