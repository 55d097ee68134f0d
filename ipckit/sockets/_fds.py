"""File descriptors inside a message: SCM_RIGHTS of unix(7)."""

from __future__ import annotations

import errno
import os
import select
import socket
from array import array
from typing import TYPE_CHECKING, Final

from ipckit._framing import at_least_one, byte_view
from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit.errors import IPCError, syscall_error
from ipckit.sockets._base import NOW, SEND_NOW, UnixSocket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from typing_extensions import Buffer

    class HasFileno(Protocol):
        def fileno(self) -> int: ...


MOST_FDS: Final = 253
"""How many descriptors one message can carry (SCM_MAX_FD)."""

_INT = array("i").itemsize  # bytes of a descriptor in a control message
_UCRED = 12  # and of the credentials that SO_PASSCRED puts beside them
_LOST = socket.MSG_TRUNC | socket.MSG_CTRUNC


class PassesFds(UnixSocket):
    """A connected socket that carries descriptors."""

    __slots__ = ()

    def send_fds(self, data: Buffer, fds: Sequence[int | HasFileno], timeout: float | None = None) -> None:
        """Send *data* and, with it, duplicates of *fds* (descriptors, or objects that have a ``fileno``).

        The receiver gets them even if this process closes its own at once.

        Args:
            data: 1 or more bytes; a stream delivers no descriptors without a byte.
            fds: at most 253; none is allowed.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT); nothing was sent if its ``completed`` is 0.
            BrokenPeerError: nobody receives any more (EPIPE, ECONNRESET).
            MessageTooLargeError: *data* exceeds what a datagram can hold (EMSGSIZE).
            LimitError: too many descriptors are on their way (ETOOMANYREFS).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        self._send_once(byte_view(data), fds, deadline)

    def _send_once(self, view: memoryview, fds: Sequence[int | HasFileno], deadline: Deadline | None) -> int:
        """Send once, whole or (a stream) in part; return how many bytes went out, with all the descriptors."""
        if not view:
            raise ValueError("data must have at least 1 byte: the kernel delivers no descriptors without one")
        if len(fds) > MOST_FDS:
            raise ValueError(f"fds must have at most {MOST_FDS} (SCM_MAX_FD), not {len(fds)}: send them in parts")
        rights = array("i", [fd if isinstance(fd, int) else fd.fileno() for fd in fds])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []

        def attempt() -> int:
            return self._view.sendmsg([view], control, SEND_NOW)

        try:
            try:
                return attempt()
            except BlockingIOError:
                return retry(self, select.POLLOUT, deadline, attempt, "sendmsg")
        except IPCError:
            raise
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS and not self._closed:
                remedy = "descriptors in flight count against RLIMIT_NOFILE (ulimit -n); let the receiver catch up"
                raise syscall_error(errno.EMFILE, "sendmsg", repr(self), remedy=remedy) from None
            raise failure(self, error, "sendmsg") from None

    def receive_fds(
        self, size: int = 65536, max_fds: int = MOST_FDS, timeout: float | None = None
    ) -> tuple[bytes, list[int]]:
        """Receive data with the descriptors that came with it; these are close-on-exec, and the caller's to close.

        A stream gives at most *size* bytes and stops behind the bytes of one `send_fds`, but what was written just
        before may come along: agree on sizes. At the end of the stream or connection the data is b"".

        Args:
            size: bytes, 1 or more.
            max_fds: at most 253.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: nothing came (ETIMEDOUT).
            MessageTooLargeError: more came than *size* or *max_fds* allow, or than RLIMIT_NOFILE left room for; what
                did not fit is lost, and all the descriptors are closed again.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        at_least_one(size)
        if not 0 <= max_fds <= MOST_FDS:
            raise ValueError(f"max_fds must be from 0 to {MOST_FDS} (SCM_MAX_FD), not {max_fds}")
        room = socket.CMSG_SPACE(_INT * max_fds) + socket.CMSG_SPACE(_UCRED)

        def attempt() -> Any:
            return self._view.recvmsg(size, room, NOW | socket.MSG_CMSG_CLOEXEC)

        try:
            try:
                data, control, flags, _ = attempt()
            except BlockingIOError:
                data, control, flags, _ = retry(self, select.POLLIN, deadline, attempt, "recvmsg")
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "recvmsg") from None
        fds = _descriptors(control)
        if flags & _LOST or len(fds) > max_fds:
            for fd in fds:
                os.close(fd)
            remedy = f"more came than size={size} and max_fds={max_fds} allow, or than RLIMIT_NOFILE has room for"
            raise syscall_error(errno.EMSGSIZE, "recvmsg", repr(self), remedy=remedy)
        return data, fds


def _descriptors(control: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, kind, rights in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    return fds.tolist()
