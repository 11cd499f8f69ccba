"""The smallest honest 3D model: a cube in binary glTF 2.0, with a picture as its texture."""

import itertools
import json
import struct
from collections.abc import Iterator

FLOAT, UNSIGNED_SHORT = 5126, 5123
VERTICES, INDICES = 34962, 34963
Point = tuple[float, float, float]


def write(texture: bytes) -> bytes:
    """Make a file of a cube that wears a PNG."""
    faces = list(_faces())
    corners = [corner for _, corners in faces for corner in corners]
    parts = (
        _floats(corners),
        _floats(normal for normal, corners in faces for _ in corners),
        _floats(itertools.chain.from_iterable(((0, 0), (1, 0), (1, 1), (0, 1)) for _ in faces)),
        _indices(len(faces)),
        texture,
    )
    views, blob = _laid_out(parts)
    scene = {
        "asset": {"version": "2.0", "generator": "sandbox"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "cube"}],
        "meshes": [{"primitives": [PRIMITIVE]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 4, "mimeType": "image/png"}],
        "accessors": [
            _accessor(0, FLOAT, len(corners), "VEC3", min=[-0.5] * 3, max=[0.5] * 3),
            _accessor(1, FLOAT, len(corners), "VEC3"),
            _accessor(2, FLOAT, len(corners), "VEC2"),
            _accessor(3, UNSIGNED_SHORT, 6 * len(faces), "SCALAR"),
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob)}],
    }
    content = json.dumps(scene, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 4)
    chunks = struct.pack("<I4s", len(content), b"JSON") + content
    chunks += struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


PRIMITIVE = {
    "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
    "indices": 3,
    "material": 0,
}


def _faces() -> Iterator[tuple[Point, list[Point]]]:
    """Give each face's normal and its four corners, counter-clockwise from outside."""
    for axis, side in itertools.product(range(3), (-1, 1)):
        normal = [0.0, 0.0, 0.0]
        normal[axis] = float(side)
        corners = []
        for u, v in ((-1, -1), (side, -side), (1, 1), (-side, side)):
            corner = [0.0, 0.0, 0.0]
            corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = side / 2, u / 2, v / 2
            corners.append((corner[0], corner[1], corner[2]))
        yield (normal[0], normal[1], normal[2]), corners


def _floats(points: Iterator[tuple[float, ...]] | list[Point]) -> bytes:
    return b"".join(struct.pack(f"<{len(point)}f", *point) for point in points)


def _indices(faces: int) -> bytes:
    """Make two triangles of each face."""
    corners = (4 * face + corner for face in range(faces) for corner in (0, 1, 2, 0, 2, 3))
    return struct.pack(f"<{6 * faces}H", *corners)


def _laid_out(parts: tuple[bytes, ...]) -> tuple[list[dict[str, int]], bytes]:
    """Put the parts one after the other, each at a multiple of four."""
    views: list[dict[str, int]] = []
    blob = b""
    for part, target in zip(parts, (VERTICES, VERTICES, VERTICES, INDICES, None), strict=True):
        view = {"buffer": 0, "byteOffset": len(blob), "byteLength": len(part)}
        views.append(view if target is None else {**view, "target": target})
        blob += part + bytes(-len(part) % 4)
    return views, blob


def _accessor(
    view: int, kind: int, count: int, shape: str, **limits: list[float]
) -> dict[str, object]:
    return {"bufferView": view, "componentType": kind, "count": count, "type": shape, **limits}
