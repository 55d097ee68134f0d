"""The newest value only, from one writer to any number of readers: native/include/ipckit/latest.h."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ipckit._arguments import check_int
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import (
    ClosedError,
    EndOfStreamError,
    IPCError,
    TimeoutExpired,
    check,
    syscall_error,
)
from ipckit.ring._claims import Claims
from ipckit.ring._errors import buffer_too_small, not_data, not_writable, receiving_failure, sending_failure
from ipckit.ring._handle import NO_CLAIMS, Core, RingHandle
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._latest_lane import ESTALE, lane_of, read_into, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer, Self

    from ipckit.ring._inplace import Reservation

_CORE = Core("latest", lib.IPK_KIND_LATEST)
_CLOSED_LANE = lane_of(_CORE.closed)


class LatestStat(NamedTuple):
    """A snapshot of a `Latest`; its figures may be of slightly different moments."""

    capacity: int
    """bytes of all buffers, with 32 bytes of header for each and padding"""
    used: int
    """bytes of the newest value"""
    sent: int
    """values ever written, which is the sequence number of the newest"""
    age: float | None
    """seconds since the newest was written; None where there is none"""
    bytes_sent: int
    """bytes of all values"""
    empty_waits: int
    """times that a reader slept"""
    wakes: int
    """wake-up calls of the writers"""
    overtaken: int
    """times that a reader was overtaken in 64 attempts in a row"""
    recoveries: int
    """times that a writer took over from a dead one"""

    @classmethod
    def of(cls, counters: Any) -> LatestStat:
        """The core's *counters* as people read them."""
        age = max(0, time.monotonic_ns() - counters.written_ns) / 1e9 if counters.written_ns else None
        return cls(
            capacity=counters.capacity,
            used=counters.length,
            sent=counters.sequence,
            age=age,
            bytes_sent=counters.bytes,
            empty_waits=counters.empty_waits,
            wakes=counters.wakes,
            overtaken=counters.overtaken,
            recoveries=counters.recoveries,
        )


