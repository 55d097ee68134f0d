"""What writers and readers of a BroadcastRing share: its life and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from ipckit._arguments import check_int
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._ring_choices import BROADCAST_OVERSIZE, BROADCAST_SLOW_READER, words_of
from ipckit._spill import SpillFiles, check_room_for_files
from ipckit.errors import check
from ipckit.ring._broadcast_lane import lane_of
from ipckit.ring._broadcast_oversize import LongMessages
from ipckit.ring._choices import check_choice
from ipckit.ring._claims import Claims
from ipckit.ring._handle import NO_CLAIMS, Core, RingHandle, rounded

if TYPE_CHECKING:
    from typing_extensions import Self

SlowReader = Literal["block", "overwrite", "disconnect"]

_RECORD_HEADER = 16
_POLICY_NAMES = words_of(BROADCAST_SLOW_READER)

_CORE = Core("broadcast", lib.IPK_KIND_BROADCAST)
_CLOSED_LANE = lane_of(_CORE.closed)


class BroadcastStat(NamedTuple):
    """A snapshot of a ring; its counters may be of slightly different moments."""

    capacity: int
    """bytes"""
    used: int
    """bytes that are retained, 16 bytes of header and up to 7 of padding for each message included"""
    sent: int
    """messages"""
    received: int
    """messages, by all readers that ever were: a message that three have received counts three times"""
    bytes_sent: int
    """bytes of messages"""
    bytes_received: int
    """bytes of messages"""
    full_waits: int
    """times that a writer slept because a reader was in the way"""
    empty_waits: int
    """times that a reader slept"""
    wakes: int
    """wake-up calls; one wakes all readers that sleep"""
    lost: int
    """messages that were overwritten before a reader had them, by all readers that noticed"""
    recoveries: int
    """writers that died amid a message"""

    @classmethod
    def of(cls, counters: Any) -> BroadcastStat:
        """The core's *counters* as people read them."""
        return cls(*(getattr(counters, field) for field in cls._fields))


class BroadcastHandle(RingHandle):
    """A handle of a ring, as `BroadcastRing` describes it."""

    __slots__ = ("_capacity", "_lane", "_long", "_lost", "_policy")

    _WHAT = "broadcast ring"
    _CORE = _CORE

    def __init__(self, ring: Any, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__(ring, name, unlink_on_close=unlink_on_close)
        stat = ffi.new("struct ipk_broadcast_stat *")
        check(quick.ipk_broadcast_stat(ring, stat), "ipk_broadcast_stat", name)
        self._lane = lane_of(ring)
        self._capacity: int = stat.capacity
        self._policy: int = stat.policy
        self._lost = 0
        self._claims = Claims(ring, quick.ipk_broadcast_data(ring), 2 * self._capacity, self._lane)
        self._long: LongMessages | None = None
        if stat.oversize:
            in_files = stat.oversize == lib.IPK_BROADCAST_FILES
            files = SpillFiles.beside(quick.ipk_broadcast_fd(ring), name) if in_files else None
            self._long = LongMessages(ring, self._capacity, files)

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        capacity: int = 1 << 20,
        slow_reader: SlowReader = "block",
        oversize: Literal["refuse", "fragments", "file"] = "refuse",
        participants: int = 64,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a ring; an anonymous one (a sealed memfd) if *name* is None.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``.
            capacity: bytes, rounded up to a power of two, 4 KiB to 2 GiB; a message takes its length, plus 16, rounded
                up to a multiple of 8, and at most half of the ring.
            slow_reader: what happens when a reader has still to receive what is in the way of the next message.
                ``"block"``: the writer waits for it. ``"overwrite"``: the reader goes on with the oldest message left,
                and is told how many it lost. ``"disconnect"``: it receives nothing more until it subscribes again.
            oversize: what becomes of messages longer than `max_message_size`. They are refused; sent in fragments, for
                which the readers must be at work, so it takes ``slow_reader="block"``; or put into files beside that of
                the ring, which must have a name then, 49 bytes shorter. At most eight files are retained.
            participants: how many handles may be writers or readers at a time, 1 to 4096; each takes 128 bytes.
            mode: permission bits, exact whatever the umask (an anonymous ring has no execute bits); whoever may write
                a named ring's file may also truncate it. Readers, too, need to write it: their positions are there.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_int(capacity, "capacity", 1, lib.IPK_BROADCAST_MAX_CAPACITY, "bytes")
        check_int(participants, "participants", 1, lib.IPK_ROSTER_MAX, "how many")
        policy = check_choice(slow_reader, "slow_reader", BROADCAST_SLOW_READER)
        choice = check_choice(oversize, "oversize", BROADCAST_OVERSIZE)
        if oversize == "fragments" and slow_reader != "block":
            raise ValueError(
                f"oversize='fragments' needs slow_reader='block', not {slow_reader!r}: writers that wait for nobody "
                "overwrite the beginning of a long message before a reader that sleeps has it; choose oversize='file'"
            )
        if oversize == "file":
            check_room_for_files(name)
        check_mode(mode)
        size = rounded(capacity, lib.IPK_BROADCAST_MIN_CAPACITY)
        ring = _CORE.create(name, size, policy | choice, participants, mode)
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
        """The longest message in bytes: half of the ring, so that the next message never overwrites the newest.

        What becomes of those that are longer is the creator's choice.
        """
        return self._capacity // 2 - _RECORD_HEADER

    @property
    def slow_reader(self) -> SlowReader:
        """What the creator chose: ``"block"``, ``"overwrite"`` or ``"disconnect"``."""
        return cast("SlowReader", _POLICY_NAMES[self._policy])

    @property
    def depth(self) -> int:
        """How many messages wait for this handle, those that are lost already included; 0 if it is no reader."""
        depth: int = self._counters().depth
        return depth

    @property
    def lost(self) -> int:
        """How many messages MessagesLostError has told this handle it lost."""
        return self._lost

    @property
    def producers(self) -> int:
        """How many living writers there are. A handle is one from its first send to its close."""
        return self._living("producers")

    @property
    def consumers(self) -> int:
        """How many living readers there are; those that were disconnected are none."""
        return self._living("consumers")

    def stat(self) -> BroadcastStat:
        """Counters kept in the segment; reading them disturbs nobody."""
        stat = self._counters()
        return BroadcastStat.of(stat)

    def _counters(self) -> Any:
        stat = ffi.new("struct ipk_broadcast_stat *")
        rc = quick.ipk_broadcast_stat(self._ring, stat)
        self._check_open()
        check(rc, "ipk_broadcast_stat", self._name)
        return stat

    def _living(self, role: str) -> int:
        quick.ipk_broadcast_bury(self._ring)
        number: int = getattr(self._counters(), role)
        return number

    def _describe(self) -> str:
        name = repr(self._name) if self._name else "anonymous"
        return f"{name} capacity={self._capacity} slow_reader={self.slow_reader!r}"

    def _release(self) -> None:
        ring, self._ring, self._lane = self._ring, _CORE.closed, _CLOSED_LANE
        lib.ipk_broadcast_close(ring)  # waits for a thread that is inside, which may need the GIL to leave
        if self._long is not None:
            self._long.sweep_all()
        self._long = None
        # Unmapped when the last reference goes: that is here, or in the other thread's call.
        self._claims = NO_CLAIMS
