"""The end of a byte stream that data comes out of, written once for pipes, FIFOs and stream sockets."""

from __future__ import annotations

import errno
import os
import select
from functools import partial
from typing import TYPE_CHECKING

from ipckit._framing import Framed, IncomingFrame, at_least_one, too_large
from ipckit._queued import queued
from ipckit._retry import expired, failure, retry
from ipckit._wait import Deadline, wait_fd
from ipckit.errors import EndOfStreamError, IPCError, PeerDiedError, TimeoutExpired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from typing_extensions import Buffer

    from ipckit._lane import ReadingLane

BULK = 65536  # bytes; who reads so much in a row waits each time, and to ask first costs less than an exception


def reading_lane_of(fd: int, *, socket: bool) -> ReadingLane | None:
    """What keeps the messages that come from *fd*; None where nothing is compiled: slower; otherwise the same."""
    try:
        from ipckit._lane import ReadingLane
    except ImportError:
        return None
    return ReadingLane(fd, socket)


class ByteReading(Framed):
    """The end of a byte stream that data comes out of."""

    __slots__ = ()

    def _pull(self, size: int) -> bytes:
        """Read once, at most *size* bytes, 1 or more; BlockingIOError where that would wait, b"" at the end."""
        raise NotImplementedError

    def _pull_to(self, pieces: list[bytes], size: int) -> None:
        """Read as `_pull` does, and append what came; no signal handler can raise between the two."""
        raise NotImplementedError

    def _pull_into(self, buffer: Buffer) -> int:
        raise NotImplementedError

    @property
    def available(self) -> int:
        """How many bytes a read would find now: FIONREAD of ioctl_pipe(2), SIOCINQ of unix(7)."""
        return queued(self)

    def read(self, size: int = 65536, timeout: float | None = None) -> bytes:
        """Read what is there, at most *size* bytes, waiting while there is nothing; b"" is the end of the stream.

        Args:
            size: 1 or more bytes.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: nothing came (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            if size > BULK and self._poll_tells_all():
                wait_fd(self, self._fd, select.POLLIN, deadline)
            return self._pull(size)
        except BlockingIOError:
            data: bytes = self._wait_and_pull(partial(self._pull, size), deadline)
            return data
        except OSError as error:
            at_least_one(size)
            raise failure(self, error, "read") from None

    def readinto(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Read into a writable *buffer* what is there, waiting while there is nothing; return the bytes, 0 at the end.

        Raises:
            TimeoutExpired: nothing came (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            if memoryview(buffer).nbytes >= BULK and self._poll_tells_all():
                wait_fd(self, self._fd, select.POLLIN, deadline)
            return self._pull_into(buffer)
        except BlockingIOError:
            count: int = self._wait_and_pull(partial(self._pull_into, buffer), deadline)
            return count
        except OSError as error:
            raise failure(self, error, "read") from None

    def try_read(self, size: int = 65536) -> bytes | None:
        """Read without waiting: what is there, b"" at the end of the stream, None if nothing is there yet."""
        try:
            return self._pull(size)
        except BlockingIOError:
            return None
        except OSError as error:
            at_least_one(size)
            raise failure(self, error, "read") from None

    def receive(self, timeout: float | None = None) -> bytes:
        """Receive the next message that the other side's `send` sent, whole.

        A wait that gives up loses nothing: what came of a message is kept, and the next call goes on from there.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no whole message came (ETIMEDOUT).
            EndOfStreamError: the last writer closed its end, and every message has been received.
            PeerDiedError: the stream ended in the middle of a message.
            MessageTooLargeError: the next message exceeds `max_message_size`; raise that and receive it, or close.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        framing = self._framing
        turn = framing.receiving
        lock = turn.lock
        try:
            if not lock.acquire(False) or turn.inside:
                turn.contend(lock, self, deadline, "receive")
        except BaseException:
            turn.let_go(lock)
            raise
        turn.inside = True
        try:
            arrive = framing.receive or self._arrive
            while True:  # a condition here would end the loop in a jump that CPython 3.13 keeps out of `finally`
                message = arrive(framing.limit)
                if not isinstance(message, int):
                    return message
                self._await(message, deadline)
        finally:
            turn.inside = False
            lock.release()

    def try_receive(self) -> bytes | None:
        """Receive the next message if all of it is there, else None; b"" is a message.

        Raises:
            EndOfStreamError, PeerDiedError, MessageTooLargeError: as `receive`.
        """
        try:
            return self.receive(0)
        except TimeoutExpired:
            return None

    def __iter__(self) -> Iterator[bytes]:
        """The messages, until the stream ends."""
        while True:
            try:
                message = self.receive()
            except EndOfStreamError:
                return
            yield message

    def _poll_tells_all(self) -> bool:
        """Whether who waits by poll(2) learns of all that a read would find, and of the end."""
        return True

    def _wait_and_pull(self, pull: Callable[[], Any], deadline: Deadline | None) -> Any:
        try:
            return retry(self, select.POLLIN, deadline, pull, "read")
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "read") from None

    def _arrive(self, limit: int) -> bytes | int:
        """The next message, if all of it is there; else 0 at the end, or -errno: -EAGAIN, -EMSGSIZE, ..."""
        frame = self._framing.incoming
        assert isinstance(frame, IncomingFrame)
        pieces = frame.unfed
        while True:
            if not pieces:
                try:
                    self._pull_to(pieces, frame.wanted(limit))
                except OSError as error:
                    return -(error.errno or errno.EIO)
            if not pieces[0]:
                del pieces[0]
                return 0
            message = frame.feed()
            if message is not None:
                return message

    def _await(self, outcome: int, deadline: Deadline | None) -> None:
        """Wait for more of a message, after what `_arrive` has returned; or raise why no more comes."""
        frame = self._framing.incoming
        if outcome == 0 and self._is_the_end():
            if frame.begun:
                raise PeerDiedError(f"the stream ended after {frame!r}: the writer died, or closed in between")
            raise EndOfStreamError(f"{self!r}: the last writer has closed its end")
        if outcome == -errno.EMSGSIZE:
            raise too_large(frame.length, self._framing.limit, "receive")
        if outcome not in {0, -errno.EAGAIN}:
            raise failure(self, OSError(-outcome, os.strerror(-outcome)), "read")
        if not wait_fd(self, self._fd, select.POLLIN, deadline):
            raise expired(self, "read")

    def _is_the_end(self) -> bool:
        """Whether it is the end of the stream that nothing was read."""
        return True
