"""Reading MessagePack, as the libraries of some vendors write it: objects, lists, texts, bytes."""

import struct

NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
LENGTHS = {
    0xC4: (">B", bytes),
    0xC5: (">H", bytes),
    0xC6: (">I", bytes),
    0xD9: (">B", str),
    0xDA: (">H", str),
    0xDB: (">I", str),
    0xDC: (">H", list),
    0xDD: (">I", list),
    0xDE: (">H", dict),
    0xDF: (">I", dict),
}
PLAIN = {0xC0: None, 0xC2: False, 0xC3: True}


class InvalidMessageError(ValueError):
    """It is no message, or one with an extension."""


def read(raw: bytes) -> object:
    """Return what a message holds; raise InvalidMessageError."""
    try:
        value, end = _value(raw, 0)
    except (struct.error, IndexError, TypeError, UnicodeDecodeError, RecursionError) as wrong:
        raise InvalidMessageError(f"{wrong}") from None
    if end != len(raw):
        raise InvalidMessageError("something follows its end")
    return value


def _value(raw: bytes, at: int) -> tuple[object, int]:
    kind, at = raw[at], at + 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 0x100, at
    if kind < 0x90:
        return _held(raw, at, dict, kind & 0x0F)
    if kind < 0xA0:
        return _held(raw, at, list, kind & 0x0F)
    if kind < 0xC0:
        return _held(raw, at, str, kind & 0x1F)
    if kind in PLAIN:
        return PLAIN[kind], at
    if form := NUMBERS.get(kind):
        return struct.unpack_from(form, raw, at)[0], at + struct.calcsize(form)
    if kind in LENGTHS:
        form, of = LENGTHS[kind]
        (count,) = struct.unpack_from(form, raw, at)
        return _held(raw, at + struct.calcsize(form), of, count)
    raise InvalidMessageError(f"0x{kind:02x} is not read here")


def _held(raw: bytes, at: int, of: type, count: int) -> tuple[object, int]:
    if of in (bytes, str):
        content = raw[at : at + count]
        if len(content) != count:
            raise InvalidMessageError("it is cut off")
        return (content.decode() if of is str else content), at + count
    found: list[object] = []
    for _ in range(count * (2 if of is dict else 1)):
        each, at = _value(raw, at)
        found.append(each)
    if of is dict:
        return dict(zip(found[::2], found[1::2], strict=True)), at
    return found, at
