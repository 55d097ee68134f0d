"""The calls of a lane for messages written and read where they lie: what a ring asks for, and how cffi does it."""

from __future__ import annotations

import errno
from typing import Any, ClassVar, Protocol

from ipckit._native import ffi

_EAGAIN = -errno.EAGAIN
AGAIN = (0, _EAGAIN, -errno.EINTR)  # after a wait: it is worth a try, a slice is over, a signal handler ran


class Sending(Protocol):
    """What a ring asks for messages that are written in place. Methods return ``-errno`` where they fail."""

    def reserve(self, n: int, deadline_ns: int, claim: list[Any], /) -> int:
        """Make room for *n* bytes, waiting for it, and append to *claim* where it is in the data; 0, or -errno."""

    def commit(self, length: int, /) -> int:
        """Send so much of the room; 0, or -errno."""

    def abort(self) -> object:
        """Give the room back."""


class Receiving(Protocol):
    """What it asks for those that are read in place."""

    def lend(self, deadline_ns: int, claim: list[Any], /) -> int:
        """Lend the next message, waiting for one, and append to *claim* where it is; its length, or -errno."""

    def release(self) -> object:
        """The message that is lent is received."""

    def put_back(self) -> object:
        """End the loan, and keep the message."""


class InPlace(Sending, Receiving, Protocol):
    """Both."""


class CffiInPlace:
    """The two calls that wait, of a lane on cffi, made of the core's calls that don't.

    A signal handler may raise between any two calls, so a field of the core's struct tells whether it gave us anything.
    """

    __slots__ = ()

    _STRUCT: ClassVar[str]
    """What the core fills, zeroed."""
    _TAKEN: ClassVar[str]
    """The field of it that is not 0 where something is claimed."""

    def reserve(self, n: int, deadline_ns: int, claim: list[Any], /) -> int:
        given = self._new()
        try:
            return self._reserve(n, given, deadline_ns)
        finally:
            if getattr(given, self._TAKEN):
                claim.append(given.offset)

    def _reserve(self, n: int, given: Any, deadline_ns: int) -> int:
        while (rc := self._try_reserve(n, given)) == _EAGAIN:
            rc = self._wait_room(n, deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def lend(self, deadline_ns: int, claim: list[Any], /) -> int:
        lent = self._new()
        try:
            rc = self._lend(lent, deadline_ns)
        finally:
            if getattr(lent, self._TAKEN):
                if self._is_elsewhere(lent):
                    self.put_back()
                else:
                    claim.append(lent.offset)
        return rc or (-errno.EOVERFLOW if self._is_elsewhere(lent) else lent.length)

    def _lend(self, lent: Any, deadline_ns: int) -> int:
        while (rc := self._try_lend(lent)) == _EAGAIN:
            rc = self._wait_message(deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def put_back(self) -> None:
        raise NotImplementedError

    def _new(self) -> Any:
        return ffi.new(self._STRUCT)

    def _is_elsewhere(self, lent: Any) -> bool:
        """Whether the record only tells of a message, or is a part of one."""
        raise NotImplementedError

    def _try_reserve(self, n: int, given: Any) -> int:
        raise NotImplementedError

    def _wait_room(self, n: int, deadline_ns: int) -> int:
        raise NotImplementedError

    def _try_lend(self, lent: Any) -> int:
        """0, or -errno."""
        raise NotImplementedError

    def _wait_message(self, deadline_ns: int) -> int:
        raise NotImplementedError
