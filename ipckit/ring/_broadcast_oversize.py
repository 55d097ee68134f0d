"""Messages longer than half of a BroadcastRing: as parts, one record each, or in a file that one record tells of."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._spill import RECORD_SIZE, announce, announced
from ipckit.errors import LayoutError, NotFoundError
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._parts import Assembly, part_size, parts_of

if TYPE_CHECKING:
    from ipckit._spill import SpillFiles
    from ipckit.ring._claims import Claims
    from ipckit.ring._inplace import Loan

_RECORD_HEADER = 16
_EAGAIN = -errno.EAGAIN
LONG = -errno.EOVERFLOW
"""The core's answer where the next message is one of these."""


class LongMessages:
    """The long messages of one ring, for one handle. Safe to share between threads.

    A file is there from before its record is committed until after that has left the ring, so whoever finds the record
    finds the file. What the ring has got past, the next sender of a long message removes, who opens the ring, and who
    closes it.
    """

    __slots__ = ("_assembly", "_data", "_files", "_part", "_ring", "_room")

    def __init__(self, ring: Any, capacity: int, files: SpillFiles | None) -> None:
        """*files* where messages go into such, else they go in parts."""
        self._ring = ring
        self._data = ffi.cast("char *", quick.ipk_broadcast_data(ring))
        self._files = files
        self._part = part_size(capacity)
        self._room = capacity // 8 - _RECORD_HEADER  # for a record: that many files are retained at the most
        self._assembly = Assembly()  # of the thread that has a part taken

    @property
    def in_parts(self) -> bool:
        """Whether the readers must be at work before all of a message has been sent."""
        return self._files is None

    def send(self, data: memoryview, deadline_ns: int) -> int:
        """Send the message *data*, bytes; 0, or ``-errno``.

        Raises:
            LimitError: there is no memory for its file (ENOSPC).
        """
        if self._files is None:
            return self._send_parts(data, deadline_ns)
        return self._send_file(data, deadline_ns, self._files)

    def receive(self) -> bytes | int:
        """The next message, if it is a long one that is here as a whole; ``-EAGAIN`` if not, or another ``-errno``.

        Raises:
            LayoutError: it is not what was announced; it is gone, and counted as lost.
        """
        part = ffi.new("struct ipk_broadcast_part *")
        try:
            message = self._take(part)
            if isinstance(message, int):
                return message
            received = bytes(message)
            self._pass(part, len(received))
        finally:
            if part.taken == 1:
                quick.ipk_broadcast_return_part(self._ring, part)
        return received

    def receive_into(self, into: Any) -> int:
        """Copy the next message into a cffi buffer, as `receive`, and return its length.

        A length of more than that of the buffer: the message is still the next one.
        """
        part = ffi.new("struct ipk_broadcast_part *")
        try:
            message = self._take(part)
            if isinstance(message, int):
                return message
            length = len(message)
            if length <= len(into):
                ffi.memmove(into, message, length)
                self._pass(part, length)
        finally:
            if part.taken == 1:
                quick.ipk_broadcast_return_part(self._ring, part)
        return length

    def lend(self, claims: Claims) -> Loan | int:
        """Lend a copy of the next message, as `receive`; it is the next one until the loan is released."""
        ring = self._ring
        part = ffi.new("struct ipk_broadcast_part *")
        try:
            message = self._take(part)
            if isinstance(message, int):
                return message
            quick.ipk_broadcast_lend_part(ring, part, len(message))
            put_back = partial(quick.ipk_broadcast_return_loan, ring)
            return claims.loan(0, len(message), partial(self._release), put_back, memory=message)
        except BaseException:
            if part.taken > 1:
                quick.ipk_broadcast_return_loan(ring)
            raise
        finally:
            if part.taken == 1:
                quick.ipk_broadcast_return_part(self._ring, part)

    def forget(self) -> None:
        """Nobody will send the rest of a message whose beginning is here, or nobody wants it."""
        self._assembly.forget()

    def sweep(self) -> None:
        """Remove the files that nothing in the ring tells of."""
        if self._files is not None:
            ring = self._ring
            self._files.sweep(lambda: lambda key: quick.ipk_broadcast_forsaken(ring, key.position) == 1)

    def sweep_all(self) -> None:
        """Remove all files, if the ring has lost its name, and nobody writes or reads any more."""
        ring, files = self._ring, self._files
        if files is None:
            return
        if os.fstat(quick.ipk_broadcast_fd(ring)).st_nlink or not quick.ipk_broadcast_alone(ring):
            self.sweep()
        else:
            files.sweep(lambda: lambda _key: True)

    def _send_parts(self, data: memoryview, deadline_ns: int) -> int:
        amid = ffi.new("uint32_t *")
        try:  # no loop in here: where a signal handler raises at its jump back, CPython 3.13 leaves `finally` out
            return self._send_each_part(data, amid, deadline_ns)
        finally:
            if amid[0]:
                quick.ipk_broadcast_end_parts(self._ring)

    def _send_each_part(self, data: memoryview, amid: Any, deadline_ns: int) -> int:
        rc = 0
        for part in parts_of(data, self._part):
            flags = (0 if part.first else lib.IPK_BROADCAST_REST) | (lib.IPK_BROADCAST_MORE if part.more else 0)
            with ffi.from_buffer(part.content) as content:
                rc = self._send_part(content, flags, len(data), amid, deadline_ns)
            if rc:
                break
        return rc

    def _send_part(self, part: Any, flags: int, message_bytes: int, amid: Any, deadline_ns: int) -> int:
        ring, size = self._ring, len(part)
        core = lib if size > RELEASE_GIL_ABOVE else quick
        rc: int
        while (rc := core.ipk_broadcast_try_send_part(ring, part, size, flags, message_bytes, amid)) == _EAGAIN:
            rc = lib.ipk_broadcast_wait_room(ring, size, deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def _reserve(self, claim: Any, deadline_ns: int) -> int:
        rc: int
        while rc := quick.ipk_broadcast_try_reserve(self._ring, self._room, claim):
            if rc == _EAGAIN:
                rc = lib.ipk_broadcast_wait_room(self._ring, self._room, deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def _send_file(self, data: memoryview, deadline_ns: int, files: SpillFiles) -> int:
        self.sweep()
        ring, room = self._ring, self._room
        claim = ffi.new("struct ipk_broadcast_claim *")
        key = None
        try:
            rc = self._reserve(claim, deadline_ns)
            if rc:
                return rc
            key = files.write(data, claim.position)
            ffi.memmove(self._data + claim.offset, announce(key, len(data)), RECORD_SIZE)
            rc = quick.ipk_broadcast_commit_part(ring, room, lib.IPK_BROADCAST_FILE, len(data), claim)
            if rc:
                self.sweep()  # another thread has closed the ring: then nobody will commit it
        except BaseException:
            if claim.taken:  # else it was committed, and the exception came then
                quick.ipk_broadcast_abort(ring)
                if key is not None:
                    files.remove(key)
            raise
        return rc

    def _take(self, part: Any) -> bytes | bytearray | int:
        """The message that the next record makes complete, and that record in *part*; or ``-errno``."""
        while True:
            rc: int = quick.ipk_broadcast_try_part(self._ring, part)
            if rc:
                return rc
            if not part.flags:
                return _EAGAIN  # another thread has received what was before it
            message = self._look_into_file(part) if part.flags & lib.IPK_BROADCAST_FILE else self._add(part)
            if message is not None:
                return message

    def _add(self, part: Any) -> bytearray | None:
        """Add the part to what is here; None where that is no message yet, and the part is passed."""
        first = not part.flags & lib.IPK_BROADCAST_REST
        more = bool(part.flags & lib.IPK_BROADCAST_MORE)
        message = None
        if first or self._assembly.goes_on_at(part.position):  # else we have begun to read amid a message
            content = self._data + part.offset
            try:
                message = self._assembly.add(part.position, part.after, content, part.length, first=first, more=more)
            except LayoutError:
                quick.ipk_broadcast_skip_part(self._ring, part)
                raise
        if message is None:
            quick.ipk_broadcast_pass_part(self._ring, part, -1)
        return message

    def _look_into_file(self, part: Any) -> bytes | None:
        """The message in the file; None where a writer was faster, and the record is gone."""
        try:
            if self._files is None:
                raise LayoutError("the content of the ring is corrupt: it has no files, and tells of one")
            key, size = announced(bytes(ffi.buffer(part.file)))
            return self._files.read(key, size)
        except NotFoundError as error:
            if quick.ipk_broadcast_forsaken(self._ring, part.position):
                quick.ipk_broadcast_return_part(self._ring, part)
                return None
            quick.ipk_broadcast_skip_part(self._ring, part)
            raise LayoutError(f"somebody has removed the file of a message: {error}") from None
        except LayoutError:
            quick.ipk_broadcast_skip_part(self._ring, part)
            raise

    def _pass(self, part: Any, message_bytes: int) -> None:
        """The message that the part makes complete is received."""
        kept = self._assembly.kept
        try:
            self._assembly.forget()  # while it is still our turn
            quick.ipk_broadcast_pass_part(self._ring, part, message_bytes)
        except BaseException:  # of a signal handler
            if part.taken:
                self._assembly.kept = kept
            raise

    def _release(self) -> None:
        self._assembly.forget()
        quick.ipk_broadcast_release(self._ring)
