"""A ring from one producer to one consumer, in shared memory: native/include/ipckit/spsc.h."""

from __future__ import annotations

import errno
import os
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._segment import SegmentHandle, no_segment, segment_path, wrong_segment
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import (
    BrokenPeerError,
    BusyError,
    ClosedError,
    EndOfStreamError,
    IPCError,
    LayoutError,
    PeerDiedError,
    SyscallError,
    TimeoutExpired,
    check,
    syscall_error,
)
from ipckit.ring._lane import AGAIN, RELEASE_GIL_ABOVE, lane_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer, Self

_RECORD_HEADER = 8

# What a closed handle points to: every call on it is -EBADF.
_CLOSED: Any = ffi.new("struct ipk_spsc *")
quick.ipk_spsc_close(_CLOSED)
_CLOSED_LANE = lane_of(_CLOSED)

_mapped: weakref.WeakSet[SpscRing] = weakref.WeakSet()


class SpscStat(NamedTuple):
    """A snapshot of a ring; the two sides' counters may be of slightly different moments."""

    capacity: int
    """bytes"""
    used: int
    """bytes in use, 8 bytes of header and up to 7 of padding for each message included"""
    sent: int
    """messages"""
    received: int
    """messages"""
    full_waits: int
    """times that the producer slept"""
    empty_waits: int
    """times that the consumer slept"""
    producer_wakes: int
    """wake-up calls of the producer"""
    consumer_wakes: int
    """wake-up calls of the consumer"""


