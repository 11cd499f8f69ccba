"""Open what was sealed for a fresh key of ours (NaCl's sealed box), with PyNaCl or without.

A stock ComfyUI brings no library that could. What stands here opens a few hundred bytes in
milliseconds, once for a pairing, with a key that is used for nothing else: so it need not be fast,
and nobody can measure it often enough for its timing to tell anything.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct

try:
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey, SealedBox
except ImportError:
    SealedBox = None

PRIME = 2**255 - 19
SIGMA = b"expand 32-byte k"
OVERHEAD = 48
"""The sender's public key, and the tag."""


class NotForUs(Exception):
    """It was changed on the way, or sealed for another key."""


def make_keys() -> tuple[bytes, bytes]:
    """Return a new secret key and its public key."""
    secret = secrets.token_bytes(32)
    return secret, public_of(secret)


def public_of(secret: bytes) -> bytes:
    """Return the public key of a secret one."""
    return _multiplied(secret, (9).to_bytes(32, "little"))


def unsealed(sealed: bytes, secret: bytes) -> bytes:
    """Return what is in a sealed box; raise NotForUs."""
    if SealedBox is None:
        return unsealed_here(sealed, secret)
    try:
        return SealedBox(PrivateKey(secret)).decrypt(sealed)
    except (CryptoError, ValueError, TypeError) as why:
        raise NotForUs(str(why)) from None


def unsealed_here(sealed: bytes, secret: bytes) -> bytes:
    """Return the same without PyNaCl."""
    if len(sealed) < OVERHEAD:
        raise NotForUs("too short")
    sender, tag, coded = sealed[:32], sealed[32:OVERHEAD], sealed[OVERHEAD:]
    shared = _multiplied(secret, sender)
    if not any(shared):
        raise NotForUs("a sender's key that is none")
    nonce = hashlib.blake2b(sender + public_of(secret), digest_size=24).digest()
    key = _hsalsa(_hsalsa(shared, bytes(16)), nonce[:16])
    stream = _salsa(key, nonce[16:], 32 + len(coded))
    if not hmac.compare_digest(_poly1305(stream[:32], coded), tag):
        raise NotForUs("it was changed on the way")
    return bytes(one ^ other for one, other in zip(coded, stream[32:], strict=True))


def _multiplied(secret: bytes, point: bytes) -> bytes:
    """X25519 (RFC 7748): the Montgomery ladder."""
    scalar = int.from_bytes(secret, "little") & ~7 & (1 << 255) - 1 | 1 << 254
    u = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in reversed(range(255)):
        now = scalar >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % PRIME, b * b % PRIME, d * a % PRIME, c * b % PRIME
        x3, z3 = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
        e = aa - bb
        x2, z2 = aa * bb % PRIME, e * (aa + 121665 * e) % PRIME
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def _mixed(words: list[int]) -> list[int]:
    """Salsa20's twenty rounds."""
    x = list(words)
    columns = [(0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)]
    rows = [(0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)]
    for _ in range(10):
        for a, b, c, d in columns + rows:
            for to, one, other, by in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                total = x[one] + x[other] & 0xFFFFFFFF
                x[to] ^= (total << by | total >> 32 - by) & 0xFFFFFFFF
    return x


def _block(key: bytes, tail: bytes) -> list[int]:
    k, t, s = struct.unpack("<8I", key), struct.unpack("<4I", tail), struct.unpack("<4I", SIGMA)
    return [s[0], *k[:4], s[1], *t, s[2], *k[4:], s[3]]


def _hsalsa(key: bytes, tail: bytes) -> bytes:
    x = _mixed(_block(key, tail))
    return struct.pack("<8I", *(x[each] for each in (0, 5, 10, 15, 6, 7, 8, 9)))


def _salsa(key: bytes, nonce: bytes, length: int) -> bytes:
    stream = b""
    for number in range(-(-length // 64)):
        block = _block(key, nonce + struct.pack("<Q", number))
        mixed = [one + other & 0xFFFFFFFF for one, other in zip(_mixed(block), block, strict=True)]
        stream += struct.pack("<16I", *mixed)
    return stream[:length]


def _poly1305(key: bytes, text: bytes) -> bytes:
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at : at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")
