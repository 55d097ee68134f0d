"""Messages longer than an SpscRing: as parts, one record each, or in a file, and one record that tells which."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._spill import RECORD_SIZE, Spilled, SpillFiles, announce, announced
from ipckit.errors import LayoutError, NotFoundError
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._parts import Assembly, part_size, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.ring._claims import Claims
    from ipckit.ring._inplace import Loan
    from ipckit.ring._lane import InPlaceLane

_T = TypeVar("_T")

_EAGAIN = -errno.EAGAIN


class Outgoing:
    """The sending side of one handle; one call at a time, as the core sees to.

    Methods return 0 or ``-errno``, as the core does.
    """

    __slots__ = ("_files", "_part", "_ring")

    def __init__(self, ring: Any, capacity: int, files: SpillFiles | None) -> None:
        self._ring = ring
        self._files = files
        self._part = part_size(capacity)

    @property
    def in_parts(self) -> bool:
        """Whether the receiver must be at work before all of a message has been sent."""
        return self._files is None

    def send(self, data: memoryview, deadline_ns: int) -> int:
        """Send the message *data*, bytes.

        Raises:
            LimitError: there is no memory for its file (ENOSPC).
        """
        return self._send_parts(data, deadline_ns) if self._files is None else self._send_file(data, deadline_ns)

    def _send_parts(self, data: memoryview, deadline_ns: int) -> int:
        rc = 0
        for part in parts_of(data, self._part):
            flags = (0 if part.first else lib.IPK_SPSC_REST) | (lib.IPK_SPSC_MORE if part.more else 0)
            with ffi.from_buffer(part.content) as content:
                rc = self._send_part(content, part.size, flags, deadline_ns)
            if rc:
                break
        return rc

    def _send_part(self, part: Any, message_bytes: int, flags: int, deadline_ns: int) -> int:
        size = len(part)
        core = lib if size > RELEASE_GIL_ABOVE else quick
        rc: int
        while (rc := core.ipk_spsc_try_send_part(self._ring, part, size, flags, message_bytes)) == _EAGAIN:
            rc = lib.ipk_spsc_wait_room(self._ring, size, deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def _reserve(self, given: Any, deadline_ns: int) -> int:
        rc: int
        while (rc := quick.ipk_spsc_try_reserve(self._ring, RECORD_SIZE, given)) == _EAGAIN:
            rc = lib.ipk_spsc_wait_room(self._ring, RECORD_SIZE, deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def _send_file(self, data: memoryview, deadline_ns: int) -> int:
        assert self._files is not None
        given = ffi.new("struct ipk_spsc_part *")
        key = None
        try:
            rc = self._reserve(given, deadline_ns)
            if rc:
                return rc
            key = self._files.write(data, position_of(self._ring, "tail"))
            record = announce(key, len(data))
            ffi.memmove(ffi.cast("char *", quick.ipk_spsc_data(self._ring)) + given.offset, record, len(record))
            rc = quick.ipk_spsc_commit_part(self._ring, len(record), lib.IPK_SPSC_FILE, len(data))
        except BaseException:
            if given.offset:
                quick.ipk_spsc_abort(self._ring)  # in vain if it was committed, and the exception came then
            if key is not None and position_of(self._ring, "tail") == key.position:
                self._files.remove(key)
            raise
        if rc:
            self._files.remove(key)
        return rc


class Incoming:
    """The receiving side of one handle; one call at a time, as the core sees to."""

    __slots__ = ("_assembly", "_files", "_key", "_ring")

    def __init__(self, ring: Any, files: SpillFiles | None) -> None:
        self._ring = ring
        self._files = files
        self._assembly = Assembly()
        self._key: Spilled | None = None

    @property
    def begun(self) -> bool:
        """Whether the beginning of a message is here, and not in the ring."""
        return self._assembly.begun

    def receive(self, deadline_ns: int, copy: Callable[[bytes | bytearray], _T]) -> _T | int:
        """What *copy* returns for the oldest message, whatever that comes in, which is received then; or ``-errno``.

        It stays in the ring where *copy* raises an exception.

        Raises:
            LayoutError: it is not what was announced; it is gone, and counted as lost.
        """
        lent = ffi.new("struct ipk_spsc_part *")
        try:
            message = self._take(lent, deadline_ns)
            if isinstance(message, int):
                return message
            copied = copy(message)
            self._finish(lent, self._key)
        finally:
            if lent.offset:
                quick.ipk_spsc_return_loan(self._ring)
        return copied

    def lend(self, deadline_ns: int, claims: Claims, finished: Callable[[], object]) -> Loan | int:
        """Lend the oldest message, as `receive`; it is the oldest until the loan is released, and *finished* called."""
        ring = self._ring
        lent = ffi.new("struct ipk_spsc_part *")
        try:
            message = self._take(lent, deadline_ns)
            if isinstance(message, int):
                return message
            release = partial(self._release, lent, self._key, finished)
            loan = claims.loan(0, len(message), release, partial(quick.ipk_spsc_return_loan, ring), memory=message)
            lent.offset = 0
        finally:
            if lent.offset:
                quick.ipk_spsc_return_loan(ring)
        return loan

    def forget(self) -> None:
        """Nobody will send the rest of the message whose beginning is here."""
        if self._assembly.begun:
            self._assembly.forget()
            quick.ipk_spsc_forget(self._ring)

    def _take(self, lent: Any, deadline_ns: int) -> bytes | bytearray | int:
        """The oldest message, on loan while there is an offset in *lent*, and in `_key` its file; or ``-errno``."""
        self._key = None
        while True:
            rc = quick.ipk_spsc_try_receive_part(self._ring, lent)
            if rc == _EAGAIN:
                rc = lib.ipk_spsc_wait_message(self._ring, deadline_ns)
                if rc in AGAIN:
                    continue
            if rc:
                if rc in {-errno.EPIPE, -errno.EOWNERDEAD}:
                    self.forget()
                return rc
            message = self._look_at(lent)
            if message is not None:
                return message
            lent.offset = 0

    def _finish(self, lent: Any, key: Spilled | None) -> None:
        """The message that is on loan is received."""
        kept, place = self._assembly.kept, self._place()
        try:
            self._assembly.forget()  # while it is still our turn
            quick.ipk_spsc_release(self._ring)
            lent.offset = 0
        except BaseException:  # of a signal handler
            if self._place() == place:
                self._assembly.kept = kept
            raise
        if key is not None and self._files is not None:
            self._files.remove(key)

    def _release(self, lent: Any, key: Spilled | None, finished: Callable[[], object]) -> None:
        self._finish(lent, key)
        finished()

    def _look_at(self, lent: Any) -> bytes | bytearray | None:
        """The message that the record on loan makes complete; None where there is none yet, and the loan has ended."""
        flags: int = lent.flags
        if self._assembly.begun and not flags & lib.IPK_SPSC_REST and not self._assembly.goes_on_at(self._place()):
            quick.ipk_spsc_return_loan(self._ring)
            self.forget()  # its sender gave up or died, and this is another message
            return None
        record = ffi.cast("char *", quick.ipk_spsc_data(self._ring)) + lent.offset
        if flags == 0:
            return bytes(ffi.buffer(record, lent.length))
        if flags == lib.IPK_SPSC_FILE:
            return self._look_into_file(ffi.buffer(record, lent.length)[:])
        if not self._assembly.begun and flags & lib.IPK_SPSC_REST:
            quick.ipk_spsc_skip_part(self._ring)  # whoever had the beginning is gone
            return None
        return self._add(record, lent.length, flags)

    def _add(self, record: Any, length: int, flags: int) -> bytearray | None:
        """Add a part to the message that is here, or begin one."""
        more = bool(flags & lib.IPK_SPSC_MORE)
        try:
            if flags & lib.IPK_SPSC_FILE:
                raise LayoutError("a record is both a part of a message and in a file")
            message = self._assembly.add(
                self._place(), -1, record, length, first=not flags & lib.IPK_SPSC_REST, more=more
            )
        except LayoutError:
            self._refuse(more=more)
            raise
        if message is None:
            quick.ipk_spsc_release(self._ring)
        return message

    def _place(self) -> int:
        """Where in the stream the record is that is on loan."""
        return position_of(self._ring, "head")

    def _look_into_file(self, record: bytes) -> bytes | None:
        try:
            if self._files is None:
                raise LayoutError("the content of the ring is corrupt: it has no files, and tells of one")
            key, size = announced(record)
            message = self._files.read(key, size)
        except NotFoundError:
            quick.ipk_spsc_skip_part(self._ring)  # somebody has cleaned up
            return None
        except LayoutError:
            self._refuse()
            raise
        self._key = key
        return message

    def _refuse(self, *, more: bool = False) -> None:
        """Let go of garbage, which would be in the way for ever; it counts as one lost message."""
        self._assembly.forget()
        quick.ipk_spsc_skip_part(self._ring)
        if more:
            quick.ipk_spsc_forget(self._ring)


class Roundabout:
    """The lane of a handle that has the beginning of a message: every receive goes by way of `Incoming.take`."""

    __slots__ = ("abort", "commit", "plain", "put_back", "release", "reserve", "send", "try_send", "try_send_many")

    def __init__(self, lane: InPlaceLane) -> None:
        self.plain = lane
        self.send = lane.send
        self.try_send = lane.try_send
        self.try_send_many = lane.try_send_many
        self.reserve = lane.reserve
        self.commit = lane.commit
        self.abort = lane.abort
        self.release = lane.release
        self.put_back = lane.put_back

    def receive(self, _deadline_ns: int, /) -> bytes | int:
        return -errno.EOVERFLOW

    def try_receive(self) -> bytes | int:
        return -errno.EOVERFLOW

    def lend(self, _deadline_ns: int, _claim: list[Any], /) -> int:
        return -errno.EOVERFLOW

    def try_receive_many(self, _n: int, /) -> list[bytes] | int:
        return -errno.EOVERFLOW


def position_of(ring: Any, end: str) -> int:
    """Where in the stream the ``"head"`` or the ``"tail"`` is, in bytes."""
    stat = ffi.new("struct ipk_spsc_stat *")
    quick.ipk_spsc_stat(ring, stat)
    position: int = getattr(stat, end)
    return position


def sweep(ring: Any, files: SpillFiles) -> None:
    """Remove the files that a dead sender or receiver has left."""

    def look() -> Callable[[Spilled], bool]:
        # In this order: what a new sender makes, after we have asked whether there is one, is not among the files.
        found = ffi.new("struct ipk_participant_info *")
        fd = quick.ipk_spsc_fd(ring)
        sender_gone = quick.ipk_segment_participant(fd, lib.IPK_SPSC_PRODUCER, found) == 0
        tail = position_of(ring, "tail")
        head = position_of(ring, "head")
        return lambda key: _before(key.position, head) or (sender_gone and not _before(key.position, tail))

    files.sweep(look)


def sweep_all(ring: Any, files: SpillFiles) -> None:
    """Remove all files, if the ring has lost its name, and nobody sends or receives any more."""
    found = ffi.new("struct ipk_participant_info *")
    fd = quick.ipk_spsc_fd(ring)
    if os.fstat(fd).st_nlink or any(quick.ipk_segment_participant(fd, role, found) for role in range(2)):
        sweep(ring, files)
    else:
        files.sweep(lambda: lambda _key: True)


def _before(one: int, other: int) -> bool:
    """Whether a free-running 64-bit position lies before another."""
    return 0 < (other - one) % (1 << 64) < 1 << 63
