"""The two sides of a transfer inside the kernel, and what must agree before bytes pass by Python: splice(2)."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import select
import stat
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

from ipckit._framing import Framed
from ipckit._handle import Handle
from ipckit._pipe_end import PipeEnd
from ipckit._stream_reading import ByteReading
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    from ipckit._turn import Turn
    from ipckit._wait import Deadline

    class HasFileno(Protocol):
        def fileno(self) -> int: ...


_SIOCATMARK = 0x8905  # asm-generic/sockios.h; the socket module does not have it
_PIECE = 1 << 20  # bytes of one system call, so that a close or a Ctrl-C is seen between two of them
_SAFE_PIECE = 16384  # bytes; the piece for a blocking socket whose buffer nobody tells


class Side:
    """One side of a transfer: a handle of ours, a file object, a socket, or a bare descriptor."""

    __slots__ = (
        "_file",
        "_framed",
        "_is_socket",
        "asks",
        "fd",
        "handle",
        "hides_its_end",
        "is_pipe",
        "packet",
        "waits",
    )

    name: ClassVar[str]
    event: ClassVar[int]

    def __init__(self, thing: object) -> None:
        self._file: io.IOBase | None = None
        self._framed: Framed | None = None
        self.handle: Handle | None = None
        self.hides_its_end = isinstance(thing, ByteReading) and not thing._poll_tells_all()
        if isinstance(thing, Handle):
            self.handle = thing
            self._framed = thing if isinstance(thing, Framed) else None
        elif isinstance(thing, io.TextIOBase):
            raise TypeError(f"{self.name} must be a binary file, not one of text: {thing!r}")
        elif isinstance(thing, io.IOBase):
            self._file = thing
        self.fd = _descriptor(thing, self.name)
        if isinstance(thing, PipeEnd):
            self.is_pipe, self.packet, self.waits, self.asks = True, thing.packet, True, False
            self._is_socket = False
            return
        try:
            mode = os.fstat(self.fd).st_mode
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "fstat", self.subject) from None
        self.is_pipe = stat.S_ISFIFO(mode)
        self._is_socket = stat.S_ISSOCK(mode)
        self.packet = self.is_pipe and fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_DIRECT != 0
        self.waits = not (stat.S_ISREG(mode) or stat.S_ISBLK(mode))
        # The calls are told not to wait for pipes. A socket in blocking mode must be asked before each of them.
        self.asks = (self._is_socket or os.isatty(self.fd)) and os.get_blocking(self.fd)

    @property
    def subject(self) -> str:
        """What an error says of it."""
        return f"fd {self.fd}" if self.handle is None else repr(self.handle)

    def in_use(self) -> AbstractContextManager[None]:
        """For a ``with`` block: keep the descriptor, if it is a handle's, until the block ends."""
        return nullcontext() if self.handle is None else self.handle._in_use()

    @property
    def turn(self) -> Turn | None:
        """What keeps others from getting between the parts of a message; None where there are none."""
        return None if self._framed is None else self._turn(self._framed)

    def _turn(self, framed: Framed) -> Turn:
        raise NotImplementedError

    def prepare(self, deadline: Deadline | None, verb: str) -> None:
        """Make messages and buffers agree with the descriptor."""
        raise NotImplementedError

    def restore(self) -> None:
        """Make a file object agree with what was done."""


class Source(Side):
    """Where the data comes from.

    Attributes:
        offset: where to read in a file; None for the descriptor's own position.
    """

    __slots__ = ("_positioned", "offset")

    name = "source"
    event = select.POLLIN

    def __init__(self, thing: object, offset: int | None = None) -> None:
        super().__init__(thing)
        self.offset = offset
        self._positioned = False

    def restore(self) -> None:
        """Have a file object go on behind what was read, unless another thread has closed it."""
        if self._positioned and self._file is not None and not self._file.closed:
            self._file.seek(self.offset or 0)

    def is_at_mark(self) -> bool:
        """Whether the next byte of a TCP stream is one that came as urgent: sockatmark(3).

        There splice(2) stops, and says 0 as at the end, or that it would have to wait.
        """
        if not self._is_socket:
            return False
        try:
            return any(fcntl.ioctl(self.fd, _SIOCATMARK, bytes(4)))
        except OSError:  # a socket of another kind
            return False

    def pass_mark(self, pipe: int) -> int:
        """Put the byte at the mark into *pipe*; 0 if there is none.

        Raises:
            BlockingIOError: there is no room for it.
        """
        import socket

        # Its kind is said, and the mode with it, so that neither is asked for or changed.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0, fileno=self.fd)
        try:
            byte = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if byte:
                os.write(pipe, byte)
                sock.recv(1, socket.MSG_DONTWAIT)
        finally:
            sock.detach()
        return len(byte)

    def _turn(self, framed: Framed) -> Turn:
        return framed._framing.receiving

    def prepare(self, deadline: Deadline | None, verb: str) -> None:
        del deadline
        if self._framed is not None and self._framed._framing.incoming.begun:
            remedy = f"it is between the parts of a message ({self._framed._framing.incoming!r}): receive() that first"
            raise syscall_error(errno.EBUSY, verb, self.subject, remedy=remedy)
        if self._file is not None and not self.waits:
            self._file.flush()
            if self.offset is None:
                # What a file object has read ahead is not consumed: its own position counts, not the descriptor's.
                self.offset = self._file.tell()
                self._positioned = True


class Target(Side):
    """Where the data goes.

    Attributes:
        piece: how many bytes one call moves at most.
    """

    __slots__ = ("piece",)

    name = "target"
    event = select.POLLOUT

    def __init__(self, thing: object) -> None:
        super().__init__(thing)
        self.piece = _room(thing) if self.asks else _PIECE

    def _turn(self, framed: Framed) -> Turn:
        return framed._framing.sending

    def prepare(self, deadline: Deadline | None, verb: str) -> None:
        del verb
        if self._framed is not None and self._framed._framing.unsent:
            self._framed._flush(deadline)
        elif self._file is not None:
            self._file.flush()


def _descriptor(thing: object, name: str) -> int:
    if isinstance(thing, int) and not isinstance(thing, bool):
        return thing
    fileno = getattr(thing, "fileno", None)
    if fileno is None:
        raise TypeError(f"{name} must be a descriptor, or have a fileno, and {type(thing).__name__} has none")
    fd: int = fileno()
    return fd


def _room(thing: object) -> int:
    """What a blocking socket that poll(2) calls writable takes without waiting: a quarter of its buffer."""
    genuine = getattr(thing, "socket", thing)
    if not hasattr(genuine, "getsockopt"):
        return _SAFE_PIECE
    import socket

    size: int = genuine.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    return max(1, min(size // 4, _PIECE))
