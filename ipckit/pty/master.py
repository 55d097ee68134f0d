"""The side of a pseudo-terminal that drives: pty(7)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ipckit._retry import failure
from ipckit._wait import Deadline
from ipckit.errors import EndOfStreamError, TimeoutExpired, syscall_error
from ipckit.pty._device import open_terminal_of, terminal_name
from ipckit.pty._settings import PtySide, is_terminal
from ipckit.pty.terminal import Terminal

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

__all__ = ["PtyMaster"]

_PART = 4096  # bytes; one read of a terminal gives hardly more
_SHOWN = 60  # bytes of what came instead of a marker, in the exception


class PtyMaster(PtySide):
    r"""The master of a pseudo-terminal: what is written here is typed there, what programs print there is read here.

    Bytes keep their order both ways. In cooked mode the terminal changes them on the way (echo, ``\r\n``, control
    characters); in raw mode nothing is changed, and `send` and `receive` move whole messages. The stream ends when no
    process has the terminal side open any more and what was left has been read (the kernel's EIO); it goes on if one
    opens it again. Writing then is kept for whoever opens it, until the buffer is full: BrokenPeerError.

    To close the last copy of the master hangs the terminal up: SIGHUP.

    Threads take turns in `read_until`, in `receive` and in `send`. After fork(2) both processes have the same
    description; what `read_until` has read beyond its marker stays in the process that called it.

    >>> from ipckit import PseudoTerminal
    >>> master, terminal = PseudoTerminal.create(echo=False)
    >>> with master, terminal:
    ...     line = terminal.write(b"login: ")
    ...     _ = master.read_until(b"login: ", timeout=1)
    ...     _ = master.write(b"root\n")
    ...     terminal.read(timeout=1)
    b'root\n'
    """

    __slots__ = ("_ahead",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd, terminal_name(fd))
        self._ahead: list[bytes] = []  # what read_until took too much, newest first; pop and append are atomic

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor of a master, as another program or `receive_fds` gave it.

        It becomes non-blocking and close-on-exec; a master can't be opened twice, so that its other holders, if
        there are any, find it non-blocking too.

        Raises:
            ValueError: *fd* is no master; it stays open.
        """
        if not is_terminal(fd):
            raise ValueError(f"fd must be the master of a pseudo-terminal, and descriptor {fd} is no terminal")
        taken = cls(fd)
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        return taken

    def open_terminal(self) -> Terminal:
        """The terminal side, once more; while it is open, the stream does not end.

        Raises:
            LimitError: too many descriptors (EMFILE, ENFILE).
        """
        self._check_open()
        try:
            return Terminal(open_terminal_of(self._fd))
        except OSError as error:
            raise failure(self, error, "ioctl(TIOCGPTPEER)") from None

    def read_until(self, marker: bytes, timeout: float | None = None, *, limit: int = 1 << 20) -> bytes:
        r"""Read up to the end of the first *marker*, such as a prompt, and return it all, the marker included.

        Where it raises, nothing is lost: the next `read` or `read_until` finds what has come. What has come after the
        marker waits here for them, too; poll(2) knows nothing of it, `available` does.

        Args:
            marker: 1 or more bytes, as the terminal puts them out: a line ends with ``\r\n`` in cooked mode.
            timeout: seconds; None waits for ever, 0 never waits.
            limit: the most that is read in search of it, in bytes.

        Raises:
            TimeoutExpired: the marker did not come (ETIMEDOUT); the message shows what came last.
            EndOfStreamError: the stream ended before it.
            MessageTooLargeError: it is not within *limit* bytes (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        if not isinstance(marker, (bytes, bytearray, memoryview)):
            raise TypeError(f"marker must be bytes, not {marker!r}")
        if not marker:
            raise ValueError("marker must have at least 1 byte")
        turn = self._framing.receiving
        lock = turn.take(self, deadline, "read_until")
        try:
            return self._search(bytes(marker), deadline, limit)
        finally:
            turn.inside = False
            lock.release()

    def _search(self, marker: bytes, deadline: Deadline | None, limit: int) -> bytes:
        come = bytearray()
        looked = 0
        try:
            while True:
                at = come.find(marker, looked, limit)
                if at >= 0:
                    break
                if len(come) >= limit:
                    remedy = f"no {marker!r} within limit={limit} bytes"
                    raise syscall_error(errno.EMSGSIZE, "read_until", repr(self), remedy=remedy)
                looked = max(0, len(come) - len(marker) + 1)
                chunk = self._more(deadline, marker, come)
                if not chunk:
                    raise EndOfStreamError(f"{self!r}: the terminal was closed before {marker!r} came; {_last(come)}")
                come += chunk
        except BaseException:
            self._put_back(bytes(come))
            raise
        end = at + len(marker)
        self._put_back(bytes(come[end:]))
        return bytes(come[:end])

    def _more(self, deadline: Deadline | None, marker: bytes, come: bytearray) -> bytes:
        try:
            return self._pull(_PART)
        except BlockingIOError:
            pass
        except OSError as error:
            raise failure(self, error, "read") from None
        try:
            chunk: bytes = self._wait_and_pull(lambda: self._pull(_PART), deadline)
        except TimeoutExpired:
            remedy = f"no {marker!r}; {_last(come)}"
            raise syscall_error(errno.ETIMEDOUT, "read_until", repr(self), remedy=remedy) from None
        return chunk

    @property
    def available(self) -> int:
        """How many bytes a read would find now: FIONREAD, and what `read_until` has read beyond its marker."""
        return super().available + sum(map(len, self._ahead))

    def _poll_tells_all(self) -> bool:
        return not self._ahead

    def _pull(self, size: int) -> bytes:
        if self._ahead and (kept := self._kept(size)):
            return kept
        return super()._pull(size)

    def _pull_to(self, pieces: list[bytes], size: int) -> None:
        if self._ahead and (kept := self._kept(size)):
            pieces += (kept,)
        else:
            super()._pull_to(pieces, size)

    def _pull_into(self, buffer: Buffer) -> int:
        with memoryview(buffer) as view, view.cast("B") as octets:
            if self._ahead and (kept := self._kept(len(octets))):
                octets[: len(kept)] = kept
                return len(kept)
        return super()._pull_into(buffer)

    def _kept(self, size: int) -> bytes:
        self._check_open()
        try:
            kept = self._ahead.pop()
        except IndexError:  # another thread was faster
            return b""
        self._put_back(kept[max(0, size) :])
        return kept[: max(0, size)]

    def _put_back(self, data: bytes) -> None:
        if data:
            self._ahead.append(data)

    def __reduce__(self) -> Any:
        self._check_open()
        if self._ahead:
            raise TypeError(f"cannot pickle {self!r} with bytes in it that came after a marker: read() them first")
        return super().__reduce__()


def _last(come: bytearray) -> str:
    if not come:
        return "nothing came"
    return f"what came last is {bytes(come[-_SHOWN:])!r}"
