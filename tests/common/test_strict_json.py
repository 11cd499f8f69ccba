"""JSON is read in one way only, and as fast where a picture fills it."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import strict_json
from common.errors import InvalidRequest


class Pairs(list):
    """Those of an object; a name may come twice."""


NAMES = st.sampled_from(["a", "b", ":", "a:b", "\\", '"', ""]) | st.text(max_size=3)
TEXTS = st.text(':\\"u03a,[{é', max_size=8)


def objects(values):
    return st.lists(st.tuples(NAMES, values), max_size=4).map(Pairs)


VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | TEXTS,
    lambda values: st.lists(values, max_size=3) | objects(values),
    max_leaves=8,
)


def write(value, escape) -> str:
    if isinstance(value, Pairs):
        members = (f"{write(name, escape)} : {write(each, escape)}" for name, each in value)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write(each, escape) for each in value) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace(":", "\\u003a") if escape else text


def is_doubled(value) -> bool:
    if isinstance(value, Pairs):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(is_doubled(each) for _, each in value)
    return isinstance(value, list) and any(map(is_doubled, value))


@given(pairs=objects(VALUES), escape=st.booleans(), is_long=st.booleans())
def test_a_name_that_comes_twice_is_found_wherever_it_is(pairs, escape, is_long):
    raw = (write(pairs, escape) + " " * strict_json.LONG * is_long).encode()

    if is_doubled(pairs):
        with pytest.raises(InvalidRequest, match="twice"):
            strict_json.loads(raw)
    else:
        assert strict_json.loads(raw) == orjson.loads(raw)


DOUBLED = b'"n": 1, "n": 2'


@pytest.mark.parametrize(
    "filling",
    [
        b'"image": "%b"' % (b"QUJD" * 100_000),
        b'"text": "%b"' % (b": " * 5000),
        b'"text": "%b"' % (b"\\n" * 5000),
        b'"text": "%b\\u003a"' % (b"\\n" * 5000),
        b'"text": "%b\\u003a"' % (b"\\\\" * 5000),
        b'"text": "\\\\u003a%b"' % (b":" * 5000),
        b'"list": [%b{}]' % (b'{"a": ":"}, ' * 5000),
        b'"text": "%b"' % ("é:€" * 5000).encode(),
    ],
)
def test_it_is_found_in_a_long_text_too(filling):
    assert strict_json.loads(b"{%b}" % filling) == orjson.loads(b"{%b}" % filling)
    for doubled in (b"{%b, %b}" % (DOUBLED, filling), b'{%b, "a": {%b}}' % (filling, DOUBLED)):
        with pytest.raises(InvalidRequest, match='"n" twice'):
            strict_json.loads(doubled)
