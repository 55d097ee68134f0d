"""The hot calls of `Latest`: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails. A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC; a wait ends
with -EBADF when another thread closes the handle, and with the exception of a signal handler that raises.
"""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._compiled import memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.ring._inplace_lane import AGAIN, Sending
from ipckit.ring._lane import RELEASE_GIL_ABOVE

_EAGAIN = -errno.EAGAIN
ESTALE = -errno.ESTALE
_EMSGSIZE = -errno.EMSGSIZE


class Lane(Sending, Protocol):
    """What `Latest` asks of its lane."""

    def send(self, value: bytes, /) -> int:
        """Publish; 0, or -errno."""

    def receive(self, deadline_ns: int, /) -> bytes | int:
        """The next value that is newer than all that the handle has returned, or -errno."""

    def try_receive(self) -> bytes | int:
        """The same without waiting."""

    def read(self, deadline_ns: int, /) -> bytes | int:
        """The newest value, or -errno."""


class CffiLane:
    """The lane for an installation without the extension: several times slower, and otherwise the same."""

    __slots__ = ("_latest",)

    def __init__(self, latest: Any) -> None:
        self._latest = latest  # keeps the memory mapped as long as a call is inside

    def send(self, value: bytes, /) -> int:
        core = lib if len(value) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_latest_send(self._latest, value, len(value))
        return rc

    def receive(self, deadline_ns: int, /) -> bytes | int:
        return self._take_by(1, deadline_ns)

    def try_receive(self) -> bytes | int:
        return self._take(1)

    def read(self, deadline_ns: int, /) -> bytes | int:
        return self._take_by(0, deadline_ns)

    def reserve(self, n: int, _deadline_ns: int, claim: list[Any], /) -> int:
        offset: int = quick.ipk_latest_reserve(self._latest, n)
        if offset < 0:
            return offset
        claim.append(offset)
        return 0

    def commit(self, length: int, /) -> int:
        rc: int = quick.ipk_latest_commit(self._latest, length)
        return rc

    def abort(self) -> None:
        quick.ipk_latest_abort(self._latest)

    def _take(self, newer: int) -> bytes | int:
        value = ffi.new("struct ipk_latest_value *")
        rc: int = ESTALE
        for _ in range(lib.IPK_LATEST_TRIES):
            rc = quick.ipk_latest_look(self._latest, newer, value)
            if rc == 0:
                into = bytearray(value.length)
                rc = read_into(self._latest, newer, into, value)
                if rc == 0:
                    return bytes(memoryview(into)[: value.length])
                if rc == _EMSGSIZE:  # a later one, which is longer
                    rc = ESTALE
            if rc != ESTALE:
                break
        return rc

    def _take_by(self, newer: int, deadline_ns: int) -> bytes | int:
        while (value := self._take(newer)) in (_EAGAIN, ESTALE):
            rc = wait(self._latest, value, deadline_ns)
            if rc not in AGAIN:
                return rc
        return value


def read_into(latest: Any, newer: int, into: Any, value: Any) -> int:
    """`ipk_latest_read` of the value, or one that came since, into a writable buffer."""
    buffer = ffi.from_buffer(into, require_writable=True)
    core = lib if value.length > RELEASE_GIL_ABOVE else quick
    rc: int = core.ipk_latest_read(latest, newer, buffer, len(buffer), value)
    return rc


def wait(latest: Any, why: Any, deadline_ns: int) -> int:
    """Wait until it is worth another attempt; *why*: what the last one returned, -EAGAIN or -ESTALE."""
    waiting = lib.ipk_latest_overtaken if why == ESTALE else lib.ipk_latest_wait
    rc: int = waiting(latest, deadline_ns)
    return rc


def lane_of(latest: Any) -> Lane:
    """The fastest lane of this installation for the object at that pointer."""
    return memory_lane("LatestLane", latest) or CffiLane(latest)
