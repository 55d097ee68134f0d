"""Random values of annotated types, with no knowledge of how they are encoded."""

from __future__ import annotations

import dataclasses
import enum
import struct
import types
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from ipckit.rpc import xdr

if TYPE_CHECKING:
    import random

_INTEGERS = {"Int": (-(1 << 31), 32), "UInt": (0, 32), "Hyper": (-(1 << 63), 64), "UHyper": (0, 64)}
_RANGES = {getattr(xdr, name): (low, low + (1 << bits)) for name, (low, bits) in _INTEGERS.items()}


class Values:
    """Draws values; the deeper, the shorter they are."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def draw(self, kind: Any, depth: int = 0) -> Any:
        dice = self._dice
        if kind in _RANGES:
            low, high = _RANGES[kind]
            return dice.choice((low, high - 1, 0, dice.randrange(low, high), dice.randrange(low, high)))
        if kind in (xdr.Float, xdr.Double, float):
            return dice.choice((0.0, -0.0, float("inf"), -1.5, self._bits(kind)))
        if kind in (bool, xdr.Bool):
            return dice.random() < 0.5
        if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
            return dice.choice(list(kind))
        if dataclasses.is_dataclass(kind):
            return self._instance(kind, depth)
        return self._compound(kind, depth)

    def _bits(self, kind: Any) -> float:
        code = ">f" if kind == xdr.Float else ">d"  # typing may give an equal one
        value = struct.unpack(code, self._dice.randbytes(struct.calcsize(code)))[0]
        return value if value == value else 1.0  # not a number is equal to nothing

    def _instance(self, kind: Any, depth: int) -> Any:
        hints = get_type_hints(kind, include_extras=True)
        arms = get_args(hints["value"]) if get_origin(hints.get("value")) in (Union, types.UnionType) else ()
        if not any(_cases(arm) for arm in arms):
            return kind(*(self.draw(hint, depth + 1) for hint in hints.values()))
        discriminant, _ = hints
        which = self._dice.choice([(arm, case) for arm in arms for case in _cases(arm)])
        arm, case = which
        if case is None:
            taken = {number for other in arms for number in _cases(other)}
            case = next(n for n in iter(lambda: self.draw(hints[discriminant]), object()) if n not in taken)
        if isinstance(hints[discriminant], type):
            case = hints[discriminant](case)  # typing may keep an equal marker, of another enum
        base, *markers = get_args(arm)
        inner = [marker for marker in markers if not isinstance(marker, (xdr.Case, xdr.Default))]
        return kind(case, self.draw(Annotated[(base, *inner)] if inner else base, depth + 1))

    def _compound(self, kind: Any, depth: int) -> Any:
        dice = self._dice
        if kind is None or kind is type(None):
            return None
        if get_origin(kind) in (Union, types.UnionType):
            inner = next(one for one in get_args(kind) if one is not type(None))
            return None if dice.random() < 0.3 + depth / 12 else self.draw(inner, depth + 1)
        length = dice.choice((0, 1, 2, 5)) if depth < 4 else dice.choice((0, 1))
        if get_origin(kind) is Annotated:
            kind, marker = get_args(kind)
            length = marker.length if isinstance(marker, xdr.Fixed) else min(length, marker.length)
        if kind is bytes:
            return dice.randbytes(length)
        if kind is str:
            return "".join(dice.choices("aé€𝄞 ~", k=length // 4)) + "z" * (length % 4)
        return [self.draw(get_args(kind)[0], depth + 1) for _ in range(length)]


def _cases(arm: Any) -> list[Any]:
    """The discriminants of an arm; None stands for all others."""
    found: list[Any] = []
    for marker in get_args(arm)[1:] if get_origin(arm) is Annotated else ():
        if isinstance(marker, xdr.Case):
            found += marker.values
        elif isinstance(marker, xdr.Default):
            found.append(None)
    return found
