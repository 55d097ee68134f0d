"""One remote procedure: its number, its name, and the types of what goes there and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ipckit.rpc.xdr import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from ipckit.rpc.xdr import Codec


class Arguments:
    """The codec of the arguments of a call: encoded one after the other, with nothing before or between them.

    It may be used by many threads.
    """

    __slots__ = ("_codecs", "_encoders", "count")

    def __init__(self, types: tuple[Any, ...]) -> None:
        self._codecs: tuple[Codec[Any], ...] = tuple(codec(one) for one in types)
        self._encoders: tuple[Callable[[bytearray, Any], None], ...] = tuple(c.encode_into for c in self._codecs)
        self.count = len(types)
        """How many arguments there are."""

    def encode(self, values: tuple[Any, ...]) -> bytes:
        """The arguments as they travel.

        Raises:
            XdrError: a value does not fit its type.
            TypeError: there are too many or too few values.
        """
        if len(values) == self.count == 1:
            return self._codecs[0].encode(values[0])
        out = bytearray()
        self.encode_into(out, values)
        return bytes(out)

    def encode_into(self, out: bytearray, values: tuple[Any, ...]) -> None:
        """Append the arguments to *out*; raises what `encode` raises."""
        if len(values) != self.count:
            raise TypeError(f"the procedure takes {self.count} arguments, not {len(values)}")
        for encode, value in zip(self._encoders, values, strict=True):
            encode(out, value)

    def decode(self, data: Buffer, offset: int = 0) -> tuple[Any, ...]:
        """The arguments that begin at *offset*; what stands behind the last one is left alone, as RPC peers do.

        Raises:
            XdrError: the bytes are not arguments of these types.
        """
        values = []
        for one in self._codecs:
            value, offset = one.decode_from(data, offset)
            values.append(value)
        return tuple(values)


@dataclass(frozen=True)
class Procedure:
    """A remote procedure; it does nothing by itself: clients and servers read from it what to encode and decode.

    It may be used by many threads. Two procedures are equal when all four fields are.

    >>> add = Procedure(1, "add", (int, int), int)
    >>> add.arguments.encode((2, 3)).hex(" ", 4)
    '00000002 00000003'
    >>> add.result.decode(bytes([0, 0, 0, 5]))
    5

    Attributes:
        number: 0 to 2**32 - 1; by convention procedure 0 takes and gives nothing.
        name: the method of a service, and of its clients.
        argument_types: one annotation of `ipckit.rpc.xdr` for each argument.
        result_type: the same for the result; None for void.
    """

    number: int
    name: str
    argument_types: tuple[Any, ...] = ()
    result_type: Any = None

    def __post_init__(self) -> None:
        if not 0 <= self.number < 1 << 32:
            raise ValueError(f"number must be from 0 to 4294967295, not {self.number}")

    @cached_property
    def arguments(self) -> Arguments:
        """The codec of the arguments; compiled when it is first asked for."""
        return Arguments(self.argument_types)

    @cached_property
    def result(self) -> Codec[Any]:
        """The codec of the result; compiled when it is first asked for."""
        made: Codec[Any] = codec(self.result_type)
        return made


NULL = Procedure(0, "null")
"""Procedure 0 of every version: it does nothing, and shows that the server is there."""
