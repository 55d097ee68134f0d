"""Every type of RFC 4506 by its bytes, what is refused and how the error says where, annotations that are no types."""

# ruff: noqa: UP007, UP045  # both spellings are understood

from __future__ import annotations

import array
import dataclasses
import enum
import pickle
import re
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Optional

import pytest

from ipckit.errors import IPCError, XdrError
from ipckit.rpc import xdr


class Kind(enum.IntEnum):
    """The kind of a file, as in the example of RFC 4506, section 7."""

    TEXT = 0
    DATA = 1
    EXEC = 2


Name = Annotated[str, xdr.Max(255)]

# The bytes of the file in that example.
EXAMPLE = """
00000009 73696c6c 7970726f 67000000 00000002 00000004 6c697370 00000004 6a6f686e 00000006 28717569 74290000
""".strip()


@xdr.union
@dataclass(slots=True)
class FileType:
    kind: Kind
    value: (
        Annotated[None, xdr.Case(Kind.TEXT)]
        | Annotated[Name, xdr.Case(Kind.DATA)]
        | Annotated[Name, xdr.Case(Kind.EXEC)]
    )


@dataclass(slots=True)
class File:
    filename: Name
    type: FileType
    owner: Annotated[str, xdr.Max(32)]
    data: Annotated[bytes, xdr.Max(65535)]


@xdr.union
@dataclass
class Answer:
    found: bool
    value: Annotated[xdr.Hyper, xdr.Case(True)] | Annotated[None, xdr.Default()]


@xdr.union
@dataclass(frozen=True)
class Many:
    number: xdr.UInt
    value: (
        Annotated[File | None, xdr.Case(1)]
        | Annotated[list[xdr.Int], xdr.Max(2), xdr.Case(2, 3)]
        | Annotated[Annotated[bytes, xdr.Fixed(3)], xdr.Default()]
    )


@dataclass
class Tree:
    left: Tree | None
    label: int
    right: Tree | None


@dataclass
class Directory:
    name: str
    entries: list[Directory]


@dataclass(frozen=True)
class Checked:
    """Its own rules come on top."""

    low: int
    high: int = 0
    note: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError("high is below low")


@dataclass
class KeywordFirst:
    b: xdr.Int = dataclasses.field(kw_only=True)
    a: xdr.Int


@dataclass
class Empty:
    pass


@dataclass
class Base:
    first: xdr.Int


@dataclass
class Derived(Base):
    second: xdr.Int


@dataclass
class Unrolled:
    grid: Annotated[list[Annotated[list[xdr.Double], xdr.Fixed(2)]], xdr.Fixed(2)]
    flags: Annotated[list[bool], xdr.Fixed(2)]
    long: Annotated[list[xdr.Float], xdr.Fixed(20)]


