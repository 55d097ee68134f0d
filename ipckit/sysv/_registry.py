"""Which name a System V key was hashed from: the kernel keeps no names, so a file in /dev/shm does.

An entry is the file ``/dev/shm/ipckit-sysv.NAMESPACE.KIND.KEY.UID``; it holds the name, NUL, and the number of the
object once that is made. NAMESPACE is the inode of the IPC namespace, for keys mean something else in another one.
UID is the object's creator, whom the kernel remembers: whoever asks finds the entry by the object, and no entry of one
user can stand in the way of another's.

An entry is published whole, without a number, before its object is made. It changes under an flock(2) of the file,
which dies with its holder, and only while no object has the key. So whatever a killed process leaves is taken over by
the next one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ipckit._retry import pause
from ipckit._shmfile import DIRECTORY, publish
from ipckit._wait import Deadline
from ipckit.errors import AlreadyExistsError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST = 512  # bytes: a name of 255, NUL, a number
_PATIENCE = 5.0  # seconds; the lock is held for some microseconds, unless its holder was stopped


class Entry(NamedTuple):
    """What an entry says; the number is None until the object is made, or if its maker died just then."""

    name: str
    number: int | None


class Registry:
    """The entries of one kind of object: "msg", "sem" or "shm"."""

    def __init__(self, kind: str, find: Callable[[int], int]) -> None:
        """Keep entries of *kind*.

        Args:
            find: the number of the object that has a key now, or ``-errno``; asks for no right to it.
        """
        self._kind = kind
        self._find = find

    def lookup(self, key: int, creator_uid: int) -> Entry | None:
        """The entry for the object on *key* that this user created; None if it was not made by name."""
        return lookup(self._kind, key, creator_uid)

    def make(self, name: str, key: int, make: Callable[[], int]) -> int:
        """Create an object on *key* by *make*, and note that it belongs to *name*.

        Returns:
            Its number, or the ``-errno`` of *make*; -EEXIST if the key is taken, by whomever.
        """
        with self._claimed(name, key) as fd:
            if fd is None:
                return -errno.EEXIST
            number = make()
            if number < 0:
                os.unlink(self._path(key, os.geteuid()))
            else:
                os.pwrite(fd, b"%d" % number, os.fstat(fd).st_size)
            return number

    def forget(self, key: int, creator_uid: int, number: int) -> None:
        """Remove the entry of an object that was removed; one that belongs to the next object on *key* stays."""
        path = self._path(key, creator_uid)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            with _locked(fd, path) as current:
                if current and _read(fd).number in (number, None) and self._find(key) < 0:
                    os.unlink(path)
        except OSError:  # another user's, or its lock is held too long: it is known for stale all the same
            pass
        finally:
            os.close(fd)

    def _path(self, key: int, uid: int) -> str:
        return _path(self._kind, key, uid)

    @contextmanager
    def _claimed(self, name: str, key: int) -> Iterator[int | None]:
        """Our entry for *key*, locked, saying *name* and no number; None if the key has an object."""
        path = self._path(key, os.geteuid())
        while True:
            if self._find(key) >= 0:
                yield None
                return
            fd = _opened(path, name)
            try:
                with _locked(fd, path) as current:
                    if not current:
                        continue
                    if self._find(key) >= 0:
                        if _read(fd) == (name, None):  # ours, made for nothing, or that of a maker who died
                            os.unlink(path)
                        yield None
                        return
                    if _read(fd).name != name:  # of an object that is gone, and whose name has the same key
                        os.unlink(path)
                        continue
                    os.ftruncate(fd, len(os.fsencode(name)) + 1)
                    yield fd
                    return
            finally:
                os.close(fd)


def lookup(kind: str, key: int, creator_uid: int) -> Entry | None:
    """The entry for the object of that *kind* on *key* that this user created; None if it was not made by name."""
    try:
        fd = os.open(_path(kind, key, creator_uid), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return _read(fd) if os.fstat(fd).st_uid == creator_uid else None
    finally:
        os.close(fd)


def _path(kind: str, key: int, uid: int) -> str:
    try:
        namespace = os.stat("/proc/self/ns/ipc").st_ino
    except OSError:
        namespace = 0
    return f"{DIRECTORY}/ipckit-sysv.{namespace}.{kind}.{key:08x}.{uid}"


def _opened(path: str, name: str) -> int:
    """The entry's descriptor; the entry is published if it is not there."""
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise syscall_error(error.errno or 0, "open", path) from None
        else:
            if os.fstat(fd).st_uid == os.geteuid():
                return fd
            os.close(fd)
            raise syscall_error(errno.EACCES, "open", path, remedy="another user has put this file in our place")
        try:
            return publish(path, 0o644, lambda fd: _write(fd, name), name)
        except AlreadyExistsError:
            pass


def _write(fd: int, name: str) -> None:
    os.write(fd, os.fsencode(name) + b"\0")


def _read(fd: int) -> Entry:
    name, _, number = os.pread(fd, _LONGEST, 0).partition(b"\0")
    return Entry(os.fsdecode(name), int(number) if number.isdigit() else None)


@contextmanager
def _locked(fd: int, path: str) -> Iterator[bool]:
    """Hold the file's lock; yields whether the file still has its name."""
    deadline = Deadline(time.monotonic_ns() + int(_PATIENCE * 1e9))
    turn = 0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not pause(deadline, turn):
                remedy = "another process is in the middle of creating it"
                raise syscall_error(errno.EBUSY, "flock", path, remedy=remedy) from None
            turn += 1
        except OSError as error:
            raise syscall_error(error.errno or 0, "flock", path) from None
        else:
            break
    try:
        try:
            current = os.path.samestat(os.stat(path), os.fstat(fd))
        except FileNotFoundError:
            current = False
        yield current
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # close(2) would not, if another thread forked meanwhile
