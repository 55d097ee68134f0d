"""What Unix sockets carry beside the data: descriptors and credentials: SCM_RIGHTS, SCM_CREDENTIALS of unix(7)."""

from __future__ import annotations

import errno
import os
import select
import socket
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipckit._framing import at_least_one, byte_view
from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit.errors import IPCError, SyscallError, syscall_error
from ipckit.sockets._base import NOW, SEND_NOW
from ipckit.sockets._unix import UCRED, Credentials, UnixSocket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from typing_extensions import Buffer, Self

    class HasFileno(Protocol):
        def fileno(self) -> int: ...


MOST_FDS: Final = 253
"""How many descriptors one message can carry (SCM_MAX_FD)."""

_SO_PASSRIGHTS = 83  # asm-generic/socket.h; the socket module does not have it
_INT = array("i").itemsize  # bytes of a descriptor in a control message
_LOST = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_TAKE = NOW | int(socket.MSG_CMSG_CLOEXEC)
_UNKNOWN = Credentials(0, 65534, 65534)
_CREDENTIALS_ROOM = socket.CMSG_SPACE(UCRED.size)


class WithCredentials(NamedTuple):
    """A message, who sent it, and the address to answer to: as `Received.address`; None on a connection."""

    data: bytes
    credentials: Credentials
    address: str | bytes | None


class _Arrived(NamedTuple):
    data: bytes
    fds: list[int]
    credentials: Credentials | None
    address: Any


