"""How objects become messages and objects again: pickles whose large buffers lie beside them, or plain bytes."""

from __future__ import annotations

import copyreg
import pickle
import struct
import threading
from collections import ChainMap
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

_PICKLE = 0x80
"""The first byte of each pickle since protocol 2."""
_PICKLE_AND_BUFFERS = 0x01
_HEAD = struct.Struct("=BxxxIQ")
"""Which of the two, how many buffers, bytes of the pickle; then for each buffer twice its size, plus 1 if read-only."""


_APART_FROM = 4096
"""Bytes of a buffer; to carry a smaller one apart costs more than to copy it twice."""


class Codec(Protocol):
    """What a queue asks of a codec; any object with these two methods will do, and travels with the queue."""

    def encode(self, item: Any, /) -> list[Buffer]:
        """Return the message in parts, which are copied into the queue one after the other, at once."""

    def decode(self, message: memoryview, /) -> Any:
        """Return the object. The message is gone when this returns: take copies, not slices."""


class Plain:
    """The codec of those who exchange bytes: any C-contiguous buffer goes in, bytes come out."""

    def encode(self, item: Buffer, /) -> list[Buffer]:
        """Return the item itself."""
        return [item]

    def decode(self, message: memoryview, /) -> bytes:
        """Return a copy."""
        return bytes(message)


class Pickled:
    """Pickles of protocol 5, by the rules of multiprocessing: its reducers for connections, locks and the like hold.

    The buffers of large objects that offer them, such as numpy arrays, go from the object into the queue, and from
    there into memory of their own, with no copy in between. Writable ones come out writable.

    Threads: safe to share. Pickles of a process that you do not trust run its code in yours.
    """

    def encode(self, item: Any, /) -> list[Buffer]:
        """Return the pickle, and its buffers.

        Raises:
            Exception: what pickling the item raises.
        """
        parts, raws = _scratch.pickled(item)
        if not raws:
            return parts
        sizes = [raw.nbytes << 1 | raw.readonly for raw in raws]
        head = _HEAD.pack(_PICKLE_AND_BUFFERS, len(raws), sum(map(_size, parts)))
        return [head + struct.pack(f"={len(raws)}Q", *sizes), *parts, *raws]

    def decode(self, message: memoryview, /) -> Any:
        """Return the object.

        Raises:
            pickle.UnpicklingError: this is no message of this codec.
            Exception: what unpickling raises.
        """
        if message[:1] != bytes([_PICKLE_AND_BUFFERS]):
            return pickle.loads(message)
        try:
            _, count, size = _HEAD.unpack_from(message)
            sizes = struct.unpack_from(f"={count}Q", message, _HEAD.size)
        except struct.error as error:
            raise pickle.UnpicklingError(f"the message ends within its head: {error}") from None
        at = _HEAD.size + 8 * count
        pickled = message[at : at + size]
        at += size
        buffers: list[bytes | bytearray] = []
        for word in sizes:
            piece = message[at : at + (word >> 1)]
            buffers.append(bytes(piece) if word & 1 else bytearray(piece))
            at += word >> 1
        if at != message.nbytes:
            raise pickle.UnpicklingError(f"the message has {message.nbytes} bytes, and by its head it has {at}")
        return pickle.loads(pickled, buffers=buffers)


def _size(part: Buffer) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)  # type: ignore[arg-type]


class _Sink:
    """What a pickler takes for its file: it gets the pieces of a pickle, large bytes objects as they are."""

    __slots__ = ("write",)

    write: Callable[[Buffer], object]


class _Scratch(threading.local):
    """One pickler for each thread: to make a new one costs more than most pickles do."""

    def __init__(self) -> None:
        from multiprocessing.reduction import ForkingPickler

        reducers: Any = ForkingPickler
        by_type = ChainMap(reducers._extra_reducers, copyreg.dispatch_table)
        self._parts: list[Buffer] = []
        self._raws: list[memoryview] = []
        sink = _Sink()
        sink.write = self._parts.append
        self._pickler = type("Pickler", (pickle.Pickler,), {"dispatch_table": by_type})(sink, 5, True, self._keep_apart)
        self._busy = False

    def _keep_apart(self, buffer: pickle.PickleBuffer) -> bool:
        """Put the buffer beside the pickle; True if it is to go into it."""
        try:
            raw = buffer.raw()
        except BufferError:  # it lies in pieces
            return True
        if raw.nbytes < _APART_FROM:
            return True
        self._raws.append(raw)
        return False

    def pickled(self, item: Any) -> tuple[list[Buffer], list[memoryview]]:
        """The pieces of the pickle, and the buffers beside it."""
        if self._busy:  # the item's own __reduce__, or a signal handler, is pickling something
            return _Scratch().pickled(item)
        self._busy = True
        try:
            self._pickler.dump(item)
            return self._parts[:], self._raws[:]
        finally:
            self._pickler.clear_memo()
            self._parts.clear()
            self._raws.clear()
            self._busy = False


_scratch = _Scratch()
