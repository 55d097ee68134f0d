"""What both sides of an SpscRing share: its life, its numbers, its errors."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Literal

from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._ring_choices import SPSC_ON_CONSUMER_GONE, SPSC_OVERSIZE
from ipckit._spill import SpillFiles, check_room_for_files
from ipckit.errors import ClosedError, IPCError, check
from ipckit.ring._choices import check_choice
from ipckit.ring._claims import Claims
from ipckit.ring._errors import receiving_failure, sending_failure, too_large
from ipckit.ring._handle import NO_CLAIMS, Core, RingHandle, rounded
from ipckit.ring._lane import lane_of
from ipckit.ring._spsc_oversize import Incoming, Outgoing, sweep, sweep_all
from ipckit.ring._spsc_stat import SpscStat, participants

if TYPE_CHECKING:
    from typing_extensions import Self

    from ipckit.ring._lane import InPlaceLane

_RECORD_HEADER = 8

_CORE = Core("spsc", lib.IPK_KIND_SPSC)
_CLOSED_LANE = lane_of(_CORE.closed)


class SpscHandle(RingHandle):
    """A handle of a ring, as `SpscRing` describes it."""

    __slots__ = ("_capacity", "_drops", "_files", "_incoming", "_lane", "_outgoing")

    _WHAT = "ring"
    _CORE = _CORE

    def __init__(self, ring: Any, name: str, *, unlink_on_close: bool = False) -> None:
        stat = ffi.new("struct ipk_spsc_stat *")
        check(quick.ipk_spsc_stat(ring, stat), "ipk_spsc_stat", name)
        files = SpillFiles.beside(quick.ipk_spsc_fd(ring), name) if stat.options & lib.IPK_SPSC_FILES else None
        super().__init__(ring, name, unlink_on_close=unlink_on_close)
        self._lane: InPlaceLane = lane_of(ring)
        self._capacity: int = stat.capacity
        self._drops = bool(stat.options & lib.IPK_SPSC_DROPS)
        self._claims = Claims(ring, quick.ipk_spsc_data(ring), 2 * self._capacity, self._lane)
        self._files = files
        self._outgoing: Outgoing | None = None
        self._incoming: Incoming | None = None
        if stat.options & (lib.IPK_SPSC_FILES | lib.IPK_SPSC_PARTS):
            self._outgoing = Outgoing(ring, self._capacity, files)
            self._incoming = Incoming(ring, files)

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        capacity: int = 1 << 20,
        mode: int = 0o600,
        oversize: Literal["refuse", "fragments", "file"] = "refuse",
        on_consumer_gone: Literal["block", "error", "drop"] = "error",
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a ring; an anonymous one (a sealed memfd) if *name* is None.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``.
            capacity: bytes, rounded up to a power of two, 4 KiB to 2 GiB; a message takes its length, plus 8, rounded
                up to a multiple of 8.
            mode: permission bits, exact whatever the umask (an anonymous ring has no execute bits); whoever may write
                a named ring's file may also truncate it.
            oversize: what becomes of messages longer than `max_message_size`. They are refused; sent in fragments, for
                which the consumer must be at work; or put into files beside that of the ring, which must have a name
                then, 49 bytes shorter.
            on_consumer_gone: what becomes of messages when the ring is full, and the consumer closed or died. The
                producer waits for another one; gets an error; or drops the message, and it is counted.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity must be an int, in bytes, not {capacity!r}")
        if not 0 < capacity <= lib.IPK_SPSC_MAX_CAPACITY:
            raise ValueError(f"capacity must be 1 to {lib.IPK_SPSC_MAX_CAPACITY} bytes, not {capacity}")
        check_mode(mode)
        options = check_choice(oversize, "oversize", SPSC_OVERSIZE)
        options |= check_choice(on_consumer_gone, "on_consumer_gone", SPSC_ON_CONSUMER_GONE)
        if oversize == "file":
            check_room_for_files(name)
        ring = _CORE.create(name, rounded(capacity, lib.IPK_SPSC_MIN_CAPACITY), options, mode)
        return cls(ring, name or "", unlink_on_close=unlink_on_close and name is not None)

    @classmethod
    def _attach(cls, fd: int, name: str) -> Self:
        handle: Self = super()._attach(fd, name)
        if handle._files is not None:
            sweep(handle._ring, handle._files)
        return handle

    @property
    def capacity(self) -> int:
        """Size of the ring in bytes."""
        return self._capacity

    @property
    def max_message_size(self) -> int:
        """The longest message in bytes: it fits when the ring is empty."""
        return self._capacity - _RECORD_HEADER

    @property
    def depth(self) -> int:
        """Messages that have been sent and not received."""
        waiting: int = self._counters().waiting
        return waiting

    @property
    def producers(self) -> int:
        """How many living processes have the producer's role: 0 or 1."""
        return self._participants(lib.IPK_SPSC_PRODUCER)

    @property
    def consumers(self) -> int:
        """How many living processes have the consumer's role: 0 or 1."""
        return self._participants(lib.IPK_SPSC_CONSUMER)

    def stat(self) -> SpscStat:
        """Counters kept in the segment; reading them disturbs nobody."""
        return SpscStat.of(self._counters())

    def _counters(self) -> Any:
        stat = ffi.new("struct ipk_spsc_stat *")
        rc = quick.ipk_spsc_stat(self._ring, stat)
        self._check_open()
        check(rc, "ipk_spsc_stat", self._name)
        return stat

    def _participants(self, role: int) -> int:
        return check(participants(self.fileno(), role), "ipk_segment_participant", self._name)

    def _sending_failure(self, rc: int, length: int = 0) -> IPCError:
        """The exception for what a call of the core returned about a message of *length* bytes."""
        if rc == -errno.EBADF and self._closed:
            return ClosedError("SpscRing is closed")
        if rc == -errno.EMSGSIZE:
            return too_large(length, self.max_message_size, self._name)
        self._sweep_after(rc)
        return sending_failure(rc, self._name)

    def _receiving_failure(self, rc: int) -> IPCError:
        if rc == -errno.EBADF and self._closed:
            return ClosedError("SpscRing is closed")
        self._sweep_after(rc)
        return receiving_failure(rc, self._name)

    def _sweep_after(self, rc: int) -> None:
        files = self._files
        if rc == -errno.EOWNERDEAD and files is not None:
            sweep(self._ring, files)

    def _describe(self) -> str:
        return f"{self._name!r} capacity={self._capacity}" if self._name else f"anonymous capacity={self._capacity}"

    def _release(self) -> None:
        ring, self._ring, self._lane = self._ring, _CORE.closed, _CLOSED_LANE
        lib.ipk_spsc_close(ring)  # wakes and waits for a thread that is inside, which may need the GIL to leave
        if self._files is not None:
            sweep_all(ring, self._files)
        # Unmapped when the last reference goes: that is here, or in the other thread's call.
        self._claims, self._outgoing, self._incoming = NO_CLAIMS, None, None
