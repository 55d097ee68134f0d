"""Types of XDR, generated, each with a strategy for its values."""

# ruff: noqa: UP007, UP045  # they are made here

from __future__ import annotations

import dataclasses
import enum
import itertools
from typing import Annotated, Any, Optional, Union

from hypothesis import strategies as st

from ipckit.rpc import xdr

_numbers = itertools.count()


class Colour(enum.IntEnum):
    RED = 0
    GREEN = 7
    BLUE = -(2**31)
    WHITE = 2**31 - 1


# An annotation, and a strategy for values of it.
Typed = tuple[Any, st.SearchStrategy[Any]]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES: list[Typed] = [
    (int, st.integers(-(2**31), 2**31 - 1)),
    (xdr.UInt, st.integers(0, 2**32 - 1)),
    (xdr.Hyper, st.integers(-(2**63), 2**63 - 1)),
    (xdr.UHyper, st.integers(0, 2**64 - 1)),
    (xdr.Float, st.floats(width=32, allow_nan=False)),
    (float, st.floats(allow_nan=False)),
    (xdr.Quadruple, st.binary(min_size=16, max_size=16)),
    (bool, st.booleans()),
    (Colour, st.sampled_from(list(Colour))),
    (str, text),
    (Annotated[str, xdr.Max(80)], text),
    (Annotated[str, xdr.Fixed(3)], st.text("abc", min_size=3, max_size=3)),
    (bytes, st.binary(max_size=300)),
    (Annotated[bytes, xdr.Max(9)], st.binary(max_size=9)),
    (Annotated[bytes, xdr.Fixed(5)], st.binary(min_size=5, max_size=5)),
    (Annotated[list[xdr.Hyper], xdr.Fixed(20)], st.lists(st.integers(-(2**63), 2**63 - 1), min_size=20, max_size=20)),
]


def _list(inner: Typed) -> st.SearchStrategy[Typed]:
    annotation, values = inner
    # Not 0 for the fixed ones: elements that take no bytes are refused.
    length = st.integers(1, 3)
    return st.one_of(
        st.just((list[annotation], st.lists(values, max_size=4))),
        length.map(lambda n: (Annotated[list[annotation], xdr.Max(n)], st.lists(values, max_size=n))),
        length.map(lambda n: (Annotated[list[annotation], xdr.Fixed(n)], st.lists(values, min_size=n, max_size=n))),
    )


def _optional(inner: Typed) -> Typed:
    annotation, values = inner
    if type(None) in getattr(annotation, "__args__", ()):
        return inner
    return Optional[annotation], st.none() | values


def _struct(fields: list[Typed], frozen: bool, slots: bool) -> Typed:
    names = [f"f{i}" for i in range(len(fields))]
    cls = dataclasses.make_dataclass(
        f"Struct{next(_numbers)}",
        [(name, annotation) for name, (annotation, _) in zip(names, fields, strict=True)],
        frozen=frozen,
        slots=slots,
    )
    return cls, st.builds(cls, *(values for _, values in fields))


def _union(kind: Any, arms: list[Typed], default: bool) -> Typed:
    kinds: list[Any] = [True, False] if kind is bool else list(Colour) if kind is Colour else [5, 0, 2**31 - 1, 7]
    # The last arm is for all that is left, or, without a default, may have several cases.
    arms = arms[: len(kinds)]
    cases = [xdr.Case(kinds[i]) for i in range(len(arms))]
    chosen = [st.just(kinds[i]) for i in range(len(arms))]
    if default:
        cases[-1] = xdr.Default()
        if kinds[len(arms) - 1 :]:
            chosen[-1] = st.sampled_from(kinds[len(arms) - 1 :])
    elif kinds[len(arms) :]:
        cases[-1] = xdr.Case(*kinds[len(arms) - 1 :])
        chosen[-1] = st.sampled_from(kinds[len(arms) - 1 :])
    value = Union[tuple(Annotated[annotation, case] for (annotation, _), case in zip(arms, cases, strict=True))]
    cls = xdr.union(
        dataclasses.make_dataclass(f"Union{next(_numbers)}", [("kind", kind), ("value", value)], slots=True)
    )
    return cls, st.one_of(
        [st.builds(cls, which, values) for which, (_, values) in zip(chosen, arms, strict=True)],
    )


def _void_or(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return inner | st.just((None, st.none()))


# Any type whose values do not hold others of the same type.
TYPES: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.flatmap(_list),
        inner.map(_optional),
        st.builds(_struct, st.lists(inner, min_size=1, max_size=5), st.booleans(), st.booleans()),
        st.builds(
            _union,
            st.sampled_from([bool, int, xdr.UInt, Colour]),
            st.lists(_void_or(inner), min_size=1, max_size=4),
            st.booleans(),
        ),
    ),
    max_leaves=8,
)
