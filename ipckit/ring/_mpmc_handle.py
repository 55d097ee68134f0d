"""What both sides of an MpmcRing share: its life, its numbers, its errors."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ipckit._arguments import check_int
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._ring_choices import MPMC_ON_CONSUMER_DEATH, MPMC_ON_CONSUMER_GONE, MPMC_OVERSIZE
from ipckit._spill import SpillFiles, check_room_for_files
from ipckit.errors import ClosedError, IPCError, LayoutError, StalledError, check, syscall_error
from ipckit.ring._choices import check_choice
from ipckit.ring._claims import Claims
from ipckit.ring._errors import receiving_failure, sending_failure, too_large
from ipckit.ring._handle import NO_CLAIMS, Core, RingHandle, rounded
from ipckit.ring._mpmc_lane import claims_of, lane_of
from ipckit.ring._mpmc_oversize import LongMessages

if TYPE_CHECKING:
    from typing_extensions import Self

_RECORD_HEADER = 8
_MOST = (1 << 32) - 1
_CROWDED = "the ring has as many participants as it may, and all live; create it with more"

_CORE = Core("mpmc", lib.IPK_KIND_MPMC)
_CLOSED_LANE = lane_of(_CORE.closed)
_CLOSED_CLAIM = claims_of(_CORE.closed, _CLOSED_LANE)  # made now: at the end of the interpreter nothing is imported


class MpmcStat(NamedTuple):
    """A snapshot of a ring; its parts may be of slightly different moments."""

    capacity: int
    """bytes"""
    used: int
    """bytes in use, 8 bytes of header and up to 7 of padding for each message included"""
    depth: int
    """messages that wait to be received, those that are not yet committed included"""
    sent: int
    """messages"""
    received: int
    """messages"""
    bytes_sent: int
    """bytes of messages"""
    bytes_received: int
    """bytes of messages"""
    full_waits: int
    """times that a producer slept"""
    empty_waits: int
    """times that a consumer slept"""
    wakes: int
    """wake-up calls"""
    lost: int
    """messages dropped for want of a consumer, or lost with the one that had taken them"""
    recoveries: int
    """claims of the dead that others repaired"""

    @classmethod
    def of(cls, counters: Any) -> MpmcStat:
        """The core's *counters* as people read them."""
        return cls(*(getattr(counters, field) for field in cls._fields))


def options_of(
    *,
    capacity: int,
    max_messages: int,
    participants: int,
    on_consumer_death: str = "redeliver",
    on_consumer_gone: str,
    oversize: str,
) -> Any:
    """The arguments of `MpmcRing.create` as the core takes them.

    Raises:
        TypeError, ValueError: one of them is none.
    """
    check_int(capacity, "capacity", 1, lib.IPK_MPMC_MAX_CAPACITY, "bytes")
    options = ffi.new("struct ipk_mpmc_options *")
    options.capacity = rounded(capacity, lib.IPK_MPMC_MIN_CAPACITY)
    options.max_messages = check_int(max_messages, "max_messages", 0, _MOST, "messages; 0: as many as fit")
    options.participants = check_int(participants, "participants", 1, lib.IPK_ROSTER_MAX, "handles with a role")
    options.on_consumer_death = check_choice(on_consumer_death, "on_consumer_death", MPMC_ON_CONSUMER_DEATH)
    options.on_consumer_gone = check_choice(on_consumer_gone, "on_consumer_gone", MPMC_ON_CONSUMER_GONE)
    options.oversize = check_choice(oversize, "oversize", MPMC_OVERSIZE)
    return options


