"""Whole messages on a byte stream: each one is its length, 4 bytes, most significant first, and then its bytes."""

from __future__ import annotations

import errno
from struct import Struct
from typing import TYPE_CHECKING, ClassVar

from ipckit._handle import FdHandle
from ipckit._turn import Turn
from ipckit.errors import MessageTooLargeError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Buffer

    from ipckit._lane import ReadingLane
    from ipckit._wait import Deadline

_HEADER = Struct("!I")
HEADER_SIZE = _HEADER.size
pack_header = _HEADER.pack
unpack_header = _HEADER.unpack
DEFAULT_LIMIT = 1 << 28
CHUNK = 1 << 18  # one read asks for no more, so that a header that lies costs no memory


class IncomingFrame:
    """The message that is arriving: it keeps what came, so that whatever ends a wait, or a read, loses nothing.

    Attributes:
        unfed: what was read and is not yet part of the message. Whoever reads has the read itself put it there, in C,
            so that no signal handler can raise in between.
        partial: whether a part of a message has come, and was fed.
    """

    __slots__ = ("_header", "_length", "_parts", "_received", "partial", "unfed")

    def __init__(self) -> None:
        self.unfed: list[bytes] = []
        self.partial = False
        self._header = b""
        self._length = -1
        self._parts: list[bytes] = []
        self._received = 0

    @property
    def begun(self) -> bool:
        """Whether a part of a message is here."""
        return self.partial or any(self.unfed)

    @property
    def length(self) -> int:
        """The bytes of the message whose header is here; else below 0."""
        return self._length

    def wanted(self, limit: int) -> int:
        """How many bytes to read next.

        Raises:
            MessageTooLargeError: the header announces more than *limit* (EMSGSIZE); nothing is lost by asking again.
        """
        if self._length < 0:
            return HEADER_SIZE - len(self._header)
        if self._length > limit:
            raise too_large(self._length, limit, "receive")
        return min(self._length - self._received, CHUNK)

    def feed(self) -> bytes | None:
        """Take in the first piece of what was read; return the message once it is complete."""
        chunk = self.unfed[0]
        header, length, received = self._header, self._length, self._received
        parts: tuple[bytes, ...] = ()
        if length < 0:
            header += chunk
            if len(header) == HEADER_SIZE:
                length = unpack_header(header)[0]
        else:
            parts = (chunk,)
            received += len(chunk)
        message = b"".join((*self._parts, *parts)) if 0 <= length <= received else None
        # Nothing is called from here on: no signal handler can raise before all of it is noted.
        if message is None:
            self._parts += parts
        else:
            self._parts = []
            header, length, received = b"", -1, 0
        self._header, self._length, self._received = header, length, received
        self.partial = message is None
        del self.unfed[0]
        return message

    def __repr__(self) -> str:
        if self._length < 0:
            return f"{len(self._header)} of the {HEADER_SIZE} bytes of a header"
        return f"{self._received} of the {self._length} bytes of a message"


def too_large(length: int, limit: int, verb: str) -> MessageTooLargeError:
    """The exception for a message above *limit*."""
    remedy = f"it has {length} bytes, max_message_size is {limit}"
    error = syscall_error(errno.EMSGSIZE, verb, remedy=remedy)
    assert isinstance(error, MessageTooLargeError)
    return error


def at_least_one(size: int) -> None:
    """Refuse to read nothing, for the answer would look like the end of the stream.

    Raises:
        ValueError: *size* is below 1.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1 byte, not {size}")


def byte_view(data: Buffer) -> memoryview:
    """The bytes of any C-contiguous buffer.

    Raises:
        TypeError: *data* is no buffer, or not contiguous.
    """
    view = memoryview(data)
    # cast() refuses a shape with a zero in it
    return view.cast("B") if view.nbytes else memoryview(b"")


def bytes_out(outs: list[int]) -> int:
    """How many bytes writes took that returned these numbers; what is below 0 was no write."""
    return sum(out for out in outs if out > 0)


class Framing:
    """What a handle keeps between two calls about the messages that go through it.

    Attributes:
        receive: of a compiled lane, which keeps what is incoming; else None. So is `send`.
        outgoing: the message that is being sent, after a list of what each write took of it and its header. It is noted
            before the first of them, so that whatever ends a call in the middle, a later one goes on from there. In
            third place, what stands for the process whose thread is at it (`Handle._here`); None: no thread is.
    """

    __slots__ = ("incoming", "limit", "outgoing", "receive", "receiving", "send", "sending")

    def __init__(self, largest: int, reading: ReadingLane | None = None, writing: object = None) -> None:
        self.limit = min(DEFAULT_LIMIT, largest)
        self.incoming = IncomingFrame() if reading is None else reading
        self.receive = None if reading is None else reading.receive
        self.send: Callable[[list[int], object], int] | None = getattr(writing, "send", None)
        self.outgoing: tuple[list[int], bytes | memoryview, object] | None = None
        self.receiving = Turn()
        self.sending = Turn()

    @property
    def unsent(self) -> memoryview:
        """The rest of a message of which a part is out; nearly always there is none, b""."""
        outs, data, here = self.outgoing or ([], b"", None)
        out = bytes_out(outs)
        if not 0 < out < HEADER_SIZE + len(data) or here not in (None, FdHandle._here):  # else our parent goes on
            return memoryview(b"")
        at = out - HEADER_SIZE
        return memoryview(data)[at:] if at >= 0 else memoryview(pack_header(len(data))[at:] + data)


class Framed(FdHandle):
    """What both ends of a stream of framed messages have in common."""

    __slots__ = ()

    _largest: ClassVar[int] = (1 << 32) - 1  # what the header can say
    _framing: Framing

    @property
    def max_message_size(self) -> int:
        """The largest message that `send` and `receive` take, in bytes; 256 MiB unless set."""
        return self._framing.limit

    @max_message_size.setter
    def max_message_size(self, limit: int) -> None:
        if not 0 <= limit <= self._largest:
            raise ValueError(f"max_message_size must be from 0 to {self._largest} bytes, not {limit}")
        self._framing.limit = limit

    def _flush(self, deadline: Deadline | None) -> None:
        """Write the rest of a message that was begun, the turn being taken."""
        raise NotImplementedError

    def __reduce__(self) -> Any:
        self._check_open()
        if self._framing.incoming.begun:
            raise TypeError(f"cannot pickle {self!r} between the parts of a message: {self._framing.incoming!r}")
        if self._framing.unsent:
            raise TypeError(f"cannot pickle {self!r} with the rest of a message in it: flush() it first")
        return super().__reduce__()
