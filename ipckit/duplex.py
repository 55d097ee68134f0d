"""Full-duplex pipes, the STREAMS pipes of other systems: socketpair(2), unix(7)."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Literal, overload

from ipckit.errors import syscall_error
from ipckit.sockets.unix import SeqPacket, Stream

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DuplexMessages", "DuplexPipe", "DuplexStream"]


class DuplexStream(Stream):
    """An end of a full-duplex pipe that carries bytes, with the verbs of both ends of a `Pipe`.

    It is a `Stream`, whose promises hold: order, threads, fork(2), no SIGPIPE. `shutdown` ends the stream to the
    other side and leaves the way back open.
    """

    __slots__ = ()

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a connected Unix stream socket, as a parent or `receive_fds` gave it.

        Raises:
            ValueError: *fd* is something else; it stays open.
        """
        return cls.from_socket(_adopted(fd, cls._kind))

    def blocking_descriptor(self) -> int:
        """A new descriptor of this end for a program that expects a blocking one, such as a child's stdin and stdout.

        It is close-on-exec, and the caller's to close: ``subprocess.Popen(..., stdin=descriptor, stdout=descriptor)``.

        Raises:
            BusyError: `settimeout` or `setblocking` made the socket non-blocking, for all who share it (EBUSY).
        """
        return _duplicate(self)


class DuplexMessages(SeqPacket):
    """An end of a full-duplex pipe that carries messages, each in one piece.

    It is a `SeqPacket`, whose promises hold: order, sizes, threads, fork(2), no SIGPIPE. `shutdown` ends the messages
    to the other side and leaves the way back open. An empty message is one, but as the last one before the end it is
    taken for the end.
    """

    __slots__ = ()

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a connected Unix sequenced-packet socket; as `DuplexStream.from_fd`."""
        return cls.from_socket(_adopted(fd, cls._kind))

    def blocking_descriptor(self) -> int:
        """A new descriptor of this end, in blocking mode; as `DuplexStream.blocking_descriptor`."""
        return _duplicate(self)


class DuplexPipe:
    """A pipe with two equal ends: what is written at the one is read at the other, in both directions at once.

    Each direction is first in, first out, and has its own end, its own buffer and its own back-pressure. Where both
    sides write at length before either reads, both wait for ever: read in between, or give timeouts. Both ends travel
    to children as arguments of multiprocessing.Process, and through `send_fds`; threads may share an end, and after
    fork(2) both processes have the same. A direction ends when every copy of its writing end is closed.

    >>> one, other = DuplexPipe.create()
    >>> with one, other:
    ...     one.send(b"question")
    ...     other.receive(timeout=1)
    ...     other.send(b"answer")
    ...     one.receive(timeout=1)
    b'question'
    b'answer'

    With message boundaries, which the kernel keeps:

    >>> one, other = DuplexPipe.create(messages=True)
    >>> with one, other:
    ...     one.send(b"")
    ...     one.send(b"second")
    ...     one.shutdown()
    ...     list(other)
    [b'', b'second']
    """

    __slots__ = ()

    @overload
    @staticmethod
    def create(*, messages: Literal[False] = False) -> tuple[DuplexStream, DuplexStream]: ...

    @overload
    @staticmethod
    def create(*, messages: Literal[True]) -> tuple[DuplexMessages, DuplexMessages]: ...

    @overload
    @staticmethod
    def create(*, messages: bool) -> tuple[DuplexStream, DuplexStream] | tuple[DuplexMessages, DuplexMessages]: ...

    @staticmethod
    def create(*, messages: bool = False) -> tuple[DuplexStream, DuplexStream] | tuple[DuplexMessages, DuplexMessages]:
        """Make a full-duplex pipe; return its two ends.

        Args:
            messages: the kernel keeps the boundaries of messages (SOCK_SEQPACKET), and a message is somewhat smaller
                than SO_SNDBUF. Else it carries bytes (SOCK_STREAM), and messages of any size with their length
                before them.

        Raises:
            LimitError: too many descriptors (EMFILE, ENFILE).
        """
        return DuplexMessages.pair() if messages else DuplexStream.pair()


def _adopted(fd: int, kind: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        if error.errno == errno.ENOTSOCK:
            raise ValueError(f"fd must be a Unix socket, and descriptor {fd} is no socket") from None
        raise syscall_error(error.errno or errno.EIO, "getsockopt", f"fd {fd}") from None
    if sock.family != socket.AF_UNIX or sock.type != kind:
        sock.detach()
        raise ValueError(f"fd must be AF_UNIX and {socket.SocketKind(kind).name}, and descriptor {fd} is not")
    return sock


def _duplicate(end: DuplexStream | DuplexMessages) -> int:
    if not os.get_blocking(end.fileno()):
        # A socket cannot be opened once more as a pipe can: the mode belongs to all who share it.
        raise syscall_error(errno.EBUSY, "dup", repr(end), remedy="its socket is non-blocking: settimeout(None) first")
    try:
        return os.dup(end.fileno())
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "dup", repr(end)) from None