class SpscRing(SegmentHandle):
    """A queue of messages of any length from one producer to one consumer; no system call while both are awake.

    Order is kept; a message arrives whole. Whoever sends first becomes the producer, whoever receives first the
    consumer; another process that tries gets BusyError while that one lives. `close` gives the role back, and tells the
    other side so: after the last message `receive` raises EndOfStreamError. If the producer was killed instead, it
    raises PeerDiedError. A successor may take over a role that was closed or whose holder died. A message that the
    consumer was receiving when it was killed is delivered to its successor, or was received: never half of it.

    Waiting spins for about as long as a wake-up takes (`spin`), then sleeps in futex(2).

    Threads: one sender and one receiver at a time; a second one gets BusyError, nothing is lost. fork(2): the child
    inherits the handle but no role. A handle travels to multiprocessing children, an anonymous one too.

    >>> with SpscRing.create() as ring:  # in practice the two ends are in two processes
    ...     ring.send(b"ping")
    ...     ring.receive(timeout=1.0)
    b'ping'
    """

    __slots__ = ("_capacity", "_lane", "_ring")

    _WHAT = "ring"

    def __init__(self, ring: Any, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__(name, unlink_on_close=unlink_on_close)
        stat = ffi.new("struct ipk_spsc_stat *")
        check(quick.ipk_spsc_stat(ring, stat), "ipk_spsc_stat", name)
        self._ring = ring
        self._lane = lane_of(ring)
        self._capacity: int = stat.capacity
        _mapped.add(self)

    @classmethod
    def create(
        cls, name: str | None = None, *, capacity: int = 1 << 20, mode: int = 0o600, unlink_on_close: bool = False
    ) -> Self:
        """Create a ring; an anonymous one (a sealed memfd) if *name* is None.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``.
            capacity: bytes, rounded up to a power of two, 4 KiB to 2 GiB; a message takes its length, plus 8, rounded
                up to a multiple of 8.
            mode: permission bits, exact whatever the umask (an anonymous ring has no execute bits); whoever may write
                a named ring's file may also truncate it.

        Raises:
            AlreadyExistsError: the name is taken (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity must be an int, in bytes, not {capacity!r}")
        if not 0 < capacity <= lib.IPK_SPSC_MAX_CAPACITY:
            raise ValueError(f"capacity must be 1 to {lib.IPK_SPSC_MAX_CAPACITY} bytes, not {capacity}")
        check_mode(mode)
        capacity = max(1 << (capacity - 1).bit_length(), os.sysconf("SC_PAGESIZE"), lib.IPK_SPSC_MIN_CAPACITY)
        path = ffi.NULL if name is None else os.fsencode(segment_path(name))
        ring = ffi.new("struct ipk_spsc *")
        check(lib.ipk_spsc_create(ring, path, capacity, mode), "ipk_spsc_create", name)
        return cls(ffi.gc(ring, quick.ipk_spsc_unmap), name or "", unlink_on_close=unlink_on_close and name is not None)

    @classmethod
    def _attach(cls, fd: int, name: str) -> Self:
        info = ffi.new("struct ipk_segment_info *")
        quick.ipk_segment_inspect(fd, info)
        ring = ffi.new("struct ipk_spsc *")
        rc = lib.ipk_spsc_attach(ring, fd)
        if rc == -errno.ENOMSG:
            raise no_segment(name or fd, info)
        if rc == -errno.EPROTO:
            raise wrong_segment(name or fd, info, cls._WHAT, lib.IPK_KIND_SPSC)
        check(rc, "ipk_spsc_attach", name or fd)
        return cls(ffi.gc(ring, quick.ipk_spsc_unmap), name)

    @property
    def capacity(self) -> int:
        """Size of the ring in bytes."""
        return self._capacity

    @property
    def max_message_size(self) -> int:
        """The longest message in bytes: it fits when the ring is empty."""
        return self._capacity - _RECORD_HEADER

    def fileno(self) -> int:
        """The descriptor of the ring's memory, to hand over to another process; it cannot be polled."""
        fd: int = quick.ipk_spsc_fd(self._ring)
        self._check_open()  # after the look: another thread may have closed it in between
        return fd

    def set_spin(self, seconds: float) -> None:
        """Spin for so long before sleeping; 0 never spins. The default is about one wake-up, some 40 microseconds."""
        if not 0 <= seconds <= 1:
            raise ValueError(f"seconds must be 0 to 1, not {seconds!r}")
        self._check_open()
        quick.ipk_spsc_set_spin(self._ring, int(seconds * 1e9))

    def stat(self) -> SpscStat:
        """Counters kept in the segment; reading them disturbs nobody."""
        stat = ffi.new("struct ipk_spsc_stat *")
        rc = quick.ipk_spsc_stat(self._ring, stat)
        self._check_open()
        check(rc, "ipk_spsc_stat", self._name)
        return SpscStat(*(getattr(stat, field) for field in SpscStat._fields))

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Append a message, waiting while there is no room.

        Args:
            data: any C-contiguous buffer of at most `max_message_size` bytes; sent whole or not at all.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            MessageTooLargeError: it can never fit (EMSGSIZE).
            BusyError: another process, or another thread of this one, is sending (EBUSY).
            BrokenPeerError: there is no room, and the consumer closed its end (EPIPE).
            PeerDiedError: there is no room, and the consumer died.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if type(data) is bytes:
            if rc := self._lane.send(data, deadline_ns):
                raise self._failure(rc, len(data))
        else:
            while rc := self._send_buffer(data):
                self._wait_for_room(memoryview(data).nbytes, rc, deadline_ns)

    def try_send(self, data: Buffer) -> bool:
        """Append a message if there is room now; return whether there was."""
        rc = self._lane.try_send(data) if type(data) is bytes else self._send_buffer(data)
        if rc and rc != -errno.EAGAIN:
            raise self._failure(rc, memoryview(data).nbytes)
        return not rc

    def receive(self, timeout: float | None = None) -> bytes:
        """Remove and return the oldest message, waiting while there is none.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no message came in time (ETIMEDOUT).
            EndOfStreamError: the producer closed its end, and all that it sent has been received.
            PeerDiedError: the producer died, and all that it sent has been received.
            BusyError: another process, or another thread of this one, is receiving (EBUSY).
            LayoutError: the segment's content is corrupt.
        """
        message = self._lane.receive(NEVER_NS if timeout is None else Deadline.after(timeout).at_ns)
        if isinstance(message, int):
            raise self._failure(message, receiving=True)
        return message

    def try_receive(self) -> bytes | None:
        """Remove and return the oldest message, or None if there is none now (``b""`` is a message).

        Raises:
            EndOfStreamError, PeerDiedError, BusyError, LayoutError: as `receive`.
        """
        message = self._lane.try_receive()
        if not isinstance(message, int):
            return message
        try:
            self._wait_for_message(message, PASSED.at_ns)
        except TimeoutExpired:
            return None
        return self.try_receive()

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Append all *messages*, as many at once as there is room for; it pays from about four messages on.

        Raises:
            TimeoutExpired, MessageTooLargeError, BusyError, BrokenPeerError, PeerDiedError: as `send`. All but the
                last tell in `completed` how many were sent.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        batch = [data if type(data) is bytes else bytes(memoryview(data)) for data in messages]
        sent = 0
        while sent < len(batch):
            count = self._lane.try_send_many(batch, sent)
            if count >= 0:
                sent += count
                continue
            try:
                self._wait_for_room(len(batch[sent]), count, deadline_ns)
            except SyscallError as error:
                error.completed = sent
                raise

    def receive_many(self, n: int, timeout: float | None = None) -> list[bytes]:
        """Remove and return what is there, at most *n* messages, waiting only while there is none at all.

        If this process is killed meanwhile, the whole batch goes to its successor, or was received.

        Raises:
            TimeoutExpired, EndOfStreamError, PeerDiedError, BusyError, LayoutError: as `receive`.
        """
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n must be an int, not {n!r}")
        if n < 1:
            raise ValueError(f"n must be 1 or more, not {n}")
        n = min(n, self._capacity)  # more there cannot be
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        batch = self._lane.try_receive_many(n)
        while isinstance(batch, int):
            self._wait_for_message(batch, deadline_ns)
            batch = self._lane.try_receive_many(n)
        return batch

    def __iter__(self) -> Iterator[bytes]:
        """Receive until the end of the stream."""
        while True:
            try:
                yield self.receive()
            except EndOfStreamError:
                return

    def _send_buffer(self, data: Buffer) -> int:
        try:
            buffer = ffi.from_buffer(data)
        except BufferError:
            raise ValueError("data must be C-contiguous; copy it first, as with bytes(data)") from None
        core = lib if len(buffer) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_spsc_try_send(self._ring, buffer, len(buffer))
        return rc

    def _wait_for_room(self, length: int, rc: int, deadline_ns: int) -> None:
        """Wait until *length* bytes may fit; *rc* is why a send failed, and must be -EAGAIN for that."""
        if rc != -errno.EAGAIN:
            raise self._failure(rc, length)
        rc = lib.ipk_spsc_wait_room(self._ring, length, deadline_ns)
        if rc not in AGAIN:
            raise self._failure(rc, length)

    def _wait_for_message(self, rc: int, deadline_ns: int) -> None:
        """Wait until there may be a message; *rc* is why a receive failed, and must be -EAGAIN for that."""
        if rc != -errno.EAGAIN:
            raise self._failure(rc, receiving=True)
        rc = lib.ipk_spsc_wait_message(self._ring, deadline_ns)
        if rc not in AGAIN:
            raise self._failure(rc, receiving=True)

    def _failure(self, rc: int, length: int = 0, *, receiving: bool = False) -> IPCError:
        """The exception for what a call of the core returned."""
        name = self._name or "anonymous ring"
        peer = "producer" if receiving else "consumer"
        plain: dict[int, IPCError] = {
            -errno.EBADMSG: LayoutError(f"the content of {name!r} is corrupt: an index or a length is out of bounds"),
            -errno.EOWNERDEAD: PeerDiedError(f"the {peer} of {name!r} died without closing it"),
            -errno.EBUSY: BusyError(errno.EBUSY, "another process or thread has this end of the ring", name),
            -errno.EPIPE: EndOfStreamError(f"the producer closed {name!r}, and all that it sent was received")
            if receiving
            else BrokenPeerError(errno.EPIPE, "the consumer closed its end, and the ring is full", name),
        }
        if rc == -errno.EBADF and self._closed:
            return ClosedError("SpscRing is closed")
        if rc in plain:
            return plain[rc]
        remedies = {
            -errno.EMSGSIZE: f"{length} bytes, and this ring holds at most {self.max_message_size}; "
            "create it with a larger capacity",
            -errno.EBADF: "somebody closed the ring's descriptors behind its back",
            -errno.ENOENT: "a ring needs /proc to tell the living from the dead; mount it",
        }
        return syscall_error(-rc, "receive" if receiving else "send", name, remedy=remedies.get(rc))

    def _describe(self) -> str:
        return f"{self._name!r} capacity={self._capacity}" if self._name else f"anonymous capacity={self._capacity}"

    def _release(self) -> None:
        ring, self._ring, self._lane = self._ring, _CLOSED, _CLOSED_LANE
        lib.ipk_spsc_close(ring)  # wakes and waits for a thread that is inside, which may need the GIL to leave
        # Unmapped when the last reference goes: that is here, or in the other thread's call.


def _after_fork_in_child() -> None:
    for ring in list(_mapped):
        quick.ipk_spsc_forked(ring._ring)


os.register_at_fork(after_in_child=_after_fork_in_child)
