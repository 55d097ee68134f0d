"""Messages too long for an MpmcRing: each in a file, and a record with a tag that tells in which."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._spill import RECORD_SIZE, announce, announced
from ipckit.errors import LayoutError, NotFoundError
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._mpmc_lane import wait_room

if TYPE_CHECKING:
    from ipckit._spill import Spilled, SpillFiles

_POSITION = (1 << 32) - 1
_EAGAIN = -errno.EAGAIN
_ROLES = (lib.IPK_ROSTER_PRODUCER, lib.IPK_ROSTER_CONSUMER)


class LongMessages:
    """The long messages of one ring, for one handle. Safe to share between threads.

    A file is there from before its record is committed until its message is received: so one whose place the ring has
    got past belongs to nobody, `sweep`.
    """

    __slots__ = ("_data", "_files", "_ring")

    def __init__(self, ring: Any, files: SpillFiles) -> None:
        self._ring = ring
        self._data = ffi.cast("char *", quick.ipk_mpmc_data(ring))
        self._files = files

    def send(self, data: memoryview, deadline_ns: int) -> int:
        """Send the message *data*, bytes. Returns what the core says.

        Raises:
            LimitError: there is no memory for its file (ENOSPC).
        """
        ring, files = self._ring, self._files
        claim = ffi.new("struct ipk_mpmc_claim *")
        key = None
        try:
            rc = self._reserve(claim, deadline_ns)
            if rc:
                return rc
            key = files.write(data, claim.place & _POSITION)
            ffi.memmove(self._data + claim.offset, announce(key, len(data)), RECORD_SIZE)
            rc = quick.ipk_mpmc_commit(ring, claim, RECORD_SIZE, 1)
        except BaseException:
            # In vain if it was committed, and the exception came then.
            if claim.member and quick.ipk_mpmc_abort(ring, claim) == 0 and key is not None:
                files.remove(key)
            raise
        if rc:
            files.remove(key)
        return rc

    def _reserve(self, claim: Any, deadline_ns: int) -> int:
        rc: int
        while rc := quick.ipk_mpmc_try_reserve(self._ring, RECORD_SIZE, claim):
            if rc == _EAGAIN:
                rc = wait_room(self._ring, RECORD_SIZE, deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def receive(self) -> bytes | int:
        """The oldest message, which is not always the one that was seen to be long; or ``-errno``.

        Raises:
            LayoutError: what the record says of the file is not true; the message is gone.
        """
        ring = self._ring
        loan = ffi.new("struct ipk_mpmc_claim *")
        done = False
        try:
            rc: int = quick.ipk_mpmc_try_receive(ring, loan, 1)
            if rc < 0:
                return rc
            message, key = self.read(loan)
            self.remove(key)
            done = True
        except LayoutError:
            done = True
            raise
        finally:
            if loan.member:
                (quick.ipk_mpmc_release if done else quick.ipk_mpmc_return_loan)(ring, loan, 1)
        return _EAGAIN if message is None else message

    def read(self, loan: Any) -> tuple[bytes | None, Spilled | None]:
        """The message that is on loan, and its file; None if one received it who was killed before he released it."""
        content: bytes = ffi.unpack(self._data + loan.offset, loan.length)
        if not loan.tag:
            return content, None
        key, size = announced(content)
        try:
            return self._files.read(key, size), key
        except NotFoundError:
            return None, key

    def remove(self, key: Spilled | None) -> None:
        """Remove the file, before its message is released: the ring then gets past its place."""
        if key is not None:
            self._files.remove(key)

    def sweep(self) -> None:
        """Remove the files that belong to nobody."""
        ring = self._ring
        self._files.sweep(lambda: lambda key: quick.ipk_mpmc_passed(ring, key.position) == 1)

    def sweep_all(self) -> None:
        """Remove all files, if the ring has no name, or lost it, and nobody sends or receives any more."""
        ring = self._ring
        alone = not any(quick.ipk_mpmc_living(ring, role) for role in _ROLES)
        if alone and not os.fstat(quick.ipk_mpmc_fd(ring)).st_nlink:
            self._files.sweep(lambda: lambda _key: True)
        else:
            self.sweep()
