"""Values that hold others of their type: chains without end, trees up to a depth, circles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest

from ipckit.errors import XdrError
from ipckit.rpc import xdr

LINKS = 100_000


@dataclass(slots=True)
class Link:
    name: str
    next: Link | None


@dataclass(frozen=True)
class Frozen:
    """Its links cannot be changed, and each checks itself."""

    number: int
    next: Frozen | None

    def __post_init__(self) -> None:
        if self.next is not None and self.next.number > self.number:
            raise ValueError("not in order")


@dataclass
class Bare:
    next: Bare | None


@dataclass
class Holder:
    first: Link | None
    second: Link
    third: list[Link]


@dataclass
class Tree:
    children: list[Tree]


@dataclass
class Even:
    odd: Odd | None


@dataclass
class Odd:
    even: Even | None


@xdr.union
@dataclass
class Stack:
    more: bool
    value: Annotated[Item, xdr.Case(True)] | Annotated[None, xdr.Case(False)]


@dataclass
class Item:
    number: int
    rest: Stack


def chain(count: int) -> Link:
    head = None
    for i in reversed(range(count)):
        head = Link(f"{i}", head)
    assert head is not None
    return head


def names(head: Link | None) -> list[str]:
    found = []
    while head is not None:
        found.append(head.name)
        head = head.next
    return found


@pytest.mark.slow
def test_chains_of_any_length() -> None:
    codec = xdr.codec(Link)
    assert names(codec.decode(codec.encode(chain(LINKS)))) == [str(i) for i in range(LINKS)]


def test_errors_in_chains_count_the_links() -> None:
    codec = xdr.codec(Link)
    data = codec.encode(chain(2000))
    # Not quite all of it; and the last link is told that one more follows it.
    for broken, path in ((data[:-1], "next*2000"), (data[:-4] + b"\0\0\0\1", "next*2000.name")):
        with pytest.raises(XdrError) as caught:
            codec.decode(broken)
        assert caught.value.path == path


def test_chains_inside_other_values() -> None:
    codec = xdr.codec(Holder)
    value = Holder(chain(3), chain(1), [chain(2), chain(5)])
    assert codec.decode(codec.encode(value)) == value
    value.third[1].next.next.name = b"bytes"
    with pytest.raises(XdrError, match=r"^third\[1\].next.next.name: b'bytes' is no str"):
        codec.encode(value)


def test_chains_of_frozen_classes_with_rules_of_their_own() -> None:
    codec = xdr.codec(Frozen)
    value = Frozen(3, Frozen(2, Frozen(1, None)))
    data = bytearray(codec.encode(value))
    assert codec.decode(data) == value
    data[11] = 9
    with pytest.raises(XdrError, match="Frozen refuses it: not in order"):
        codec.decode(data)


@pytest.mark.slow
def test_chains_of_nothing_but_links() -> None:
    codec = xdr.codec(Bare)
    assert codec.encode(Bare(Bare(None))).hex(" ", 4) == "00000001 00000000"
    depth, link = 0, codec.decode(b"\0\0\0\1" * LINKS + bytes(4))
    while link.next is not None:
        depth, link = depth + 1, link.next
    assert depth == LINKS


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 100])
@pytest.mark.parametrize("tail", [0, 5])
def test_chains_that_come_back_are_refused(length: int, tail: int) -> None:
    head = chain(tail + length)
    links = [head]
    while links[-1].next is not None:
        links.append(links[-1].next)
    links[-1].next = links[tail]
    with pytest.raises(XdrError, match="comes back to an earlier link"):
        xdr.codec(Link).encode(head)


def nested(depth: int) -> Tree:
    tree = Tree([])
    for _ in range(depth - 1):
        tree = Tree([tree])
    return tree


def test_trees_up_to_a_depth() -> None:
    codec = xdr.codec(Tree)
    assert codec.decode(codec.encode(nested(100))) == nested(100)
    wide = Tree([nested(99), Tree([]), nested(99)])
    assert codec.decode(codec.encode(wide)) == wide
    with pytest.raises(XdrError, match=r"^(children\[0\].){99}children\[0\]: nested in itself more than 100 times"):
        codec.encode(nested(101))
    with pytest.raises(XdrError, match="max_depth"):
        codec.decode(b"\0\0\0\1" * 100 + bytes(4))
    with pytest.raises(XdrError, match="max_depth"):
        codec.decode(b"\0\0\0\1" * 1_000_000)
    shallow = xdr.codec(Tree, max_depth=2)
    assert shallow.decode(bytes.fromhex("00000001 00000000")) == nested(2)
    with pytest.raises(XdrError, match="max_depth"):
        shallow.encode(nested(3))


@pytest.mark.slow
def test_depths_beyond_the_stack() -> None:
    """Where the user allows more than the interpreter can do, it is the same error."""
    codec = xdr.codec(Tree, max_depth=10**9)
    with pytest.raises(XdrError, match=r"cannot be decoded: .*recursion"):
        codec.decode(b"\0\0\0\1" * 100_000 + bytes(4))
    with pytest.raises(XdrError, match=r"cannot be encoded: .*recursion"):
        codec.encode(nested(100_000))


def test_values_in_a_circle() -> None:
    tree = Tree([])
    tree.children += [tree]
    with pytest.raises(XdrError, match="max_depth"):
        xdr.codec(Tree).encode(tree)
    # Twice in itself it has more parts than there is memory.
    tree.children += [tree]
    with pytest.raises(XdrError, match="max_"):
        xdr.codec(Tree, max_size=10_000).encode(tree)


def test_types_that_hold_each_other() -> None:
    codec = xdr.codec(Even)
    value = Even(Odd(Even(Odd(None))))
    assert codec.encode(value).hex(" ", 4) == "00000001 00000001 00000001 00000000"
    assert codec.decode(codec.encode(value)) == value
    with pytest.raises(XdrError, match="max_depth"):
        codec.decode(b"\0\0\0\1" * 1000 + bytes(4))


def test_unions_that_hold_themselves() -> None:
    codec = xdr.codec(Stack)
    value = Stack(True, Item(1, Stack(True, Item(2, Stack(False, None)))))
    assert codec.encode(value).hex(" ", 4) == "00000001 00000001 00000001 00000002 00000000"
    assert codec.decode(codec.encode(value)) == value
