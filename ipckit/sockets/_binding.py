"""A socket's name in the file system: made exclusively, a dead one replaced, only one's own removed: unix(7).

A server that was killed leaves its socket file. Whether one is dead, a datagram socket's connect(2) tells without
disturbing anybody: ECONNREFUSED if no socket is bound to the file, EPROTOTYPE if one of another type is, even one
that does not listen yet. Servers that replace a dead file take turns by a lock file beside it, so that none can
remove what another has just made; programs that know nothing of the lock are asked once more, under a second name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ipckit._names import absolute, check_mode
from ipckit._retry import pause
from ipckit._socket_file import probe
from ipckit._wait import Deadline
from ipckit.errors import SyscallError, syscall_error
from ipckit.sockets._address import is_path, kernel_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from ipckit.sockets._address import Address

_LOCK_SECONDS = 10.0  # whoever has the lock needs it for some microseconds
_LOCK_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO there holds up nobody


class Binding(NamedTuple):
    """The file that this process's socket made."""

    path: bytes
    device: int
    inode: int
    maker: int

    def unlink(self) -> None:
        """Remove the file if it is still this one and this process made it."""
        if self.maker != os.getpid():
            return
        try:
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "unlink", os.fsdecode(self.path)) from None


def bind(sock: socket.socket, address: Address | None, mode: int) -> Binding | None:
    """Bind *sock* to a path with the permission bits *mode*, to an abstract name, or to one that the kernel chooses.

    Returns:
        What unlinks the path; None for a name that goes by itself.
    """
    check_mode(mode)
    raw = b"" if address is None else kernel_address(address)
    if raw and is_path(raw):
        return bind_path(sock, raw, mode)
    bind_abstract(sock, raw)
    return None


def bind_path(sock: socket.socket, path: bytes, mode: int) -> Binding:
    """Bind *sock* to *path*, with exactly the permission bits *mode*, in the place of a dead socket if there is one.

    Raises:
        AlreadyExistsError: the path is a live socket's, or no socket's (EADDRINUSE).
    """
    given, path = path, absolute(path)
    # bind(2) gives the file the mode of the socket itself, less the umask: nobody else gets in before the chmod.
    os.fchmod(sock.fileno(), mode)
    with _locked(path + b".lock"):
        while True:
            if _bound(sock, given):
                break
            _remove_dead(path)
        made = os.lstat(path)
        if stat.S_IMODE(made.st_mode) != mode:
            os.chmod(path, mode)
        return Binding(path, made.st_dev, made.st_ino, os.getpid())


def bind_abstract(sock: socket.socket, raw: bytes) -> None:
    """Bind *sock* to an abstract name; b"" lets the kernel choose one (autobind).

    Raises:
        AlreadyExistsError: the name is taken (EADDRINUSE).
    """
    try:
        sock.bind(raw)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "bind", os.fsdecode(raw)) from None


def _bound(sock: socket.socket, path: bytes) -> bool:
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise syscall_error(error.errno or errno.EIO, "bind", os.fsdecode(path)) from None
        return False
    return True


def _remove_dead(path: bytes) -> None:
    if not _is_dead(path):
        return
    grave = os.path.join(os.path.dirname(path), f".ipckit-{os.urandom(8).hex()}".encode())
    try:
        os.rename(path, grave)
    except FileNotFoundError:
        return
    # A program that takes no lock may have replaced the file since we looked.
    try:
        dead = _is_dead(grave)
    except SyscallError:
        try:
            os.link(grave, path)
        except FileExistsError:
            pass  # and it was replaced once more
        os.unlink(grave)
        raise
    if dead:
        os.unlink(grave)


def _is_dead(path: bytes) -> bool:
    """Whether *path* is a socket file that no socket is bound to; False if there is nothing."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            remedy = "something that is no socket is there"
            raise syscall_error(errno.EADDRINUSE, "bind", os.fsdecode(path), remedy=remedy)
    except FileNotFoundError:
        return False
    try:
        number = probe(path)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "connect", os.fsdecode(path)) from None
    if number == errno.ENOENT:
        return False
    if number == errno.ECONNREFUSED:
        return True
    remedy = "a live socket has it" if number in {0, errno.EPROTOTYPE} else "its permissions hide whether it is alive"
    raise syscall_error(errno.EADDRINUSE, "bind", os.fsdecode(path), remedy=remedy)


@contextmanager
def _locked(path: bytes) -> Iterator[None]:
    """Hold the lock file *path*; a process that is killed meanwhile leaves a file, and it is not locked."""
    deadline = Deadline.after(_LOCK_SECONDS)
    turn = 0
    while (fd := _lock(path)) is None:
        if not pause(deadline, turn):
            remedy = "another process binds here, or keeps the lock file"
            raise syscall_error(errno.EBUSY, "flock", os.fsdecode(path), remedy=remedy)
        turn += 1
    try:
        yield
    finally:
        try:
            os.unlink(path)
        except OSError:
            pass  # in a sticky directory it is another user's; to leave it harms nobody
        os.close(fd)


def _lock(path: bytes) -> int | None:
    try:
        try:
            # fs.protected_regular(5) forbids O_CREAT on another user's file in a sticky directory
            fd = os.open(path, _LOCK_FLAGS)
        except FileNotFoundError:
            fd = os.open(path, _LOCK_FLAGS | os.O_CREAT, 0o644)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "open", os.fsdecode(path)) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours, named = os.fstat(fd), os.lstat(path)
        if (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
