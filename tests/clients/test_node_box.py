"""The custom node opens sealed boxes as PyNaCl does, and refuses what PyNaCl refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_base
from nacl.public import PrivateKey, PublicKey, SealedBox

OWN = bytes.fromhex("77076d0a7318a57d3c16c17251b26645bc4f1a2c4f9c2a3d2b1e0f0d0c0b0a09")
TEXT = b"comfyui-" + b"0123456789abcdef" * 4
SMALL_ORDER = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def sealed(text=TEXT, own=OWN):
    return SealedBox(PrivateKey(own).public_key).encrypt(text)


def test_the_ladder_is_that_of_rfc_7748(node):
    secret = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")

    assert node.box._multiplied(secret, point).hex() == (
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    )


@settings(max_examples=25, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), text=st.binary(max_size=300))
def test_what_pynacl_seals_is_opened(node, secret, text):
    public = node.box.public_of(secret)
    assert public == crypto_scalarmult_base(secret)

    assert node.box.unsealed_here(SealedBox(PublicKey(public)).encrypt(text), secret) == text


def test_both_ways_open_the_same(node, monkeypatch):
    box = sealed()
    by_library = node.box.unsealed(box, OWN)
    monkeypatch.setattr(node.box, "SealedBox", None)

    assert node.box.unsealed(box, OWN) == by_library == TEXT


@pytest.mark.parametrize("bit", [0, 255, 256, 383, 384, 900])
@pytest.mark.parametrize("with_library", [True, False])
def test_a_changed_bit_is_refused(node, monkeypatch, bit, with_library):
    if not with_library:
        monkeypatch.setattr(node.box, "SealedBox", None)
    box = bytearray(sealed())
    box[bit // 8] ^= 1 << bit % 8

    with pytest.raises(node.box.NotForUs):
        node.box.unsealed(bytes(box), OWN)


@pytest.mark.parametrize("point", SMALL_ORDER)
@pytest.mark.parametrize("with_library", [True, False])
def test_a_sender_without_a_real_key_is_refused(node, monkeypatch, point, with_library):
    if not with_library:
        monkeypatch.setattr(node.box, "SealedBox", None)
    with pytest.raises(node.box.NotForUs):
        node.box.unsealed(point + sealed()[32:], OWN)


@pytest.mark.parametrize("length", [0, 31, 47])
@pytest.mark.parametrize("with_library", [True, False])
def test_what_is_too_short_is_refused(node, monkeypatch, length, with_library):
    if not with_library:
        monkeypatch.setattr(node.box, "SealedBox", None)
    with pytest.raises(node.box.NotForUs):
        node.box.unsealed(sealed()[:length], OWN)


def test_what_is_sealed_for_another_is_refused(node):
    with pytest.raises(node.box.NotForUs):
        node.box.unsealed_here(sealed(own=bytes(31) + b"\7"), OWN)