class MpmcHandle(RingHandle):
    """A handle of a ring, as `MpmcRing` describes it."""

    __slots__ = ("_capacity", "_lane", "_long", "_new_claim")

    _long: LongMessages | None

    _WHAT = "ring for many"
    _CORE = _CORE

    def __init__(self, ring: Any, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__(ring, name, unlink_on_close=unlink_on_close)
        chosen = ffi.new("struct ipk_mpmc_options *")
        quick.ipk_mpmc_chosen(ring, chosen)
        self._lane = lane_of(ring)
        self._new_claim = claims_of(ring, self._lane)
        self._capacity: int = chosen.capacity
        self._claims = Claims(ring, quick.ipk_mpmc_data(ring), 2 * self._capacity, self._lane)
        self._long = None
        if chosen.oversize == lib.IPK_MPMC_FILES:
            self._long = LongMessages(ring, SpillFiles.beside(quick.ipk_mpmc_fd(ring), name))

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        capacity: int = 1 << 20,
        mode: int = 0o600,
        max_messages: int = 0,
        participants: int = lib.IPK_MPMC_PARTICIPANTS,
        on_consumer_death: Literal["redeliver", "lose"] = "redeliver",
        on_consumer_gone: Literal["block", "error", "drop"] = "error",
        oversize: Literal["refuse", "file"] = "refuse",
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a ring; an anonymous one (a sealed memfd) if *name* is None.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``.
            capacity: bytes, rounded up to a power of two, 4 KiB to 2 GiB; a message takes its length, plus 8, rounded
                up to a multiple of 8.
            mode: permission bits, exact whatever the umask (an anonymous ring has no execute bits); whoever may write
                a named ring's file may also truncate it.
            max_messages: in the ring at a time, those that are being received included; 0: as many as fit.
            participants: handles that have a role at a time, at most 4096; each takes 128 bytes.
            on_consumer_death: what becomes of messages that a killed consumer had taken and not released: another one
                receives them, or they are lost, and counted.
            on_consumer_gone: what becomes of messages when the ring is full, there have been consumers, and the last
                one closed or died. The producer waits for another one; gets an error; or drops the message, and it is
                counted.
            oversize: what becomes of messages longer than `max_message_size`. They are refused; or each goes through a
                file beside the ring's, which whoever receives it removes. That takes a name.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_mode(mode)
        if oversize == "file":
            check_room_for_files(name)
        options = options_of(
            capacity=capacity,
            max_messages=max_messages,
            participants=participants,
            on_consumer_death=on_consumer_death,
            on_consumer_gone=on_consumer_gone,
            oversize=oversize,
        )
        return cls._create(name, options, mode, unlink_on_close=unlink_on_close)

    @classmethod
    def _create(cls, name: str | None, options: Any, mode: int, *, unlink_on_close: bool) -> Self:
        ring = _CORE.create(name, options, mode)
        return cls(ring, name or "", unlink_on_close=unlink_on_close and name is not None)

    @classmethod
    def _attach(cls, fd: int, name: str) -> Self:
        handle: Self = super()._attach(fd, name)
        if handle._long is not None:
            handle._long.sweep()
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
    def max_messages(self) -> int:
        """How many messages there may be in the ring at a time; 0: as many as fit."""
        chosen = ffi.new("struct ipk_mpmc_options *")
        quick.ipk_mpmc_chosen(self._ring, chosen)
        self._check_open()
        most: int = chosen.max_messages
        return most

    @property
    def depth(self) -> int:
        """Messages that wait to be received, those that are not yet committed included."""
        return self.stat().depth

    @property
    def producers(self) -> int:
        """How many living handles have the role of a producer."""
        return self._living(lib.IPK_ROSTER_PRODUCER)

    @property
    def consumers(self) -> int:
        """How many living handles have the role of a consumer."""
        return self._living(lib.IPK_ROSTER_CONSUMER)

    def stat(self) -> MpmcStat:
        """Counters kept in the segment; reading them disturbs nobody."""
        stat = ffi.new("struct ipk_mpmc_stat *")
        rc = quick.ipk_mpmc_stat(self._ring, stat)
        self._check_open()
        check(rc, "ipk_mpmc_stat", self._name)
        return MpmcStat.of(stat)

    def _living(self, role: int) -> int:
        rc = quick.ipk_mpmc_living(self._ring, role)
        self._check_open()
        return check(rc, "ipk_mpmc_living", self._name)

    def _failure(self, rc: int, length: int = 0, *, receiving: bool = False) -> IPCError:
        """The exception for what a call of the core, or of the lane, returned; *length*: of the message, in bytes."""
        name, verb = self._name or "anonymous ring", "receive" if receiving else "send"
        if rc == -errno.EBADF and self._closed:
            return ClosedError(f"{type(self).__name__} is closed")
        if rc == -errno.EOWNERDEAD and self._long is not None:
            self._long.sweep()
        pid, number = divmod(-rc, 1 << 16)
        if pid:
            return _stalled(pid, verb, name)
        if number == errno.EMSGSIZE:
            return too_large(length, self.max_message_size, self._name)
        if number == errno.ENOSPC:
            return syscall_error(number, verb, name, remedy=_CROWDED)
        if receiving:
            return receiving_failure(rc, self._name, who="the last producer")
        return sending_failure(rc, self._name, who="the last consumer")

    def _long_messages(self) -> LongMessages:
        """Where the long messages are, of which a record tells."""
        self._check_open()
        if self._long is None:
            raise LayoutError(
                f"the content of {self._name or 'the ring'!r} is corrupt: it has no files, and tells of one"
            )
        return self._long

    def _describe(self) -> str:
        return f"{self._name!r} capacity={self._capacity}" if self._name else f"anonymous capacity={self._capacity}"

    def _release(self) -> None:
        ring, self._ring, self._lane = self._ring, _CORE.closed, _CLOSED_LANE
        self._new_claim = _CLOSED_CLAIM
        lib.ipk_mpmc_close(ring)  # wakes the waiters among our threads, and may wait for a lock
        if self._long is not None:
            self._long.sweep_all()
        self._long = None
        # Unmapped when the last reference goes: that is here, or in another thread's call.
        self._claims = NO_CLAIMS


def _stalled(pid: int, verb: str, name: str) -> StalledError:
    error = StalledError(errno.ETIMEDOUT, f"The time given is up (what is in the way is with process {pid})", name)
    error.syscall = verb
    error.pid = pid
    return error
