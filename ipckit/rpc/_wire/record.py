"""Messages on a byte stream: the record marking of RFC 5531, section 11.

A record is one or more fragments, each after 4 bytes: the highest bit says whether it is the last one, the others
are its length.
"""

from __future__ import annotations

import errno
from struct import Struct

from ipckit._arguments import check_int
from ipckit.errors import RpcProtocolError, syscall_error

LAST = 0x80000000
MOST_FRAGMENT = LAST - 1  # bytes
DEFAULT_MAX_MESSAGE_SIZE = 1 << 24  # bytes; headers included
MOST_EMPTY = 16  # fragments without a byte that one record may have: they cost the sender next to nothing
_SMALL = 4096  # bytes; a piece below this is put together with its neighbours, so that no object is kept for each
_MARK = Struct(">I")
MARK_SIZE = _MARK.size
pack_mark = _MARK.pack
_unpack_mark = _MARK.unpack_from


class RecordReader:
    """Puts records together from bytes in any split; it takes no more memory than has arrived.

    For one thread at a time.

    Args:
        max_size: bytes that a record may have, all its fragments together.
    """

    __slots__ = ("_empty", "_last", "_left", "_mark", "_pieces", "_ready", "_size", "max_size")

    def __init__(self, max_size: int = DEFAULT_MAX_MESSAGE_SIZE) -> None:
        self.max_size = check_int(max_size, "max_size", 1, MOST_FRAGMENT, "bytes")
        self._ready: list[bytes] = []
        self._mark = b""  # of the fragment that comes next, so far as it is there
        self._left = 0  # bytes that the present fragment still lacks
        self._begin()

    @property
    def begun(self) -> bool:
        """Whether a part of a record is there, so that the stream must not end here."""
        return bool(self._left or self._mark or self._size or self._empty or not self._last)

    @property
    def wanted(self) -> int:
        """How many bytes the present fragment still lacks; 0 where the next mark comes first."""
        return self._left

    def feed(self, data: bytes) -> None:
        """Take *data*; `records` then gives what it completed.

        Raises:
            MessageTooLargeError: a fragment is announced that makes the record larger than `max_size` (EMSGSIZE).
                What came before is in `records`; the stream has no further use.
            RpcProtocolError: there is no end of empty fragments; the same holds.
        """
        record = self.alone(data)
        if record is None:
            self._take(data)
        else:
            self._ready.append(record)

    def alone(self, data: bytes) -> bytes | None:
        """The record in *data*, if that is all of it and nothing else, as nearly always; no need to `feed` it then."""
        if not self._left and self._last and not self._mark:
            size = len(data) - MARK_SIZE
            if 0 < size <= self.max_size and _unpack_mark(data)[0] == size | LAST:
                return data[MARK_SIZE:]
        return None

    def records(self) -> list[bytes]:
        """The records that are complete, in their order; each is given once."""
        ready, self._ready = self._ready, []
        return ready

    def _take(self, data: bytes) -> None:
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            if not self._left:
                lacking = MARK_SIZE - len(self._mark)
                self._mark += data[at : at + lacking]
                at += lacking
                if len(self._mark) < MARK_SIZE:
                    return
                self._open()
            piece = view[at : at + self._left]
            if piece:
                self._keep(piece)
                at += len(piece)
                self._left -= len(piece)
            if not self._left and self._last:
                self._ready.append(b"".join(self._pieces))
                self._begin()

    def _open(self) -> None:
        """Begin the fragment whose mark is complete."""
        mark: int = _unpack_mark(self._mark)[0]
        self._mark = b""
        self._last = bool(mark & LAST)
        length = mark & MOST_FRAGMENT
        self._size += length
        if self._size > self.max_size:
            raise too_large(self._size, self.max_size, "receive")
        self._left = length
        if not length:
            self._empty += 1
            if self._empty > MOST_EMPTY:
                raise RpcProtocolError(f"a record has more than {MOST_EMPTY} fragments without a byte")

    def _keep(self, piece: memoryview) -> None:
        if len(piece) >= _SMALL:
            self._pieces.append(piece)  # keeps all that came with it: no more than one read for each end of a record
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    def _begin(self) -> None:
        self._pieces: list[bytearray | memoryview] = []
        self._size = 0
        self._empty = 0
        self._last = True

    def __repr__(self) -> str:
        missing = f", {self._left} more announced" if self._left else ""
        return f"<RecordReader {self._size - self._left} bytes of a record{missing}>"


def as_record(message: bytes, fragment_size: int = MOST_FRAGMENT) -> bytes:
    """*message* as a record.

    Args:
        fragment_size: the most bytes of each fragment.
    """
    size = len(message)
    if size <= fragment_size:
        return pack_mark(size | LAST) + message
    parts: list[bytes | memoryview] = []
    view = memoryview(message)
    for start in range(0, size, fragment_size):
        fragment = view[start : start + fragment_size]
        parts += [pack_mark(len(fragment) | (LAST if start + fragment_size >= size else 0)), fragment]
    return b"".join(parts)


def too_large(size: int, limit: int, verb: str) -> Exception:
    """The exception for a message above *limit*."""
    remedy = f"the message has {size} bytes; max_message_size is {limit}"
    return syscall_error(errno.EMSGSIZE, verb, remedy=remedy)
