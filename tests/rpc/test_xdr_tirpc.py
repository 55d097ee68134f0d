"""The same values in libtirpc's own routines: our encodings mean there what they mean here, and theirs are ours."""

from __future__ import annotations

import enum
import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipckit.errors import XdrError
from ipckit.rpc import xdr
from tests.interop.tirpc import compiled, skip_without_tirpc

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parent / "xdr_peer.c"


class Colour(enum.IntEnum):
    RED = 0
    GREEN = 7
    BLUE = -5


@xdr.union
@dataclass(slots=True)
class Choice:
    kind: Colour
    value: (
        Annotated[str, xdr.Case(Colour.RED)]
        | Annotated[list[xdr.Int], xdr.Max(9), xdr.Case(Colour.GREEN)]
        | Annotated[None, xdr.Default()]
    )


Tag = Annotated[str, xdr.Max(20)]


@dataclass(slots=True)
class Item:
    number: xdr.Int
    natural: xdr.UInt
    hyper: xdr.Hyper
    uhyper: xdr.UHyper
    single: xdr.Float
    double: xdr.Double
    truth: bool
    colour: Colour
    key: Annotated[bytes, xdr.Fixed(5)]
    data: Annotated[bytes, xdr.Max(100)]
    name: Annotated[str, xdr.Max(255)]
    grid: Annotated[list[xdr.Double], xdr.Fixed(3)]
    tags: Annotated[list[Tag], xdr.Max(4)]
    choice: Choice
    next: Item | None


def text(size: int) -> st.SearchStrategy[str]:
    # Not NUL, where their strings end; four bytes at most for each character.
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=size // 4)


numbers = st.integers(-(2**31), 2**31 - 1)
floats = st.floats(allow_nan=False)
ITEMS = st.builds(
    Item,
    numbers,
    st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(width=32, allow_nan=False),
    floats,
    st.booleans(),
    st.sampled_from(Colour),
    st.binary(min_size=5, max_size=5),
    st.binary(max_size=100),
    text(255),
    st.lists(floats, min_size=3, max_size=3),
    st.lists(text(20), max_size=4),
    st.one_of(
        st.builds(Choice, st.just(Colour.RED), text(400)),
        st.builds(Choice, st.just(Colour.GREEN), st.lists(numbers, max_size=9)),
        st.builds(Choice, st.just(Colour.BLUE), st.none()),
    ),
    st.none(),
)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    skip_without_tirpc(rpcgen=False)
    return compiled(tmp_path_factory.mktemp("xdr"), "xdr_peer", source=SOURCE)


def run(peer: Path, verb: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([peer, verb], input=data, capture_output=True, check=False, timeout=20)


def printed(item: Item) -> list[str]:
    """The lines that the peer prints for it."""
    choice = item.choice.value
    return [
        *(str(number) for number in (item.number, item.natural, item.hyper, item.uhyper)),
        *(item.single.hex(), item.double.hex()),
        *(str(int(item.truth)), str(int(item.colour))),
        *(content.hex() for content in (item.key, item.data, item.name.encode())),
        *(number.hex() for number in item.grid),
        *(str(len(item.tags)), *(tag.encode().hex() for tag in item.tags)),
        str(int(item.choice.kind)),
        *([choice.encode().hex()] if isinstance(choice, str) else map(str, choice or [])),
    ]


def same(theirs: str, ours: str) -> bool:
    """Whether both lines say the same; C writes a float in hexadecimal with other zeros than Python."""
    if "0x" in ours or "inf" in ours:
        return float.fromhex(theirs) == float.fromhex(ours)
    return theirs == ours


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(items=st.lists(ITEMS, min_size=1, max_size=6))
def test_they_read_what_we_write_and_we_what_they_write(peer: Path, items: list[Item]) -> None:
    for this, following in itertools.pairwise(items):
        this.next = following
    codec = xdr.codec(Item)
    encoded = codec.encode(items[0])
    lines = run(peer, "print", encoded).stdout.decode().splitlines()
    expected = [line for item in items for line in printed(item)]
    assert len(lines) == len(expected)
    assert [(theirs, ours) for theirs, ours in zip(lines, expected, strict=True) if not same(theirs, ours)] == []
    theirs = run(peer, "again", encoded).stdout
    assert theirs == encoded
    assert codec.decode(theirs) == items[0]


def test_they_refuse_what_we_refuse(peer: Path) -> None:
    value = Item(
        1, 2, 3, 4, 5.0, 6.0, True, Colour.RED, b"12345", b"", "a", [0.0] * 3, [], Choice(Colour.BLUE, None), None
    )
    codec = xdr.codec(Item)
    encoded = codec.encode(value)
    assert run(peer, "again", encoded).returncode == 0
    longer = encoded.replace(b"\0\0\0\1a", b"\0\0\1\0a")
    for broken in (encoded[:-1], encoded[:-8], longer, encoded[:-4] + b"\0\0\0\1"):
        assert run(peer, "again", broken).returncode == 3
        with pytest.raises(XdrError):
            codec.decode(broken)