class AncillarySocket(UnixSocket):
    """A socket for messages that carry descriptors and credentials."""

    __slots__ = ()

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Two connected sockets: socketpair(2)."""
        try:
            one, other = socket.socketpair(socket.AF_UNIX, cls._kind)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "socketpair") from None
        one.settimeout(None)  # whatever socket.setdefaulttimeout says
        other.settimeout(None)
        return cls(one), cls(other)

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
        view = _at_least_a_byte(data)
        if len(fds) > MOST_FDS:
            raise ValueError(f"fds must have at most {MOST_FDS} (SCM_MAX_FD), not {len(fds)}: send them in parts")
        for fd in fds:
            if not isinstance(fd, int) and not hasattr(fd, "fileno"):
                raise TypeError(f"fds must be descriptors, or objects that have one, not {fd!r}")
        rights = array("i", [fd if isinstance(fd, int) else fd.fileno() for fd in fds])
        self._send_beside(view, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else [], deadline)

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
        arrived = self._receive_beside(size, max_fds, deadline)
        return arrived.data, arrived.fds

    @property
    def pass_rights(self) -> bool:
        """Whether messages that are sent to this socket may carry descriptors (SO_PASSRIGHTS); True at first.

        What takes data alone, such as `receive`, has the kernel close descriptors that come along. Where that is all
        that the program calls, False tells those who send some: they get AccessError (EPERM).
        """
        try:
            return bool(self._get_option(socket.SOL_SOCKET, _SO_PASSRIGHTS, "getsockopt(SO_PASSRIGHTS)"))
        except SyscallError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            return True

    @pass_rights.setter
    def pass_rights(self, value: bool) -> None:
        call = "setsockopt(SO_PASSRIGHTS)"
        try:
            self._set_option(socket.SOL_SOCKET, _SO_PASSRIGHTS, int(value), call)
        except SyscallError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            if not value:
                remedy = "it needs Linux 6.16"
                raise syscall_error(errno.EOPNOTSUPP, call, repr(self), remedy=remedy) from None

    @property
    def pass_credentials(self) -> bool:
        """Whether messages that are sent to this socket from now on carry their sender's credentials (SO_PASSCRED)."""
        return bool(self._get_option(socket.SOL_SOCKET, socket.SO_PASSCRED, "getsockopt(SO_PASSCRED)"))

    @pass_credentials.setter
    def pass_credentials(self, value: bool) -> None:
        self._set_option(socket.SOL_SOCKET, socket.SO_PASSCRED, int(value), "setsockopt(SO_PASSCRED)")

    def send_with_credentials(
        self, data: Buffer, credentials: Credentials | None = None, timeout: float | None = None
    ) -> None:
        """Send *data* with credentials that the kernel checks: SCM_CREDENTIALS of unix(7).

        A receiver that has not set `pass_credentials` does not see them; one that has sees those of this process with
        every other message, too.

        Args:
            data: 1 or more bytes.
            credentials: the own process, and one of its real, effective or saved users and groups; None: the
                effective ones. With CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID any that exist.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            AccessError: *credentials* are somebody else's (EPERM).
            TimeoutExpired, BrokenPeerError, MessageTooLargeError: as `send_fds`.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        view = _at_least_a_byte(data)
        claimed = UCRED.pack(*(credentials or (os.getpid(), os.geteuid(), os.getegid())))
        self._send_beside(view, [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, claimed)], deadline)

    def receive_with_credentials(self, size: int = 65536, timeout: float | None = None) -> WithCredentials:
        """Receive data with the credentials of the process that sent it, each message its own: SCM_CREDENTIALS.

        The kernel vouches for them, unlike for anything that a message says. A stream gives at most *size* bytes, all
        of one sender. What was sent before `pass_credentials` was set has pid 0 and the overflow user, 65534, as has a
        sender that this pid or user namespace does not know. At the end of a stream or connection the data is b"".

        Args:
            size: bytes, 1 or more.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            ValueError: `pass_credentials` is not set.
            TimeoutExpired: nothing came (ETIMEDOUT).
            MessageTooLargeError: more came than *size* allows, or descriptors; it is lost, and they are closed.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        at_least_one(size)
        if not self.pass_credentials:
            raise ValueError("pass_credentials must be set to True before messages are sent that are to carry them")
        arrived = self._receive_beside(size, 0, deadline)
        credentials = arrived.credentials
        if credentials is None or not (arrived.data or credentials.pid):
            credentials = _UNKNOWN  # at the end the kernel says user 0, and nobody sent that
        return WithCredentials(arrived.data, credentials, arrived.address or None)

    def _send_beside(self, view: memoryview, control: list[tuple[int, int, Any]], deadline: Deadline | None) -> None:
        """Send *view* whole, with *control*."""
        self._send_once(view, control, deadline)

    def _send_once(self, view: memoryview, control: list[tuple[int, int, Any]], deadline: Deadline | None) -> int:
        """Send once, whole or (a stream) in part; return how many bytes went out, with all of *control*."""
        attempt = partial(self._view.sendmsg, [view], control, SEND_NOW)
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

    def _receive_beside(self, size: int, max_fds: int, deadline: Deadline | None) -> _Arrived:
        room = socket.CMSG_SPACE(_INT * max_fds) + _CREDENTIALS_ROOM
        attempt = partial(self._view.recvmsg, size, room, _TAKE)
        try:
            try:
                data, control, flags, address = attempt()
            except BlockingIOError:
                data, control, flags, address = retry(self, select.POLLIN, deadline, attempt, "recvmsg")
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "recvmsg") from None
        fds, credentials = _sorted(control)
        if flags & _LOST or len(fds) > max_fds:
            for fd in fds:
                os.close(fd)
            remedy = f"more came than size={size} and max_fds={max_fds} allow, or than RLIMIT_NOFILE has room for"
            raise syscall_error(errno.EMSGSIZE, "recvmsg", repr(self), remedy=remedy)
        return _Arrived(data, fds, credentials, address)


def _at_least_a_byte(data: Buffer) -> memoryview:
    view = byte_view(data)
    if not view:
        raise ValueError("data must have at least 1 byte: the kernel delivers nothing beside an empty message")
    return view


def _sorted(control: list[tuple[int, int, bytes]]) -> tuple[list[int], Credentials | None]:
    fds = array("i")
    credentials = None
    for level, kind, content in control:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        elif kind == socket.SCM_CREDENTIALS:
            credentials = Credentials(*UCRED.unpack_from(content))
    return fds.tolist(), credentials