class Latest(RingHandle):
    """The newest value of something: one writer replaces it, any number of readers copy it, nobody waits for a reader.

    Whoever writes first becomes the writer; another process that tries gets BusyError while that one lives. Readers
    claim nothing and are not counted: they come and go, are stopped and killed, and the writer does not notice. Values
    that a reader does not fetch in time are replaced; those that it gets are whole, and in order. A writer that is
    killed in the middle of a value leaves the one before; `close` gives the role back, and a successor may take over.

    The writer fills the buffers in turn, so a copy that a reader is just taking is good until all other buffers have
    been filled: with four, a reader has to try again only if it is several times slower than a writer that does nothing
    but write.

    Threads: one writer at a time, a second one gets BusyError; any number of readers, and no value is returned twice by
    `receive` of one handle. fork(2): the child inherits the handle, and reads; the role stays the parent's. A handle
    travels to multiprocessing children, an anonymous one too.

    >>> with Latest.create(max_size=64) as position:  # in practice writer and readers are several processes
    ...     position.send(b"52.52 13.40")
    ...     position.send(b"52.53 13.41")
    ...     position.read()
    b'52.53 13.41'
    """

    __slots__ = ("_lane", "_max_size")

    _WHAT = "latest value"
    _CORE = _CORE

    def __init__(self, latest: Any, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__(latest, name, unlink_on_close=unlink_on_close)
        stat = ffi.new("struct ipk_latest_stat *")
        check(quick.ipk_latest_stat(latest, stat), "ipk_latest_stat", name)
        self._lane = lane_of(latest)
        self._claims = Claims(latest, quick.ipk_latest_buffers(latest), stat.capacity, self._lane)
        self._max_size: int = stat.max_size

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        max_size: int = 4096,
        buffers: int = 4,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create one without a value; an anonymous one (a sealed memfd) if *name* is None.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``.
            max_size: bytes of the longest value, 1 to 2 GiB.
            buffers: 2 to 64; each takes *max_size* and 32 bytes, rounded up to a multiple of 128. A reader's copy is
                good for as long as the writer takes to fill all but one of them.
            mode: permission bits, exact whatever the umask (an anonymous one has no execute bits). Readers, too, need
                to write the file: they say in it that they sleep.

        Raises:
            AlreadyExistsError: the name is taken (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_int(max_size, "max_size", 1, lib.IPK_LATEST_MAX_SIZE, "bytes")
        check_int(buffers, "buffers", lib.IPK_LATEST_MIN_BUFFERS, lib.IPK_LATEST_MAX_BUFFERS, "how many")
        check_mode(mode)
        latest = _CORE.create(name, max_size, buffers, mode)
        return cls(latest, name or "", unlink_on_close=unlink_on_close and name is not None)

    @property
    def max_size(self) -> int:
        """Bytes of the longest value."""
        return self._max_size

    @property
    def seen(self) -> int:
        """The sequence number of the newest value that this handle has returned; 0 before the first.

        Numbers count from 1 on, across writers: the difference of two says how many values lie between them.
        """
        seen: int = quick.ipk_latest_seen(self._ring)
        self._check_open()
        return seen

    @property
    def producers(self) -> int:
        """How many living writers there are: 1 or 0. Readers are not counted."""
        writers: int = self._snapshot().writers
        return writers

    def stat(self) -> LatestStat:
        """Figures kept in the segment; reading them disturbs nobody."""
        return LatestStat.of(self._snapshot())

    def send(self, data: Buffer) -> None:
        """Replace the value; never waits for anybody.

        Args:
            data: any C-contiguous buffer of at most `max_size` bytes; it becomes the newest value whole or not at all.

        Raises:
            MessageTooLargeError: it is longer than `max_size` (EMSGSIZE).
            BusyError: another process is the writer, or another thread of this one is writing (EBUSY).
        """
        if type(data) is bytes:
            rc = self._lane.send(data)
        else:
            buffer = _buffer_of(data)
            core = lib if len(buffer) > RELEASE_GIL_ABOVE else quick
            rc = core.ipk_latest_send(self._ring, buffer, len(buffer))
        if rc:
            raise self._failure(rc, memoryview(data).nbytes)

    def reserve(self, n: int) -> Reservation:
        """Return the next buffer, to be written in place; nobody sees it before `Reservation.commit`.

        Until then the newest value is what it was, and `send` and `reserve` of this handle raise BusyError.

        Args:
            n: bytes, 0 to `max_size`; `commit` may take fewer.

        Raises:
            MessageTooLargeError, BusyError: as `send`.
        """
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n must be an int (bytes), not {n!r}")
        if n < 0:
            raise ValueError(f"n must be 0 or more bytes, not {n}")
        if n > self._max_size:
            self._check_open()
            raise self._failure(-errno.EMSGSIZE, n, call="reserve")
        made = self._claims.reserve(self._lane, n, PASSED.at_ns)
        if isinstance(made, int):
            raise self._failure(made, n)
        return made

    def peek(self) -> NoReturn:
        """Refuse: the writer waits for no reader, so nothing could keep a value in its place while it is looked at.

        Raises:
            UnsupportedError: always. `read` and `receive_into` copy the value.
        """
        self._check_open()
        remedy = (
            "the writer waits for no reader, so no value stays in its place while it is looked at; "
            "copy it with read() or receive_into()"
        )
        raise syscall_error(errno.EOPNOTSUPP, "peek", self._name or None, remedy=remedy)

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the newest value, new to this handle or not; None if nothing was ever written (``b""`` is a value).

        It does not wait for a value, and it does not matter whether the writer lives.

        Args:
            timeout: seconds to go on trying where the writer is so fast that it overtakes 64 copies in a row; None: as
                long as it takes.

        Raises:
            TimeoutExpired: the writer was faster all the time (ETIMEDOUT).
            LayoutError: the segment's content is corrupt.
        """
        value = self._lane.read(NEVER_NS if timeout is None else Deadline.after(timeout).at_ns)
        if not isinstance(value, int):
            return value
        if value == -errno.ENODATA:
            return None
        raise self._reading_failure(value)

    def receive(self, timeout: float | None = None) -> bytes:
        """Return the newest value, waiting while it is not newer than the last that this handle has returned.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no newer value came in time (ETIMEDOUT).
            EndOfStreamError: the writer closed, and this handle has returned its last value.
            PeerDiedError: the writer died, and this handle has returned its last value.
            LayoutError: the segment's content is corrupt.
        """
        value = self._lane.receive(NEVER_NS if timeout is None else Deadline.after(timeout).at_ns)
        if isinstance(value, int):
            raise self._reading_failure(value)
        return value

    def try_receive(self) -> bytes | None:
        """Return the newest value, or None if this handle has returned it already.

        Raises:
            EndOfStreamError, PeerDiedError, LayoutError: as `receive`.
        """
        while isinstance(value := self._lane.try_receive(), int):
            try:
                self._wait(value, PASSED.at_ns)
            except TimeoutExpired:
                return None
        return value

    def receive_into(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Copy the next value into *buffer*, as `receive` would return it.

        Args:
            buffer: writable and C-contiguous. After an exception its content is undefined.

        Returns:
            The value's length in bytes.

        Raises:
            MessageTooLargeError: the value is longer than *buffer* (EMSGSIZE); it still counts as new.
            TimeoutExpired, EndOfStreamError, PeerDiedError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        try:
            room = memoryview(buffer)
        except TypeError:
            raise not_writable(buffer) from None
        if room.readonly:
            raise TypeError("buffer must be writable")
        _buffer_of(buffer)
        value = ffi.new("struct ipk_latest_value *", {"length": room.nbytes})
        while rc := read_into(self._ring, 1, buffer, value):
            if rc == -errno.EMSGSIZE:
                raise buffer_too_small(value.length, room.nbytes, self._name)
            self._wait(rc, deadline_ns)
            value.length = room.nbytes
        length: int = value.length
        return length

    def __iter__(self) -> Iterator[bytes]:
        """Receive until the writer closes."""
        while True:
            try:
                yield self.receive()
            except EndOfStreamError:
                return

    def _snapshot(self) -> Any:
        stat = ffi.new("struct ipk_latest_stat *")
        rc = quick.ipk_latest_stat(self._ring, stat)
        self._check_open()
        check(rc, "ipk_latest_stat", self._name)
        return stat

    def _wait(self, rc: int, deadline_ns: int) -> None:
        """Wait until there may be a newer value; *rc* is why there was none: -EAGAIN or -ESTALE, or it is raised."""
        if rc in (-errno.EAGAIN, ESTALE):
            rc = wait(self._ring, rc, deadline_ns)
        if rc not in AGAIN:
            raise self._reading_failure(rc)

    def _failure(self, rc: int, length: int, *, call: str = "send") -> IPCError:
        """The exception for a write of *length* bytes that failed."""
        if rc == -errno.EBADF and self._closed:
            return ClosedError("Latest is closed")
        if rc == -errno.EMSGSIZE:
            remedy = f"{length} bytes, and this one holds at most {self._max_size}; create it with a larger max_size"
            return syscall_error(errno.EMSGSIZE, call, self._name or None, remedy=remedy)
        return sending_failure(rc, self._name)

    def _reading_failure(self, rc: int) -> IPCError:
        """The exception for a read that failed."""
        if rc == -errno.EBADF and self._closed:
            return ClosedError("Latest is closed")
        return receiving_failure(rc, self._name, who="the writer")

    def _describe(self) -> str:
        return f"{self._name!r} max_size={self._max_size}" if self._name else f"anonymous max_size={self._max_size}"

    def _release(self) -> None:
        latest, self._ring, self._lane = self._ring, _CORE.closed, _CLOSED_LANE
        lib.ipk_latest_close(latest)  # wakes a thread that waits, and waits for one that writes, which may need the GIL
        self._claims = NO_CLAIMS
        # Unmapped when the last reference goes: that is here, or in the other thread's call.


def _buffer_of(data: Buffer) -> Any:
    try:
        return ffi.from_buffer(data)
    except (BufferError, TypeError):
        raise not_data(data) from None
