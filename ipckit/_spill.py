"""Messages too long for a ring, each in a file of its own beside that of the ring: open(2), linkat(2), unlink(2)."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._names import NAME_MAX
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit._segment import segment_path
from ipckit._shmfile import DIRECTORY, publish
from ipckit.errors import LayoutError, check, remedies, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

_RECORD = struct.Struct("=QQQ")
RECORD_SIZE = _RECORD.size
"""Bytes of what a ring holds of a message in a file."""

_SUFFIX = len(".") + 3 * 16
ANONYMOUS = f"{DIRECTORY}/ipckit.queue"
"""What the files of a ring without a name are called after, where it has any."""


class Spilled(NamedTuple):
    """Which file of the ring: its place in the stream, and a number that no other file has."""

    position: int
    nonce: int


def announce(key: Spilled, size: int) -> bytes:
    """What a ring is to hold of a message of *size* bytes in that file."""
    return _RECORD.pack(*key, size)


def announced(content: bytes) -> tuple[Spilled, int]:
    """The file that a record tells of, and the bytes in it.

    Raises:
        LayoutError: it tells of none.
    """
    try:
        position, nonce, size = _RECORD.unpack(content)
    except struct.error:
        raise LayoutError("the content of the ring is corrupt: a record tells of no file") from None
    return Spilled(position, nonce), size


class SpillFiles:
    """The files of one ring: ``<file of the ring>.<id><position><nonce>``, digits hexadecimal.

    A file is complete when it has its name. Who sends makes it, before what tells of it goes into the ring. It is
    removed when that has left the ring: by who received it, or where all receive it, by who sends next. So a file
    without a place in the ring is one whose maker, or receiver, died between the two: `sweep`.
    """

    __slots__ = ("_id", "_mode", "_path")

    def __init__(self, path: str | None, fd: int, identity: int) -> None:
        """Files beside that of the ring, which is at *path* and behind *fd*; *identity* is the ring's, 64 bits.

        Args:
            path: None for a handle of a descriptor; then it is looked for.

        Raises:
            NotFoundError: it has lost its name, and so nobody could find the files (ENOENT).
        """
        self._path = path or _path_of(fd)
        self._mode = stat.S_IMODE(os.fstat(fd).st_mode)
        self._id = f"{identity:016x}"

    @classmethod
    def beside(cls, fd: int, name: str) -> SpillFiles:
        """Those of the ring behind *fd*, which has that name in its handle; "": none, or it came as a descriptor."""
        info = ffi.new("struct ipk_segment_info *")
        check(quick.ipk_segment_inspect(fd, info), "ipk_segment_inspect", name or fd)
        path = segment_path(name) if name else None
        if not path and os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
            path = ANONYMOUS
        return cls(path, fd, info.id[0])

    @staticmethod
    def longest_name() -> int:
        """How many bytes the name of the file of a ring may have, to leave room for those of its messages."""
        return NAME_MAX - _SUFFIX

    def write(self, data: Any, position: int) -> Spilled:
        """Make the file of the message *data*, a memoryview of bytes.

        Raises:
            LimitError: there is no memory for it (ENOSPC); nothing is left.
        """
        key = Spilled(position, int.from_bytes(os.urandom(8), "little"))
        os.close(publish(self._file(key), self._mode, lambda fd: self._fill(fd, data), self._path))
        return key

    def read(self, key: Spilled, size: int) -> bytes:
        """The message of *size* bytes.

        Raises:
            NotFoundError: its file is gone (ENOENT).
            LayoutError: it is not what was announced.
        """
        try:
            fd = os.open(self._file(key), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise syscall_error(error.errno or 0, "open", self._file(key)) from None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                raise LayoutError(f"{self._file(key)!r} is not the message of {size} bytes that was announced")
            return self._read(fd, size)
        finally:
            os.close(fd)

    def remove(self, key: Spilled) -> None:
        """Remove the file, if it is there."""
        try:
            os.unlink(self._file(key))
        except FileNotFoundError:
            pass

    def sweep(self, is_stale: Callable[[], Callable[[Spilled], bool]]) -> None:
        """Remove the files that nothing in the ring tells of.

        Args:
            is_stale: called when it is known which files there are, and not earlier; returns what tells of each.
        """
        directory, beginning = f"{self._path}.{self._id}".rsplit("/", 1)
        length = len(os.path.basename(self._path)) + _SUFFIX
        try:
            found = os.listdir(directory)
        except OSError:  # there is no such folder, or no descriptor for it: what may be in it waits for the next sweep
            return
        names = [name for name in found if len(name) == length and name.startswith(beginning)]
        if not names:
            return
        stale = is_stale()
        for name in names:
            digits = name[len(beginning) :]
            try:
                key = Spilled(int(digits[:16], 16), int(digits[16:], 16))
            except ValueError:
                continue
            if stale(key):
                try:
                    self.remove(key)
                except PermissionError:  # in a directory with the sticky bit, another user's file
                    continue

    def _file(self, key: Spilled) -> str:
        return f"{self._path}.{self._id}{key.position:016x}{key.nonce:016x}"

    def _fill(self, fd: int, data: Any) -> None:
        done = 0
        while done < len(data):
            try:
                done += os.write(fd, data[done:])
            except OSError as error:
                number = error.errno or 0
                remedy = remedies(number).get("posix_fallocate")  # the same file system is full
                raise syscall_error(number, "write", self._path, remedy=remedy) from None

    def _read(self, fd: int, size: int) -> bytes:
        message = os.read(fd, size)
        while len(message) < size:  # 2 GiB at a time
            more = os.read(fd, size - len(message))
            if not more:
                raise LayoutError(f"a file of {self._path!r} was cut short")
            message += more
        return message


def check_room_for_files(name: str | None) -> None:
    """Refuse the name of a ring that is to have files."""
    if name is None:
        raise ValueError("oversize='file' needs a ring with a name: others find the files of an anonymous one nowhere")
    longest = SpillFiles.longest_name()
    if len(os.path.basename(segment_path(name))) > longest:
        raise ValueError(
            f"name must have at most {longest - len('ipckit.')} bytes after its slash where oversize='file': "
            "the names of the files begin with it"
        )


def _path_of(fd: int) -> str:
    """The name in /dev/shm of the file behind *fd*, which was made without one, so that /proc does not tell."""
    wanted = os.fstat(fd)
    with os.scandir(DIRECTORY) as entries:
        alike = (entry for entry in entries if entry.inode() == wanted.st_ino)
        path = next((one.path for one in alike if os.path.samestat(one.stat(follow_symlinks=False), wanted)), None)
    if path is not None:
        return path
    raise syscall_error(errno.ENOENT, "open", f"fd {fd}", remedy="a ring that puts messages into files needs its name")