@pytest.mark.parametrize(
    ("annotation", "value", "encoded"),
    [
        (None, None, ""),
        (int, -2, "fffffffe"),
        (xdr.Int, 2**31 - 1, "7fffffff"),
        (xdr.UInt, 2**32 - 1, "ffffffff"),
        (xdr.Hyper, -(2**63), "80000000 00000000"),
        (xdr.UHyper, 2**64 - 2, "ffffffff fffffffe"),
        (xdr.Float, 1.5, "3fc00000"),
        (xdr.Float, float("-inf"), "ff800000"),
        (float, -0.0, "80000000 00000000"),
        (xdr.Double, 5e-324, "00000000 00000001"),
        (xdr.Quadruple, bytes(range(16)), "00010203 04050607 08090a0b 0c0d0e0f"),
        (bool, True, "00000001"),
        (xdr.Bool, False, "00000000"),
        (Kind, Kind.EXEC, "00000002"),
        (xdr.String, "", "00000000"),
        (str, "sillyprog", "00000009 73696c6c 7970726f 67000000"),
        (str, "\u20ac\U0001f600", "00000007 e282acf0 9f988000"),
        (Annotated[str, xdr.Max(3)], "\u20ac", "00000003 e282ac00"),
        (Annotated[str, xdr.Fixed(4)], "abcd", "61626364"),
        (xdr.Opaque, b"\0\xff", "00000002 00ff0000"),
        (Annotated[bytes, xdr.Max(4)], b"1234", "00000004 31323334"),
        (Annotated[bytes, xdr.Fixed(5)], b"12345", "31323334 35000000"),
        (Annotated[bytes, xdr.Fixed(0)], b"", ""),
        (list[xdr.Int], [], "00000000"),
        (list[xdr.Int], [1, -1], "00000002 00000001 ffffffff"),
        (typing.List[xdr.UHyper], [2**64 - 1], "00000001 ffffffff ffffffff"),  # noqa: UP006
        (Annotated[list[xdr.UInt], xdr.Fixed(2)], [1, 2], "00000001 00000002"),
        (list[str], ["a", "bc"], "00000002 00000001 61000000 00000002 62630000"),
        (list[xdr.Float], [1.0], "00000001 3f800000"),
        (list[Kind], [Kind.DATA, Kind.TEXT], "00000002 00000001 00000000"),
        (list[bool], [True, False], "00000002 00000001 00000000"),
        (list[Annotated[bytes, xdr.Fixed(3)]], [b"abc", b"def"], "00000002 61626300 64656600"),
        (Optional[int], None, "00000000"),
        (Optional[int], 0, "00000001 00000000"),
        (list[str | None], [None, "a"], "00000002 00000000 00000001 00000001 61000000"),
        (
            File,
            File("sillyprog", FileType(Kind.EXEC, "lisp"), "john", b"(quit)"),
            EXAMPLE,
        ),
        (Answer, Answer(found=True, value=7), "00000001 00000000 00000007"),
        (Answer, Answer(found=False, value=None), "00000000"),
        (Many, Many(1, None), "00000001 00000000"),
        (Many, Many(3, [4]), "00000003 00000001 00000004"),
        (Many, Many(2**32 - 1, b"xyz"), "ffffffff 78797a00"),
        (
            Tree,
            Tree(Tree(None, 1, None), 2, None),
            "00000001 00000000 00000001 00000000 00000002 00000000",
        ),
        (Directory, Directory("a", [Directory("b", [])]), "00000001 61000000 00000001 00000001 62000000 00000000"),
        (Checked, Checked(1, 2, note="n"), "00000001 00000002 00000001 6e000000"),
        (KeywordFirst, KeywordFirst(2, b=1), "00000001 00000002"),
        (Empty, Empty(), ""),
        (Derived, Derived(1, 2), "00000001 00000002"),
        (
            Unrolled,
            Unrolled([[0.0, 1.0], [2.0, 3.0]], [True, False], [0.0] * 19 + [1.0]),
            "00000000 00000000 3ff00000 00000000 40000000 00000000 40080000 00000000 00000001 00000000"
            + " 00000000" * 19
            + " 3f800000",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bytes(annotation: Any, value: Any, encoded: str) -> None:
    codec = xdr.codec(annotation)
    assert codec.encode(value).hex(" ", 4) == encoded
    decoded = codec.decode(bytes.fromhex(encoded))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value", "path", "says"),
    [
        (int, 2**31, "", "2147483648 is no int (32 bits)"),
        (int, 1.0, "", "no int"),
        (int, "1", "", "no int"),
        (xdr.UInt, -1, "", "no unsigned int"),
        (xdr.Hyper, 2**63, "", "no hyper"),
        (xdr.UHyper, -1, "", "no unsigned hyper"),
        (xdr.Float, 1e39, "", "no float"),
        (float, "1", "", "no double"),
        (bool, 1, "", "1 is no bool"),
        (Kind, 1, "", "1 is no member of Kind"),
        (str, b"a", "", "no str"),
        (str, "\ud800", "", "no UTF-8"),
        (Annotated[str, xdr.Max(3)], "\u20ac1", "", "4 bytes, where the type has 3 at most"),
        (Annotated[str, xdr.Fixed(3)], "1", "", "1 bytes, where the type has 3"),
        (bytes, "a", "", "no bytes"),
        (bytes, 5, "", "no bytes"),
        (bytes, [1], "", "no bytes"),
        (Annotated[bytes, xdr.Max(3)], b"1234", "", "3 at most"),
        (Annotated[bytes, xdr.Fixed(5)], b"1234", "", "4 bytes, where the type has 5"),
        (list[int], b"abcd", "", "no list"),
        (list[str], "abcd", "", "no list"),
        (list[int], {1: 2}, "", "no list"),
        (list[int], [0, 0, 2**31], "[2]", "no int"),
        (list[xdr.Float], [0, "1"], "[1]", "no float"),
        (Annotated[list[int], xdr.Fixed(2)], [1], "", "1 elements, where the type has 2"),
        (Annotated[list[str], xdr.Max(1)], ["", ""], "", "2 elements, where the type has 1 at most"),
        (None, 0, "", "void is None"),
        (File, None, "", "None is no File: it has no attribute 'filename'"),
        (list[File], [File("", FileType(Kind.DATA, None), "", b"")], "[0].type.value", "None is no str"),
        (File, File("", FileType(1, ""), "", b""), "type.kind", "1 is no member of Kind"),
        (Answer, Answer(found=False, value=3), "value", "void is None, not 3"),
        (Many, Many(2, [1, 2, 3]), "value", "2 at most"),
        (Tree, Tree(Tree(None, None, None), 1, None), "left.label", "None is no int"),
    ],
)
def test_values_that_do_not_fit(annotation: Any, value: Any, path: str, says: str) -> None:
    out = bytearray(b"before")
    with pytest.raises(XdrError) as caught:
        xdr.codec(annotation).encode_into(out, value)
    assert caught.value.path == path
    assert says in str(caught.value)
    assert out == b"before"


@pytest.mark.parametrize(
    ("annotation", "encoded", "path", "offset", "says"),
    [
        (int, "000000", "", 0, "4 bytes are to follow, 3 are left"),
        (int, "00000000 00", "", 4, "1 bytes follow the value"),
        (bool, "00000002", "", 0, "bool is 0 or 1, not 2"),
        (bool, "ffffffff", "", 0, "bool is 0 or 1, not 4294967295"),
        (Kind, "00000003", "", 0, "3 is no member of Kind"),
        (str, "00000001 61000001", "", 5, "are not zero"),
        (bytes, "00000003 61616101", "", 7, "are not zero"),
        (Annotated[bytes, xdr.Fixed(2)], "61610001", "", 2, "are not zero"),
        (str, "00000002 61", "", 4, "2 bytes are to follow, and only 1 bytes are left"),
        (str, "00000002 6161", "", 6, "2 bytes are to follow, 0 are left"),
        (str, "00000003 6180ff00", "", 5, "no UTF-8"),
        (str, "ffffffff 61616161", "", 4, "4294967295 bytes are to follow"),
        (Annotated[str, xdr.Max(3)], "00000004 61616161", "", 0, "3 at most"),
        (list[int], "40000000 00000000", "", 4, "1073741824 elements are to follow, and only 4 bytes are left"),
        (list[File], "80000000", "", 4, "2147483648 elements are to follow"),
        (Annotated[list[int], xdr.Max(1)], "00000002 00000000 00000000", "", 0, "1 at most"),
        (Optional[int], "00000002", "", 0, "optional data is 0 or 1, not 2"),
        (list[FileType], "00000002 00000000 00000007", "[1].kind", 8, "7 is no member"),
        (list[File], "00000001 00000000 00000001 00000001 61000000 000000ff 00000000", "[0].owner", 20, "32 at most"),
        (Checked, "00000002 00000001 00000000", "", 12, "Checked refuses it: high is below low"),
        (Tree, "00000001 00000000 00000001 00000002", "left.right", 12, "optional data is 0 or 1"),
    ],
)
def test_bytes_that_are_no_encoding(annotation: Any, encoded: str, path: str, offset: int, says: str) -> None:
    with pytest.raises(XdrError) as caught:
        xdr.codec(annotation).decode(bytes.fromhex(encoded))
    assert (caught.value.path, caught.value.offset) == (path, offset)
    assert says in str(caught.value)
    assert isinstance(caught.value, IPCError)
    assert isinstance(caught.value, ValueError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path, again.offset) == (str(caught.value), path, offset)


def test_a_discriminant_without_an_arm_is_refused() -> None:
    @xdr.union
    @dataclass
    class Few:
        kind: xdr.Int
        value: Annotated[int, xdr.Case(1)]

    codec = xdr.codec(Few)
    assert codec.decode(codec.encode(Few(1, 2))) == Few(1, 2)
    for failing in (lambda: codec.encode(Few(2, 2)), lambda: codec.decode(bytes.fromhex("00000002 00000002"))):
        with pytest.raises(XdrError, match="kind: Few has no arm for 2"):
            failing()


def test_buffers_and_tuples_are_taken() -> None:
    codec = xdr.codec(bytes)
    for content in (bytearray(b"abc"), memoryview(b"abc"), memoryview(array.array("H", [1]))):
        assert codec.decode(codec.encode(content)) == bytes(content)
    assert xdr.codec(list[int]).encode((1, 2)) == xdr.codec(list[int]).encode([1, 2])
    for data in (bytearray, memoryview, lambda data: memoryview(array.array("I", data))):
        assert xdr.codec(str).decode(data(b"\0\0\0\1a\0\0\0")) == "a"


def test_trailing_bytes_and_offsets() -> None:
    codec = xdr.codec(xdr.UInt)
    data = b"\0\0\0\1\0\0\0\2x"
    assert codec.decode(data, trailing=True) == 1
    assert codec.decode_from(data) == (1, 4)
    assert codec.decode_from(data, 4) == (2, 8)
    assert codec.decode_from(bytearray(data), 4) == (2, 8)
    for offset in (-1, 10):
        for buffer in (data, bytearray(data)):
            with pytest.raises(ValueError, match="offset: between 0 and 9"):
                codec.decode_from(buffer, offset)
    with pytest.raises(XdrError) as caught:
        codec.decode_from(data, 8)
    assert caught.value.offset == 8


def test_types_many_levels_deep() -> None:
    """Each level is a list of structs with an optional value: more blocks than Python nests."""
    annotation: Any = xdr.Int
    value: Any = 7
    for level in range(40):
        annotation = dataclasses.make_dataclass(f"Level{level}", [("held", list[Optional[annotation]])])
        value = annotation([None, value])
    codec = xdr.codec(annotation)
    assert codec.decode(codec.encode(value)) == value


def test_sizes_are_limited() -> None:
    codec = xdr.codec(bytes, max_size=12)
    assert codec.decode(codec.encode(b"x" * 8)) == b"x" * 8
    large = xdr.codec(bytes).encode(b"x" * 9)
    for failing in (
        lambda: codec.encode(b"x" * 9),
        lambda: codec.decode(large),
        lambda: codec.decode_from(large),
        lambda: codec.decode(large, trailing=True),
    ):
        with pytest.raises(XdrError, match="max_size"):
            failing()
    assert codec.decode(codec.encode(b"") + bytes(100), trailing=True) == b""
    with pytest.raises(ValueError, match="max_depth: 0 or more, not -1"):
        xdr.codec(int, max_depth=-1)


def test_codecs_are_made_once() -> None:
    assert xdr.codec(list[File]) is xdr.codec(list[File])
    assert xdr.codec(File) is not xdr.codec(File, max_size=10)
    assert repr(xdr.codec(File)) == "<xdr codec of File>"


class Nobody(enum.IntEnum):
    pass


class TooLarge(enum.IntEnum):
    X = 2**31


@dataclass
class Itself:
    again: Itself


@dataclass
class Set:
    x: int = dataclasses.field(init=False, default=0)


@dataclass
class Unknown:
    x: Nowhere  # noqa: F821


def of_union(kind: Any, value: Any) -> Any:
    return xdr.union(dataclasses.make_dataclass("U", [("kind", kind), ("value", value)]))


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (dict, "is no XDR type"),
        (complex, "is no XDR type"),
        (list, "say of what"),
        (Annotated[int, xdr.Max(3)], "is for str, bytes and list"),
        (Annotated[str, xdr.Max(3), xdr.Fixed(3)], "one of Max and Fixed"),
        (Annotated[str, xdr.Int.__metadata__[0]], "is for numbers"),
        (typing.Union[int, str], "only `T | None`"),
        (typing.Union[int, str, None], "only `T | None`"),
        (Optional[Annotated[Optional[int], "x"]], "None would mean two things"),
        (list[None], "the elements of an array take at least one byte each"),
        (list[Empty], "the elements of an array take at least one byte each"),
        (Nobody, "Nobody has no members"),
        (TooLarge, "is no int of 32 bits"),
        (Itself, "Itself holds itself"),
        (Set, "Set.x: a field with init=False"),
        (Unknown, "Unknown: name 'Nowhere' is not defined"),
        (xdr.union(Base), "a union has two fields, discriminant and value, not 1"),
        (of_union(str, Annotated[int, xdr.Case(1)]), "a discriminant is an IntEnum, bool, Int or UInt"),
        (of_union(xdr.Hyper, Annotated[int, xdr.Case(1)]), "a discriminant is an IntEnum, bool, Int or UInt"),
        (of_union(int, int), "each arm is Annotated with one Case or Default"),
        (of_union(int, typing.Union[Annotated[int, xdr.Case(1)], str]), "each arm is Annotated"),
        (
            of_union(int, typing.Union[Annotated[int, xdr.Case(1)], Annotated[str, xdr.Case(1)]]),
            "two arms for the case 1",
        ),
        (
            of_union(int, typing.Union[Annotated[int, xdr.Default()], Annotated[str, xdr.Default()]]),
            "one Default at most",
        ),
        (of_union(bool, Annotated[int, xdr.Case(2)]), "the discriminant is never 2"),
        (of_union(Kind, Annotated[int, xdr.Case(9)]), "the discriminant is never 9"),
        (of_union(xdr.UInt, Annotated[int, xdr.Case(-1)]), "the discriminant is never -1"),
    ],
)
def test_annotations_that_are_no_types(annotation: Any, says: str) -> None:
    with pytest.raises(TypeError, match=re.escape(says)):
        xdr.codec(annotation)


def test_lengths_and_cases_are_checked() -> None:
    for marker in (xdr.Max, xdr.Fixed):
        for length in (-1, 2**32):
            with pytest.raises(ValueError, match="a length is between 0 and 4294967295"):
                marker(length)
    with pytest.raises(ValueError, match="at least one"):
        xdr.Case()
