"""What the handles of all rings have in common: how they come to be, fork, and let go."""

from __future__ import annotations

import errno
import os
import weakref
from typing import Any, ClassVar

from ipckit._arguments import spin_ns
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._segment import SegmentHandle, no_segment, segment_path, wrong_segment
from ipckit.errors import check
from ipckit.ring._claims import Claims

NO_CLAIMS = Claims(None, ffi.NULL, 0)
"""Those of a closed handle."""

_mapped: weakref.WeakSet[RingHandle] = weakref.WeakSet()


class Core:
    """The C core's calls for one kind of ring; between kinds, their names differ in one word."""

    __slots__ = ("_attach", "_create", "_kind", "_type", "_unmap", "_word", "closed", "fd", "forked", "set_spin")

    def __init__(self, word: str, kind: int) -> None:
        """The word, as in ``struct ipk_spsc``, and the number of the kind in a segment's header."""
        self._word = word
        self._kind = kind
        self._type = f"struct ipk_{word} *"
        self._create = getattr(lib, f"ipk_{word}_create")
        self._attach = getattr(lib, f"ipk_{word}_attach")
        self._unmap = getattr(quick, f"ipk_{word}_unmap")
        self.fd = getattr(quick, f"ipk_{word}_fd")
        self.set_spin = getattr(quick, f"ipk_{word}_set_spin")
        self.forked = getattr(quick, f"ipk_{word}_forked")
        self.closed: Any = ffi.new(self._type)  # what a closed handle points to: every call on it is -EBADF
        getattr(quick, f"ipk_{word}_close")(self.closed)

    def create(self, name: str | None, *arguments: Any) -> Any:
        """Make a ring, of those arguments of the core's call that follow the path, and return the view of it."""
        path = ffi.NULL if name is None else os.fsencode(segment_path(name))
        ring = ffi.new(self._type)
        check(self._create(ring, path, *arguments), f"ipk_{self._word}_create", name)
        return ffi.gc(ring, self._unmap)

    def attach(self, fd: int, name: str, what: str) -> Any:
        """Return a view of the ring behind *fd*, which becomes the view's own, also on failure."""
        info = ffi.new("struct ipk_segment_info *")
        quick.ipk_segment_inspect(fd, info)
        ring = ffi.new(self._type)
        rc = self._attach(ring, fd)
        if rc == -errno.ENOMSG:
            raise no_segment(name or fd, info)
        if rc == -errno.EPROTO:
            raise wrong_segment(name or fd, info, what, self._kind)
        check(rc, f"ipk_{self._word}_attach", name or fd)
        return ffi.gc(ring, self._unmap)


class RingHandle(SegmentHandle):
    """A handle of a ring. A subclass implements `create` and `_release`, and makes its own `Claims`."""

    __slots__ = ("_claims", "_ring")

    _CORE: ClassVar[Core]
    _claims: Claims

    def __init__(self, ring: Any, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__(name, unlink_on_close=unlink_on_close)
        self._ring = ring
        _mapped.add(self)

    @classmethod
    def _attach(cls, fd: int, name: str) -> Any:
        return cls(cls._CORE.attach(fd, name, cls._WHAT), name)

    def fileno(self) -> int:
        """The descriptor of the ring's memory, to hand over to another process; it cannot be polled."""
        fd: int = self._CORE.fd(self._ring)
        self._check_open()  # after the look: another thread may have closed it in between
        return fd

    def set_spin(self, seconds: float) -> None:
        """Spin for so long before sleeping; 0 never spins. The default is about one wake-up, some 40 microseconds."""
        budget_ns = spin_ns(seconds)
        self._check_open()
        self._CORE.set_spin(self._ring, budget_ns)

    def close(self) -> None:
        """Give up the roles, and let go of the ring in this process; the others are told.

        Reservations are aborted, loans returned. The name is unlinked only if `create` was told ``unlink_on_close``.

        Raises:
            BufferError: views of a reservation or of a loan are alive; the handle stays open and usable.
        """
        if not self._closed:
            self._claims.end()
        super().close()


def rounded(capacity: int, least: int) -> int:
    """The bytes of a ring that is to hold *capacity*: a power of two, a page at least."""
    return max(1 << (capacity - 1).bit_length(), os.sysconf("SC_PAGESIZE"), least)


def _after_fork_in_child() -> None:
    for ring in list(_mapped):
        ring._CORE.forked(ring._ring)


os.register_at_fork(after_in_child=_after_fork_in_child)
