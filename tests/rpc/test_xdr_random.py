"""Codecs of generated types over generated values: there and back, cut short, changed, and beside the plain walkers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipckit.errors import XdrError
from ipckit.rpc import xdr
from ipckit.rpc.xdr._walk_decoder import walk_decoding
from ipckit.rpc.xdr._walk_encoder import walk_encoding
from tests.examples import examples
from tests.rpc.xdr_values import TYPES

pytestmark = pytest.mark.slow
often = settings(max_examples=examples(30), deadline=None, database=None, suppress_health_check=list(HealthCheck))


def walked(codec: xdr.Codec[Any], data: bytes) -> Any:
    """What the walker makes of *data*, or the error."""
    try:
        value, offset = walk_decoding(codec._root, data, 0, codec._recursive, codec._max_depth)
    except XdrError as error:
        return error
    return value if offset == len(data) else XdrError("trailing")


def decoded(codec: xdr.Codec[Any], data: bytes) -> Any:
    try:
        return codec.decode(data)
    except XdrError as error:
        return error


def assert_agree(codec: xdr.Codec[Any], data: bytes) -> None:
    """Compiled code and walker take the same bytes for the same value; what they take is what they write."""
    ours, plain = decoded(codec, data), walked(codec, data)
    assert type(ours) is type(plain), (ours, plain)
    if not isinstance(ours, XdrError):
        # By repr, where a float that is no number equals itself.
        assert repr(ours) == repr(plain)
        if "nan" not in repr(ours):
            assert codec.encode(ours) == data


@often
@given(st.data())
def test_there_and_back(data: st.DataObject) -> None:
    annotation, values = data.draw(TYPES)
    codec = xdr.codec(annotation)
    value = data.draw(values)
    encoded = codec.encode(value)
    assert len(encoded) % 4 == 0
    assert walk_encoding(codec._root, value, codec._recursive, 100, 2**20) == encoded
    assert codec.decode(encoded) == value
    assert codec.decode(memoryview(bytearray(encoded))) == value
    assert codec.decode_from(b"xyz" + encoded + b"behind", 3) == (value, 3 + len(encoded))
    out = bytearray(b"before")
    codec.encode_into(out, value)
    assert out == b"before" + encoded


@often
@given(st.data())
def test_every_prefix_is_too_short(data: st.DataObject) -> None:
    annotation, values = data.draw(TYPES)
    codec = xdr.codec(annotation)
    encoded = codec.encode(data.draw(values))
    for size in range(len(encoded)):
        with pytest.raises(XdrError) as caught:
            codec.decode(encoded[:size])
        assert 0 <= caught.value.offset <= size


@often
@given(st.data(), st.binary(max_size=200))
def test_random_bytes_are_a_value_or_refused(data: st.DataObject, noise: bytes) -> None:
    annotation, _ = data.draw(TYPES)
    assert_agree(xdr.codec(annotation), noise)


@often
@given(st.data())
def test_changed_bytes_are_a_value_or_refused(data: st.DataObject) -> None:
    annotation, values = data.draw(TYPES)
    codec = xdr.codec(annotation)
    encoded = bytearray(codec.encode(data.draw(values)))
    for _ in range(8):
        changed = bytearray(encoded)
        for place in data.draw(st.lists(st.integers(0, max(0, len(encoded) - 1)), max_size=3)) if encoded else ():
            changed[place] = data.draw(st.sampled_from([0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF]))
        assert_agree(codec, bytes(changed))


@often
@given(st.data())
def test_values_of_another_type_fit_or_are_refused(data: st.DataObject) -> None:
    """Both encoders take the same values, whatever is given to them."""
    annotation, _ = data.draw(TYPES)
    _, values = data.draw(TYPES)
    codec = xdr.codec(annotation)
    value = data.draw(values)
    expected = refused = None
    try:
        expected = walk_encoding(codec._root, value, codec._recursive, 100, 2**20)
    except XdrError as error:
        refused = str(error)
    if refused is None:
        assert codec.encode(value) == expected
    else:
        with pytest.raises(XdrError, match=f"^{re.escape(refused)}$"):
            codec.encode(value)
