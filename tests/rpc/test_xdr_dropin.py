"""`Packer` and `Unpacker` are those of xdrlib: the example of its documentation, and the module itself where it is."""

from __future__ import annotations

import importlib
import math
import struct
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipckit.errors import IPCError
from ipckit.rpc import xdr
from tests.examples import examples


def original() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("xdrlib")
        except ImportError:
            pytest.skip("this Python has no xdrlib")


ints = st.integers(-(2**65), 2**65)
words = st.integers(-(2**33), 2**33)
floats = st.floats() | st.floats(width=32)
strings = st.binary(max_size=12) | st.binary(max_size=12).map(bytearray)
wrong = st.sampled_from([None, "text", 1.5, [], [1], (b"a",), -1, memoryview(b"abc")])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint": words | wrong,
    "int": words | wrong,
    "enum": words,
    "bool": st.booleans() | wrong,
    "uhyper": ints | wrong,
    "hyper": ints | wrong,
    "float": floats | wrong,
    "double": floats | wrong,
    "string": strings | wrong,
    "opaque": strings,
    "bytes": strings,
}
METHODS = sorted(VALUES)


def outcome(call: Callable[[], object]) -> object:
    """What it returns, or the class and text of what it raises, in the words of both modules."""
    try:
        value = call()
    except Exception as error:
        return type(error).__name__, str(error), getattr(error, "msg", None)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack(">d", value)
    return type(value), value


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(100), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_packs_as_xdrlib(data: st.DataObject) -> None:
    theirs, ours = original().Packer(), xdr.Packer()
    for name in data.draw(st.lists(st.sampled_from(METHODS), max_size=6)):
        value = data.draw(VALUES[name])
        both = [outcome(partial(getattr(packer, f"pack_{name}"), value)) for packer in (theirs, ours)]
        assert both[0] == both[1], (name, value)
        assert ours.get_buffer() == theirs.get_buffer()
    for name, arguments in (
        ("fstring", (data.draw(st.integers(-2, 9)), data.draw(strings | wrong))),
        ("fopaque", (data.draw(st.integers(0, 9)), data.draw(strings))),
    ):
        both = [outcome(partial(getattr(packer, f"pack_{name}"), *arguments)) for packer in (theirs, ours)]
        assert both[0] == both[1]
    items = data.draw(st.lists(words, max_size=4))
    for name, arguments in (("list", (items,)), ("array", (items,)), ("farray", (data.draw(st.integers(0, 4)), items))):
        both = [
            outcome(partial(getattr(packer, f"pack_{name}"), *arguments, packer.pack_int)) for packer in (theirs, ours)
        ]
        assert both[0] == both[1]
        assert ours.get_buffer() == ours.get_buf() == theirs.get_buffer()
    ours.reset()
    assert ours.get_buffer() == b""


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(100), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_unpacks_as_xdrlib(data: st.DataObject) -> None:
    small = st.integers(0, 6).map(lambda n: n.to_bytes(4, "big"))
    content = b"".join(data.draw(st.lists(small | st.binary(max_size=9), max_size=12)))
    content = data.draw(st.sampled_from([bytes, bytearray, memoryview]))(content)
    theirs, ours = original().Unpacker(content), xdr.Unpacker(content)
    for name in data.draw(st.lists(st.sampled_from([*METHODS, "list", "array", "farray", "fstring"]), max_size=8)):
        number = data.draw(st.integers(-1, 9))
        unit = data.draw(st.sampled_from(METHODS))
        if data.draw(st.booleans()):
            place = data.draw(st.integers(-4, len(content) + 4))
            theirs.set_position(place)
            ours.set_position(place)

        def call(unpacker: Any, name: str = name, number: int = number, unit: str = unit) -> object:
            method = getattr(unpacker, f"unpack_{name}")
            item = getattr(unpacker, f"unpack_{unit}")
            if name == "fstring":
                return method(number)
            if name == "farray":
                return repr(method(number, item))
            return repr(method(item)) if name in ("list", "array") else method()

        both = [outcome(partial(call, unpacker)) for unpacker in (theirs, ours)]
        assert both[0] == both[1], (name, number, unit, bytes(content))
        assert ours.get_position() == theirs.get_position()
    assert outcome(ours.done) == outcome(theirs.done)
    assert ours.get_buffer() is content


def test_the_interface_is_xdrlibs() -> None:
    module = original()
    for name in ("Packer", "Unpacker"):
        public = {method for method in dir(getattr(module, name)) if not method.startswith("_")}
        assert public == {method for method in dir(getattr(xdr, name)) if not method.startswith("_")}
    assert {"Error", "ConversionError"} <= set(module.__all__) & set(xdr.__all__)


def test_example_of_xdrlibs_documentation() -> None:
    packer = xdr.Packer()
    with pytest.raises(xdr.ConversionError) as caught:
        packer.pack_double("8.01")
    assert caught.value.msg == "required argument is not a float"
    assert repr(caught.value) == repr(caught.value.msg)
    assert isinstance(caught.value, xdr.Error)
    assert isinstance(caught.value, IPCError)


def test_there_and_back() -> None:
    packer = xdr.Packer()
    packer.pack_int(-1)
    packer.pack_hyper(-2)
    packer.pack_string(b"hello")
    packer.pack_list([1, 2], packer.pack_uint)
    packer.pack_array([b"a", b"bc"], packer.pack_opaque)
    packer.pack_fstring(5, b"hello world")
    unpacker = xdr.Unpacker(packer.get_buffer())
    assert unpacker.unpack_int() == -1
    assert unpacker.unpack_hyper() == -2
    assert unpacker.unpack_string() == b"hello"
    assert unpacker.unpack_list(unpacker.unpack_uint) == [1, 2]
    with pytest.raises(xdr.Error, match="unextracted data remains"):
        unpacker.done()
    assert unpacker.unpack_array(unpacker.unpack_bytes) == [b"a", b"bc"]
    assert unpacker.unpack_fstring(5) == b"hello"
    unpacker.done()
    with pytest.raises(EOFError):
        unpacker.unpack_bool()
