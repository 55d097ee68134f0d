"""Data that goes from one descriptor to another inside the kernel, with waits on both sides: splice(2), sendfile(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._retry import expired
from ipckit._wait import FOREVER, Deadline, wait_fd
from ipckit.errors import SyscallError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit._sides import Side, Source, Target


class Transfer:
    """One way for data to go.

    Args:
        source: None where the data is in memory.
        call: the system call.
        attempt: does it: moves at most so many bytes, and returns how many; BlockingIOError where that would wait.
    """

    __slots__ = ("_asks", "_attempt", "_call", "_sides", "_source", "_target")

    def __init__(self, source: Source | None, target: Target, call: str, attempt: Callable[[int], int]) -> None:
        if target.is_pipe and target.packet != (source is not None and source.packet):
            raise ValueError(f"source and target must both be in packet mode, or neither: {call} makes no packets")
        self._source = source
        self._target = target
        # Always the source first: no two threads can then wait for each other's turn.
        self._sides: list[Side] = [target] if source is None else [source, target]
        self._asks = target.asks or (source is not None and source.asks)
        self._call = call
        self._attempt = attempt

    def run(self, size: int | None, deadline: Deadline | None, *, once: bool = False) -> int:
        """Move *size* bytes, or all until the source has no more; return how many went.

        Args:
            once: whether the first call that moves something is the last.

        Raises:
            TimeoutExpired, BrokenPeerError: their ``completed`` says how many bytes went.
        """
        return self._inside(0, size, deadline, once=once)

    def _inside(self, at: int, size: int | None, deadline: Deadline | None, *, once: bool) -> int:
        """Do it inside of the sides from that index on: their descriptors stay, and their turns are ours."""
        if at == len(self._sides):
            return self._move(size, deadline, once=once)
        side = self._sides[at]
        with side.in_use():
            turn = side.turn
            if turn is None:
                return self._prepared(at, size, deadline, once=once)
            assert side.handle is not None
            lock = turn.take(side.handle, deadline, self._call)
            try:
                return self._prepared(at, size, deadline, once=once)
            finally:
                turn.inside = False
                lock.release()

    def _prepared(self, at: int, size: int | None, deadline: Deadline | None, *, once: bool) -> int:
        side = self._sides[at]
        try:
            side.prepare(deadline, self._call)
            return self._inside(at + 1, size, deadline, once=once)
        finally:
            side.restore()

    def _move(self, size: int | None, deadline: Deadline | None, *, once: bool) -> int:
        source, most = self._source, self._target.piece
        moved = 0
        try:
            while size is None or moved < size:
                count = self._step(most if size is None else min(most, size - moved), deadline)
                moved += count
                if once or not count:
                    break
                if source is not None and source.offset is not None:
                    source.offset += count
        except SyscallError as error:
            error.completed = moved
            raise
        return moved

    def _step(self, size: int, deadline: Deadline | None) -> int:
        asks = self._asks
        while True:
            self._check_open()
            if asks:
                self._wait(deadline)
            try:
                return self._attempt(size)
            except BlockingIOError:
                asks = True
            except OSError as error:
                raise syscall_error(error.errno or errno.EIO, self._call, self._target.subject) from None

    def _wait(self, deadline: Deadline | None) -> None:
        """Wait until the source has something, and then until the target has room."""
        first, last = self._sides[0].handle, self._sides[-1].handle
        handle = last if first is None else first
        assert handle is not None
        for side in self._sides:
            if not side.waits:
                continue
            while not wait_fd(handle, side.fd, side.event, Deadline((deadline or FOREVER).slice_end_ns())):
                self._check_open()
                if deadline is not None and deadline.expired:
                    raise expired(handle, self._call)
                if side.hides_its_end:  # the call tells
                    break

    def _check_open(self) -> None:
        for side in self._sides:
            if side.handle is not None:
                side.handle._check_open()


def check_size(size: int | None) -> None:
    """Refuse a negative size.

    Raises:
        ValueError: *size* is below 0.
    """
    if size is not None and size < 0:
        raise ValueError(f"size must be 0 or more bytes, or None for all, not {size}")
