"""Pipes: pipe(7), pipe(2)."""

from __future__ import annotations

import errno
import os
import select
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from ipckit._framing import Framing, at_least_one, byte_view, too_large
from ipckit._pipe_end import PipeEnd
from ipckit._queued import queued
from ipckit._retry import expired, failure, retry
from ipckit._splice import SplicesIn, SplicesOut
from ipckit._stream_reading import BULK, ByteReading, reading_lane_of
from ipckit._wait import FOREVER, Deadline
from ipckit._writing_lane import LaneWriting, lane_of
from ipckit.errors import EndOfStreamError, IPCError, syscall_error

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

__all__ = ["PIPE_BUF", "PacketReader", "PacketWriter", "Pipe", "PipeReader", "PipeWriter"]

PIPE_BUF: Final = select.PIPE_BUF
"""How much one write carries with no other writer's bytes in between, in bytes (4096)."""

_COPIED = 16384  # bytes; up to here it is cheaper to copy header and message together than to call writev(2)


class PipeReader(PipeEnd, SplicesOut):
    """The end of a pipe or FIFO that data comes out of.

    What `read` and `receive` return has been taken out: several readers share the data and none gets what another
    got. `receive` in several processes would mix up their messages; threads of one process take turns. After fork(2)
    parent and child have the same description.

    `read` on a FIFO that no writer has opened yet waits for the first one; "no writer yet" is no end of the stream.
    """

    __slots__ = ("_framing", "_reading", "_was_written")

    _access = os.O_RDONLY
    _direction = "reading"

    def __init__(self, fd: int, was_written: bool = False) -> None:  # noqa: FBT001, FBT002  # a pickle has no keywords
        super().__init__(fd)
        self._reading = reading_lane_of(fd, socket=False)
        self._framing = Framing(self._largest, self._reading)
        self._was_written = was_written  # by a writer who had gone when *fd* was opened: poll(2) does not tell of that

    @classmethod
    def _taken_anew(cls, own: int, old: int) -> Self:
        return cls(own, _is_hung_up(old))  # looked at last: of whoever writes from now on, poll(2) tells

    def _release(self) -> None:
        if self._reading is not None:
            self._reading.close()
        super()._release()

    def _facts(self) -> tuple[bool, ...]:
        return (self._was_written,)

    def _poll_tells_all(self) -> bool:
        return not self._was_written

    def read(self, size: int = 65536, timeout: float | None = None) -> bytes:  # noqa: D102  # the base class's
        if timeout is None and size <= BULK:  # the usual way with a call less; what is rare, the base class knows
            try:
                data = os.read(self._fd, size)
            except BlockingIOError:
                waited: bytes = self._wait_and_pull(partial(self._pull, size), None)
                return waited
            except OSError as error:
                at_least_one(size)
                raise failure(self, error, "read") from None
            if data:
                return data
        return ByteReading.read(self, size, timeout)  # by name: super() costs every call a cell

    def _pull(self, size: int) -> bytes:
        return os.read(self._fd, size) or self._nothing(size)

    def _pull_to(self, pieces: list[bytes], size: int) -> None:
        pieces += map(os.read, (self._fd,), (size,))
        if not pieces[-1]:
            del pieces[-1]
            pieces += (self._nothing(size),)

    def _pull_into(self, buffer: Buffer) -> int:
        return os.readv(self._fd, [buffer]) or len(self._nothing(memoryview(buffer).nbytes))

    def _is_the_end(self) -> bool:
        try:
            self._nothing(1)
        except BlockingIOError:
            return False
        return True

    def _nothing(self, size: int) -> bytes:
        """Nothing was read: b"" if that is the end, BlockingIOError if no writer has come yet."""
        at_least_one(size)
        if self._was_written:
            return b""
        # Twice: the lock that FIONREAD takes lets no writer be halfway in, and then poll(2) is right about writers.
        if all(_is_hung_up(self.fileno()) and not queued(self) for _ in range(2)):
            return b""
        raise BlockingIOError(errno.EAGAIN, "no writer yet")


def _is_hung_up(fd: int) -> bool:
    """Whether a writer has been there since *fd* was opened, and none is there now.

    fifo(7) does not say it: POLLHUP comes only when a writer has been there and gone. But poll(2) takes no lock. A
    writer who is just opening it may be counted as one who has been there before it counts as one who is; and one who
    came, wrote and went while poll(2) looked leaves bytes, and POLLHUP without POLLIN.
    """
    poller = select.poll()
    poller.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poller.poll(0))


