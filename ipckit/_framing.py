"""Whole messages on a byte stream: each one is its length, 4 bytes, most significant first, and then its bytes."""

from __future__ import annotations

import errno
from struct import Struct
from typing import TYPE_CHECKING, ClassVar

from ipckit._handle import FdHandle
from ipckit._turn import Turn
from ipckit.errors import MessageTooLargeError, syscall_error

if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Buffer

    from ipckit._wait import Deadline

_HEADER = Struct("!I")
HEADER_SIZE = _HEADER.size
pack_header = _HEADER.pack
unpack_header = _HEADER.unpack
DEFAULT_LIMIT = 1 << 28
CHUNK = 1 << 18  # one read asks for no more, so that a header that lies costs no memory


class IncomingFrame:
    """The message that is arriving: it keeps what came, so that a wait that gave up loses nothing."""

    __slots__ = ("_header", "_length", "_parts", "_received", "begun")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new message."""
        self.begun = False
        self._header = b""
        self._length = -1
        self._parts: list[bytes] = []
        self._received = 0

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

    def feed(self, chunk: bytes) -> bytes | None:
        """Add what was read; return the message once it is complete."""
        self.begun = True
        if self._length < 0:
            self._header += chunk
            if len(self._header) < HEADER_SIZE:
                return None
            self._length = unpack_header(self._header)[0]
        else:
            self._parts.append(chunk)
            self._received += len(chunk)
        if self._received < self._length:
            return None
        message = b"".join(self._parts)
        self.clear()
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


class Framing:
    """What a handle keeps between two calls about the messages that go through it."""

    __slots__ = ("incoming", "limit", "receiving", "sending", "unsent")

    def __init__(self, largest: int) -> None:
        self.limit = min(DEFAULT_LIMIT, largest)
        self.incoming = IncomingFrame()
        self.unsent = b""
        self.receiving = Turn()
        self.sending = Turn()


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