class PipeWriter(PipeEnd, LaneWriting, SplicesIn):
    """The end of a pipe or FIFO that data goes into.

    Atomicity: a `write` of at most `PIPE_BUF` bytes, and a `send` of at most ``PIPE_BUF - 4``, goes in as a whole,
    whatever other writers do. Longer ones from several processes interleave; threads of one process take turns in
    `send`. When nobody reads any more, BrokenPeerError: Python ignores SIGPIPE, and a program that restores its
    default action is killed instead.
    """

    __slots__ = ("_framing", "_lane", "_lane_write", "_lent")

    _access = os.O_WRONLY
    _direction = "writing"

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._lent = {}
        self._lane = lane_of(fd, socket=False)
        self._lane_write = self._lane.write
        self._framing = Framing(self._largest, writing=self._lane)

    def _release(self) -> None:
        self._lane.close()
        self._lent.clear()
        super()._release()

    def _push(self, data: Buffer) -> int:
        return os.write(self._fd, data)

    def _push_to(self, outs: list[int], data: Buffer) -> None:
        outs += map(os.write, (self._fd,), (data,))

    def _push_both(self, outs: list[int], header: bytes, data: bytes | memoryview) -> None:
        if len(data) <= _COPIED:
            outs += map(os.write, (self._fd,), (header + data,))
        else:
            outs += map(os.writev, (self._fd,), ((header, data),))

    def _push_waiting(self, outs: list[int], data: memoryview, deadline: Deadline | None) -> None:
        from ipckit._native import ffi, lib  # whoever never waits never loads it

        deadline = deadline or FOREVER
        with self._in_use():
            pinned = ffi.from_buffer(data)
            try:
                while True:
                    end_ns = deadline.slice_end_ns()
                    outs += map(lib.ipk_stream_write, (self._fd,), (pinned,), (len(data),), (end_ns,))
                    written = outs[-1]
                    if written > 0:
                        return
                    del outs[-1]
                    self._check_open()
                    if written not in (-errno.ETIMEDOUT, -errno.EINTR):
                        raise OSError(-written, os.strerror(-written))
                    if deadline.expired:
                        raise expired(self, "write")
            finally:
                ffi.release(pinned)  # not later: the garbage collector can't clear a buffer that is exported


class PacketReader(PipeReader):
    """The reading end of a pipe in packet mode: each `receive`, and each `read`, gets one packet."""

    __slots__ = ()

    packet: ClassVar[bool] = True
    _largest = PIPE_BUF
    read = SplicesOut.read  # by `_pull`, which knows packets

    def _pull(self, size: int) -> bytes:
        if size < PIPE_BUF:
            raise ValueError(f"size must be at least {PIPE_BUF}: a shorter read throws the rest of a packet away")
        return super()._pull(size)

    def _pull_into(self, buffer: Buffer) -> int:
        if (size := memoryview(buffer).nbytes) < PIPE_BUF:
            raise ValueError(f"buffer must have at least {PIPE_BUF} bytes, or a packet loses its rest; it has {size}")
        return super()._pull_into(buffer)

    def receive(self, timeout: float | None = None) -> bytes:
        """Receive the next packet; the exceptions are those of `PipeReader.receive`."""
        packet = self.read(PIPE_BUF, timeout)
        if not packet:
            raise EndOfStreamError(f"{self!r}: the last writer has closed its end")
        return packet


class PacketWriter(PipeWriter):
    """The writing end of a pipe in packet mode: each `send` is one packet; a longer `write` is cut into packets."""

    __slots__ = ()

    packet: ClassVar[bool] = True
    _largest = PIPE_BUF

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Send *data* as one packet, waiting while there is no room.

        Args:
            data: 1 to `PIPE_BUF` bytes; the kernel knows no empty packet.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT); nothing was sent.
            BrokenPeerError: nobody reads any more (EPIPE).
            MessageTooLargeError: *data* exceeds `max_message_size` (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        view = byte_view(data)
        if not view:
            raise ValueError("data must have at least 1 byte: a pipe carries no empty packet")
        if len(view) > self._framing.limit:
            raise too_large(len(view), self._framing.limit, "send")
        try:
            try:
                self._push(view)
            except BlockingIOError:
                retry(self, select.POLLOUT, deadline, lambda: self._push(view), "write")
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "write") from None


class Pipe:
    r"""An anonymous one-way stream of bytes, first in, first out, inside the kernel.

    `create` returns its two ends; the stream ends when every copy of the writing end is closed, those in forked
    children too. Both ends travel to children as arguments of multiprocessing.Process, and through `send_fds`.

    A stream has no boundaries: `write` and `read` move bytes. `send` and `receive` move whole messages by putting
    each one's length before it; use them on both ends or on neither.

    >>> reader, writer = Pipe.create()
    >>> with reader, writer:
    ...     writer.send(b"one message")
    ...     reader.receive(timeout=1)
    b'one message'

    The ends are non-blocking inside. For a program that takes one as its stdin or stdout there is
    `blocking_descriptor`:

    >>> import os, subprocess
    >>> reader, writer = Pipe.create()
    >>> with reader, writer:
    ...     stdout = writer.blocking_descriptor()
    ...     done = subprocess.run(["echo", "hello"], stdout=stdout)
    ...     os.close(stdout)
    ...     reader.read(timeout=1)
    b'hello\n'
    """

    __slots__ = ()

    @staticmethod
    def create(*, packet: bool = False, capacity: int | None = None) -> tuple[PipeReader, PipeWriter]:
        """Make a pipe; return its reading and its writing end.

        Args:
            packet: packet mode (O_DIRECT): `send` and `receive` move packets of 1 to `PIPE_BUF` bytes, one system
                call each, safe with several writers and several readers.
            capacity: bytes that it is to hold, as for `set_capacity`; None for the kernel's 64 KiB. Large transfers go
                faster through 1 MiB, for the two sides wait for each other less often.

        Raises:
            LimitError: too many descriptors (EMFILE, ENFILE).
            AccessError: *capacity* exceeds sysctl fs.pipe-max-size (EPERM).
        """
        try:
            reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK | (os.O_DIRECT if packet else 0))
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "pipe2") from None
        ends = (PacketReader(reading), PacketWriter(writing)) if packet else (PipeReader(reading), PipeWriter(writing))
        if capacity is not None:
            try:
                ends[1].set_capacity(capacity)
            except BaseException:
                for end in ends:
                    end.close()
                raise
        return ends
